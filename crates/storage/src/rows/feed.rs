//! Feed entries, packed. The first byte of a batch names the format, so that another one can follow; format 1 is a list
//! of
//!
//! | kind | then |
//! |---|---|
//! | 0, an event | event id (16 bytes), concern, event (each one byte of length, then its bytes) |
//! | 1, a delivery | delivery id, webhook id, event id (16 bytes each), state (one byte), attempts (4, low first) |

use crate::error::corrupt;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::event::EventTypeKey;
use hookgraph_domain::feed::FeedChange;
use hookgraph_domain::ids::{DeliveryId, EventId, WebhookId};
use hookgraph_domain::ports::StoreError;
use uuid::Uuid;

const FORMAT: u8 = 1;
const EVENT: u8 = 0;
const DELIVERY: u8 = 1;

/// The states by their byte: kept, so only ever appended to.
const STATES: [DeliveryState; 9] = [
    DeliveryState::Pending,
    DeliveryState::InFlight,
    DeliveryState::Delivered,
    DeliveryState::Retrying,
    DeliveryState::Held,
    DeliveryState::Failed,
    DeliveryState::RenderFailed,
    DeliveryState::Cancelled,
    DeliveryState::Expired,
];

/// The bytes of a batch.
pub fn pack(changes: &[FeedChange]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + changes.len() * 54);
    bytes.push(FORMAT);
    for change in changes {
        match change {
            FeedChange::EventRecorded { event_id, event_type } => {
                bytes.push(EVENT);
                bytes.extend(event_id.0.as_bytes());
                put_text(&mut bytes, &event_type.concern);
                put_text(&mut bytes, &event_type.event);
            }
            FeedChange::DeliveryUpdated { delivery_id, webhook_id, event_id, state, attempt_count } => {
                bytes.push(DELIVERY);
                for id in [delivery_id.0, webhook_id.0, event_id.0] {
                    bytes.extend(id.as_bytes());
                }
                bytes.push(STATES.iter().position(|known| known == state).unwrap_or(usize::MAX) as u8);
                bytes.extend(attempt_count.to_le_bytes());
            }
        }
    }
    bytes
}

/// The names of the catalogue are far shorter than a byte counts.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
    bytes.push(text.len() as u8);
    bytes.extend(text);
}

/// The entries of a batch.
pub fn unpack(bytes: &[u8]) -> Result<Vec<FeedChange>, StoreError> {
    let mut rest = Rest(bytes);
    let format = rest.byte()?;
    if format != FORMAT {
        return Err(corrupt("feed format", format));
    }
    let mut changes = Vec::new();
    while !rest.0.is_empty() {
        changes.push(match rest.byte()? {
            EVENT => FeedChange::EventRecorded {
                event_id: EventId(rest.id()?),
                event_type: EventTypeKey::new(rest.text()?, rest.text()?),
            },
            DELIVERY => FeedChange::DeliveryUpdated {
                delivery_id: DeliveryId(rest.id()?),
                webhook_id: WebhookId(rest.id()?),
                event_id: EventId(rest.id()?),
                state: rest.state()?,
                attempt_count: u32::from_le_bytes(rest.array()?),
            },
            other => return Err(corrupt("feed kind", other)),
        });
    }
    Ok(changes)
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], StoreError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| corrupt("feed batch", "it is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        self.take(N)?.try_into().map_err(|error| corrupt("feed batch", error))
    }

    fn byte(&mut self) -> Result<u8, StoreError> {
        Ok(self.array::<1>()?[0])
    }

    fn id(&mut self) -> Result<Uuid, StoreError> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<String, StoreError> {
        let length = usize::from(self.byte()?);
        String::from_utf8(self.take(length)?.to_vec()).map_err(|error| corrupt("feed text", error))
    }

    fn state(&mut self) -> Result<DeliveryState, StoreError> {
        let state = self.byte()?;
        STATES.get(usize::from(state)).copied().ok_or_else(|| corrupt("feed state", state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_reads_back_as_it_was() {
        let ids = (DeliveryId(Uuid::from_u128(1)), WebhookId(Uuid::from_u128(2)), EventId(Uuid::from_u128(3)));
        let mut changes =
            vec![FeedChange::EventRecorded { event_id: ids.2, event_type: EventTypeKey::new("orders", "create") }];
        changes.extend(DeliveryState::ALL.map(|state| FeedChange::DeliveryUpdated {
            delivery_id: ids.0,
            webhook_id: ids.1,
            event_id: ids.2,
            state,
            attempt_count: 70_000,
        }));
        assert!(matches!(unpack(&pack(&changes)), Ok(read) if read == changes));
    }

    #[test]
    fn a_batch_that_is_cut_or_of_another_format_is_corrupt() {
        let event_type = EventTypeKey::new("orders", "create");
        let packed = pack(&[FeedChange::EventRecorded { event_id: EventId(Uuid::nil()), event_type }]);
        assert!(matches!(unpack(&packed[..packed.len() - 1]), Err(StoreError::Corrupt(_))));
        assert!(matches!(unpack(&[2]), Err(StoreError::Corrupt(_))));
        assert!(matches!(unpack(&[]), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn the_byte_of_a_state_never_changes() {
        let names: Vec<&str> = STATES.iter().map(|state| state.as_str()).collect();
        let kept = "PENDING IN_FLIGHT DELIVERED RETRYING HELD FAILED RENDER_FAILED CANCELLED EXPIRED";
        assert_eq!(names.join(" "), kept);
    }
}
