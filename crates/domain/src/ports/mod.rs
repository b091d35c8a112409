//! Ports: what the road needs from outside, as traits. Adapters live in `storage`, `schema`, `dispatcher` and `server`;
//! the fakes that pass the same conformance suite live in `testkit`.

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

/// A failure of a store: ours, never the caller's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Locked, out of connections, or restarting: the same call may go through a moment later.
    #[error("the database is busy: {0}")]
    Busy(String),
    /// Someone else held what it needs for longer than it waits: the same call may go through a moment later.
    #[error("the database is busy: {0}")]
    Locked(String),
    /// Full or read-only: nothing can be written until someone makes room.
    #[error("the database is full or may not be written: {0}")]
    Full(String),
    /// Gone, or answering nonsense.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The database will never take that statement, e.g. a text with a character that it cannot hold.
    #[error("the database refused the statement: {0}")]
    Rejected(String),
    /// A stored row that this version cannot read.
    #[error("stored row cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether the caller may just try again.
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, StoreError::Corrupt(_) | StoreError::Rejected(_))
    }
}
