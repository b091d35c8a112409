//! Neighbours: the other processes that work on the same database.

use crate::limits::NEIGHBOUR_MS;
use hookgraph_domain::ports::Neighbours;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// When one of them was last heard of. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LastHeard(Arc<Mutex<Option<Instant>>>);

impl LastHeard {
    /// One is heard of.
    pub fn now(&self) {
        *self.0.lock() = Some(Instant::now());
    }
}

impl Neighbours for LastHeard {
    fn are_active(&self) -> bool {
        self.0.lock().is_some_and(|at| at.elapsed() < Duration::from_millis(NEIGHBOUR_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn neighbours_are_active_for_a_while_after_one_was_heard_of() {
        let last_heard = LastHeard::default();
        assert!(!last_heard.are_active());
        last_heard.clone().now();
        advance(Duration::from_millis(NEIGHBOUR_MS - 1)).await;
        assert!(last_heard.are_active());
        advance(Duration::from_millis(1)).await;
        assert!(!last_heard.are_active());
    }
}
