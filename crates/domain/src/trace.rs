//! Trace contexts of the road: one trace per event, derived from ids alone, so that every process, retry and replay of an
//! event names the same one, and nothing has to be stored for it.

use crate::ids::{DeliveryId, EventId};
use sha2::{Digest, Sha256};

/// The header by which receivers join a trace.
pub const TRACEPARENT_HEADER: &str = "traceparent";

/// A place in a trace, as in <https://www.w3.org/TR/trace-context/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace: the event's id. Never all zero.
    pub trace_id: [u8; 16],
    /// The span within it. Never all zero.
    pub span_id: [u8; 8],
}

impl TraceContext {
    /// The root of an event's trace: its recording.
    pub fn of_event(event_id: EventId) -> Self {
        Self::derived(event_id, b"event", &[])
    }

    /// One attempt of one of the event's deliveries.
    pub fn of_attempt(event_id: EventId, delivery_id: DeliveryId, number: u32) -> Self {
        Self::derived(event_id, delivery_id.0.as_bytes(), &number.to_be_bytes())
    }

    fn derived(event_id: EventId, first: &[u8], second: &[u8]) -> Self {
        let digest =
            Sha256::new().chain_update(event_id.0.as_bytes()).chain_update(first).chain_update(second).finalize();
        let mut span_id = [0; 8];
        span_id.copy_from_slice(&digest[..8]);
        if span_id == [0; 8] {
            span_id[7] = 1;
        }
        Self { trace_id: event_id.0.into_bytes(), span_id }
    }

    /// The event whose trace it is.
    pub fn event_id(&self) -> EventId {
        EventId(uuid::Uuid::from_bytes(self.trace_id))
    }

    /// The header's value. It says "sampled", so that a receiver that follows its caller's choice is free to record.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", hex::encode(self.trace_id), hex::encode(self.span_id))
    }

    /// Reads a header's value of version 00, whatever its flags are; none where it is not one.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let mut context = Self { trace_id: [0; 16], span_id: [0; 8] };
        hex::decode_to_slice(trace, &mut context.trace_id).ok()?;
        hex::decode_to_slice(span, &mut context.span_id).ok()?;
        let is_valid = version == "00"
            && flags.len() == 2
            && parts.next().is_none()
            && context.trace_id != [0; 16]
            && context.span_id != [0; 8];
        is_valid.then_some(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn event_id() -> EventId {
        EventId(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001))
    }

    #[test]
    fn the_trace_is_the_event_and_each_attempt_is_a_span_of_its_own() {
        let delivery_id = DeliveryId(Uuid::from_u128(7));
        let first = TraceContext::of_attempt(event_id(), delivery_id, 1);
        assert_eq!(first, TraceContext::of_attempt(event_id(), delivery_id, 1));
        assert_eq!(first.event_id(), event_id());
        let others = [
            TraceContext::of_event(event_id()),
            TraceContext::of_attempt(event_id(), delivery_id, 2),
            TraceContext::of_attempt(event_id(), DeliveryId(Uuid::from_u128(8)), 1),
        ];
        for other in others {
            assert_eq!(other.trace_id, first.trace_id);
            assert_ne!(other.span_id, first.span_id);
        }
    }

    #[test]
    fn a_traceparent_reads_back_and_a_wrong_one_is_none() {
        let context = TraceContext::of_event(event_id());
        let text = context.traceparent();
        assert!(text.starts_with("00-01980000000070008000000000000001-") && text.ends_with("-01"), "{text}");
        assert_eq!(TraceContext::parse(&text), Some(context));
        for wrong in [
            "",
            "00-01980000000070008000000000000001-0000000000000000-01",
            "00-00000000000000000000000000000000-0000000000000001-01",
            "01-01980000000070008000000000000001-0000000000000001-01",
            "00-01980000000070008000000000000001-0000000000000001-01-x",
            "00-0198-0000000000000001-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }
}
