//! A clock that stands still until a test moves it.

use hookgraph_domain::ports::Clock;
use hookgraph_domain::time::{Timestamp, plus_ms, truncated};
use parking_lot::Mutex;
use std::sync::Arc;

/// A clock that a test moves; clones share their time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that stands at that time, cut to microseconds.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(truncated(now))))
    }

    /// Moves the clock on.
    pub fn advance_ms(&self, duration_ms: u64) {
        let mut now = self.0.lock();
        *now = plus_ms(*now, duration_ms);
    }

    /// Moves the clock to that time, backwards too.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock() = truncated(now);
    }
}

impl Default for ManualClock {
    /// A clock that stands at [`crate::sample::now`].
    fn default() -> Self {
        Self::at(crate::sample::now())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}
