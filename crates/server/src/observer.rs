//! Those who are told of every commit: the counters and the traces.

use crate::metrics::Metrics;
use crate::traces::Traces;
use hookgraph_domain::change::Committed;
use hookgraph_domain::ports::{Observer, RowKind};
use hookgraph_domain::time::Timestamp;
use std::sync::Arc;

/// Tells each that there is.
#[derive(Default)]
pub struct CommitObserver {
    /// The counters, where metrics are served.
    pub metrics: Option<Arc<Metrics>>,
    /// The traces, where they are sent.
    pub traces: Option<Arc<Traces>>,
}

impl Observer for CommitObserver {
    fn recorded(&self, committed: &Committed, at: Timestamp) {
        if let Some(metrics) = &self.metrics {
            metrics.recorded(committed);
        }
        if let Some(traces) = &self.traces {
            committed.event_ids.iter().for_each(|event_id| traces.recorded(*event_id, at));
        }
    }

    fn orphans_found(&self, count: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.orphans_found(count);
        }
    }

    fn cancelled(&self, count: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.cancelled(count);
        }
    }

    fn unreadable(&self, kind: RowKind) {
        if let Some(metrics) = &self.metrics {
            metrics.unreadable(kind);
        }
    }
}
