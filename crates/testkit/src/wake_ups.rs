//! Wake-ups that are counted.

use hookgraph_domain::ports::WakeUps;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the wake-ups; clones share their counts.
#[derive(Clone, Debug, Default)]
pub struct RecordingWakeUps {
    due: Arc<AtomicUsize>,
    fed: Arc<AtomicUsize>,
}

impl RecordingWakeUps {
    /// How often something was said to be due.
    pub fn due_count(&self) -> usize {
        self.due.load(Ordering::SeqCst)
    }

    /// How often the feed was said to have grown.
    pub fn fed_count(&self) -> usize {
        self.fed.load(Ordering::SeqCst)
    }
}

impl WakeUps for RecordingWakeUps {
    fn due(&self) {
        self.due.fetch_add(1, Ordering::SeqCst);
    }

    fn fed(&self) {
        self.fed.fetch_add(1, Ordering::SeqCst);
    }
}
