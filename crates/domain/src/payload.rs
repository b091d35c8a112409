//! Payloads: what a payload query rendered to, frozen before the first send.

use crate::time::Timestamp;
use std::sync::Arc;

/// A payload: the canonical JSON text of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenPayload {
    /// JavaScript-canonical JSON: for all methods but GET the exact bytes of the body.
    pub json: Arc<str>,
    /// As of when it was read.
    pub rendered_at: Timestamp,
}
