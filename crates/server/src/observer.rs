//! Those who are told of every commit: the counters and the traces.

use crate::metrics::Metrics;
use hookgraph_domain::change::Committed;
use hookgraph_domain::ports::Observer;
use hookgraph_domain::time::Timestamp;
use std::sync::Arc;

/// Tells each that there is.
#[derive(Default)]
pub struct CommitObserver {
    /// The counters, where metrics are served.
    pub metrics: Option<Arc<Metrics>>,
}

impl Observer for CommitObserver {
    fn recorded(&self, committed: &Committed, _at: Timestamp) {
        if let Some(metrics) = &self.metrics {
            metrics.recorded(committed);
        }
    }
}
