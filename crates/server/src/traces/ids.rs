//! The ids of spans, from the road's own where it has them, and which traces are sent.

use hookgraph_domain::ports::Entropy;
use hookgraph_domain::trace::TraceContext;
use opentelemetry::trace::{Link, SpanId, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{IdGenerator, SamplingDecision, SamplingResult, ShouldSample};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    /// What the span that is being made on this thread gets.
    static NEXT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// Makes one span under those ids. The SDK asks its generator while it makes a span, on the same thread.
pub fn with_ids<T>(context: TraceContext, make: impl FnOnce() -> T) -> T {
    NEXT.set(Some(context));
    let made = make();
    NEXT.set(None);
    made
}

/// Ids that were chosen by [`with_ids`], or else random ones.
pub struct EventIds {
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for EventIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventIds")
    }
}

impl IdGenerator for EventIds {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_bytes(NEXT.get().map_or_else(|| self.random(), |context| context.trace_id))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_bytes(NEXT.get().map_or_else(|| self.random(), |context| context.span_id))
    }
}

impl EventIds {
    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }
}

/// Sends a share of all traces, each as a whole: every process decides by the trace's id alone.
///
/// The SDK's own sampler reads bytes of the id in which UUIDs have their variant, so it would send too many or none.
/// The last four bytes are random in ours.
#[derive(Clone, Debug)]
pub struct ShareOfTraces {
    /// Ids whose last four bytes are below it are sent.
    below: u64,
}

impl ShareOfTraces {
    /// So many of a hundred.
    pub fn of_percent(percent: u32) -> Self {
        Self { below: (u64::from(percent) << 32) / 100 }
    }

    fn sends(&self, trace_id: TraceId) -> bool {
        let bytes = trace_id.to_bytes();
        u64::from(u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])) < self.below
    }
}

impl ShouldSample for ShareOfTraces {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        _name: &str,
        _span_kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let decision = if self.sends(trace_id) { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        let trace_state = parent_context.map(|parent| parent.span().span_context().trace_state().clone());
        SamplingResult { decision, attributes: Vec::new(), trace_state: trace_state.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::OsEntropy;
    use hookgraph_domain::time::Timestamp;

    #[test]
    fn chosen_ids_are_taken_once_and_random_ones_otherwise() {
        let ids = EventIds { entropy: Arc::new(OsEntropy::default()) };
        let chosen = TraceContext { trace_id: [7; 16], span_id: [9; 8] };
        let made = with_ids(chosen, || (ids.new_trace_id(), ids.new_span_id()));
        assert_eq!((made.0.to_bytes(), made.1.to_bytes()), (chosen.trace_id, chosen.span_id));
        assert_ne!(ids.new_trace_id(), made.0);
        assert_ne!(ids.new_span_id(), ids.new_span_id());
    }

    #[test]
    fn about_the_wanted_share_of_events_is_sent_and_all_or_none_at_the_ends() {
        let entropy = OsEntropy::default();
        let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let ids: Vec<_> = (0..4_000).map(|_| TraceId::from_bytes(entropy.uuid(at).into_bytes())).collect();
        let sent = |percent| {
            let share = ShareOfTraces::of_percent(percent);
            ids.iter().filter(|id| share.sends(**id)).count()
        };
        assert_eq!(sent(0), 0);
        assert_eq!(sent(100), 4_000);
        // Ten standard deviations around a quarter.
        assert!((730..1_270).contains(&sent(25)), "{}", sent(25));
    }
}
