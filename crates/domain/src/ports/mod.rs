//! Ports: the traits through which the road reaches everything outside of it. Adapters live in `storage`, `schema`,
//! `dispatcher` and `server`; the fakes that pass the same conformance suite live in `testkit`.

mod deliveries;
mod flow;
mod observer;
mod records;
mod rendering;
mod retention;
mod surroundings;

pub use deliveries::*;
pub use flow::*;
pub use observer::*;
pub use records::*;
pub use rendering::*;
pub use retention::*;
pub use surroundings::*;

/// A failure of a store: the fault is ours, never the caller's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is locked, out of connections, or restarting: the same call may go through a moment later.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// Another transaction held a needed row for longer than the call waits: the same call may go through a moment
    /// later.
    #[error("the database is busy: {0}")]
    Locked(String),
    /// The database is full or read-only: nothing can be written until someone makes room.
    #[error("the database is full or may not be written: {0}")]
    Full(String),
    /// The database is gone, or answers nonsense.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The database will never take the statement, e.g. because of a text with a character that it cannot hold.
    #[error("the database refused the statement: {0}")]
    Rejected(String),
    /// This version cannot read a stored row.
    #[error("stored row cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether the caller may just try again.
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, StoreError::Corrupt(_) | StoreError::Rejected(_))
    }
}
