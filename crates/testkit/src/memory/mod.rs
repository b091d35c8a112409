//! The fake of the road: every port of the store in maps, for tests that need no database. It passes the conformance
//! suite.

mod answers;
mod commit;
mod deliveries;
mod flow;
mod queue;
mod read;
mod reads;
mod retention;
mod state;
mod stopping;

use parking_lot::Mutex;
pub use reads::{ReadPlan, Reads};
use state::State;
use std::sync::Arc;

/// A store in maps; clones share it. A commit works on a copy that replaces the whole only when nothing was refused.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    reads: Reads,
    feed_reads: Reads,
}

impl MemoryStore {
    /// The reads of records and tenants, to count them and to plan how they go.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The reads of the feed, to count them and to plan how they go.
    pub fn feed_reads(&self) -> &Reads {
        &self.feed_reads
    }
}
