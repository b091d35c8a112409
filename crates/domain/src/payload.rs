//! Payloads: what a payload query rendered to, or the default payload, frozen before the first send.

use crate::canonical_json;
use crate::event::Event;
use crate::ids::WebhookId;
use crate::limits::PAYLOAD_BYTES_MAX;
use crate::request::default_payload;
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::sync::Arc;

/// A payload: the canonical JSON text of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenPayload {
    /// JavaScript-canonical JSON: for all methods but GET the exact bytes of the body.
    pub json: Arc<str>,
    /// As of when it was read.
    pub rendered_at: Timestamp,
}

/// A payload over [`PAYLOAD_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload is {bytes} bytes, {PAYLOAD_BYTES_MAX} are allowed: select less")]
pub struct PayloadTooLarge {
    /// Its length.
    pub bytes: usize,
}

impl FrozenPayload {
    /// The canonical text of that object.
    ///
    /// # Errors
    /// [`PayloadTooLarge`].
    pub fn of(payload: Map<String, Value>, rendered_at: Timestamp) -> Result<Self, PayloadTooLarge> {
        let json = canonical_json::to_text(&Value::Object(payload));
        if json.len() > PAYLOAD_BYTES_MAX {
            return Err(PayloadTooLarge { bytes: json.len() });
        }
        Ok(Self { json: json.into(), rendered_at })
    }

    /// The default payload. It follows from what never changes, the event and the webhook's id, so that a store keeps no
    /// text of it, only that and when it was frozen; what an event holds is bounded far below a payload's bound.
    pub fn default_of(event: &Event, webhook_id: WebhookId, frozen_at: Timestamp) -> Self {
        let json = canonical_json::to_text(&Value::Object(default_payload(event, webhook_id)));
        Self { json: json.into(), rendered_at: frozen_at }
    }
}

/// The body of a webhook with `preserve_default_payload`: the default payload's keys first, then the query's; on equal keys
/// the query's value, in the default payload's place.
pub fn merge(default: Map<String, Value>, data: Map<String, Value>) -> Map<String, Value> {
    let mut merged = default;
    merged.extend(data);
    merged
}

#[cfg(test)]
mod tests {
    use super::{FrozenPayload, PayloadTooLarge, merge};
    use crate::canonical_json::to_text;
    use crate::limits::PAYLOAD_BYTES_MAX;
    use crate::time::Timestamp;
    use crate::{catalogue, sample};
    use serde_json::{Map, Value, json};
    use sha2::{Digest, Sha256};

    #[test]
    fn a_payload_over_its_bound_is_refused() {
        let payload = |length: usize| Map::from_iter([("a".to_owned(), Value::from("x".repeat(length)))]);
        let frame = r#"{"a":""}"#.len();
        assert!(FrozenPayload::of(payload(PAYLOAD_BYTES_MAX - frame), Timestamp::default()).is_ok());
        let refused = FrozenPayload::of(payload(PAYLOAD_BYTES_MAX - frame + 1), Timestamp::default());
        assert_eq!(refused, Err(PayloadTooLarge { bytes: PAYLOAD_BYTES_MAX + 1 }));
    }

    /// Default payloads that were frozen are made anew, also by later versions: their bytes must stay. An event type that
    /// gains a variable needs a form of its own for what was recorded before.
    #[test]
    fn the_form_of_default_payloads_is_kept() {
        let mut forms = Sha256::new();
        for event_type in catalogue::all() {
            let names: Vec<&str> = event_type.variables.iter().map(|variable| variable.name).collect();
            forms.update(format!("{}/{}: {}\n", event_type.concern, event_type.event, names.join(" ")));
        }
        let hex: String = forms.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "f5dafe1c21b8ce43");
        let frozen = FrozenPayload::default_of(&sample::event(), sample::webhook().id, Timestamp::default());
        assert_eq!(
            frozen.json.as_ref(),
            r#"{"id":"o1","userId":"u1","tenantId":"t1","webhookId":"00000000-0000-0000-0000-000000000002"}"#
        );
    }

    #[test]
    fn the_querys_values_win_in_the_default_payloads_places() {
        let (Value::Object(default), Value::Object(data)) =
            (json!({ "id": "1", "tenantId": "t" }), json!({ "order": { "a": 1 }, "id": { "b": 2 } }))
        else {
            unreachable!()
        };
        let merged = Value::Object(merge(default, data));
        assert_eq!(to_text(&merged), r#"{"id":{"b":2},"tenantId":"t","order":{"a":1}}"#);
    }
}
