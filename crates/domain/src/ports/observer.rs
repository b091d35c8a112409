//! Port to those who count and trace. It decides nothing, and what it does never fails the caller.

use crate::change::Committed;
use crate::time::Timestamp;

/// Told of what was committed. Called on the hot path: it must not wait.
pub trait Observer: Send + Sync {
    /// A change with these events was committed at that time.
    fn recorded(&self, committed: &Committed, at: Timestamp);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn recorded(&self, _committed: &Committed, _at: Timestamp) {}
}
