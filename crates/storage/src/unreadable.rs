//! Rows that cannot be read: each is passed over, so that it stands in nobody's way, and told once.

use crate::limits::UNREADABLE_TOLD_MAX;
use hookgraph_domain::ports::{Observer, RowKind, StoreError};
use moka::sync::Cache;
use std::fmt::Display;
use std::sync::Arc;

/// What this process has told of. Shared by the clones of a store.
#[derive(Clone)]
pub struct Unreadable {
    told: Cache<(RowKind, String), ()>,
    observer: Arc<dyn Observer>,
}

impl Unreadable {
    pub fn new(observer: Arc<dyn Observer>) -> Self {
        Self { told: Cache::new(UNREADABLE_TOLD_MAX), observer }
    }

    /// The row, or none where it cannot be read.
    pub fn passed_over<T>(&self, kind: RowKind, id: impl Display, read: Result<T, StoreError>) -> Option<T> {
        match read {
            Ok(row) => Some(row),
            Err(error) => {
                self.tell(kind, id, error);
                None
            }
        }
    }

    /// One line, and a count, for each row, however often it is met.
    fn tell(&self, kind: RowKind, id: impl Display, why: impl Display) {
        let key = (kind, id.to_string());
        if !self.told.contains_key(&key) {
            tracing::error!(what = kind.as_str(), id = key.1, %why, "a row cannot be read: it is passed over");
            self.observer.unreadable(kind);
            self.told.insert(key, ());
        }
    }
}
