//! Typed identifiers: a webhook's id can never be passed where a delivery's is meant.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

typed_id! {
    /// The owner of everything below it.
    TenantId;
    /// What to call, how, with which payload query, on which event type.
    WebhookId;
    /// One occurrence.
    EventId;
    /// One event owed to one webhook. It is the `webhook-id` header too, the same over retries. See [`DeliveryId::of_fan_out`].
    DeliveryId;
    /// One HTTP request of a delivery.
    AttemptId;
    /// An access token (not its secret).
    TokenId;
    /// One entry of the audit log.
    AuditEntryId;
    /// A tenant copy.
    CopyTaskId;
    /// A replay of past deliveries.
    ReplayId;
}

/// How many bytes of its event's id a delivery of the fan out shares: the time, and what orders the ids of one millisecond.
const EVENT_PREFIX_BYTES: usize = 10;

impl DeliveryId {
    /// The id of the delivery that an event's fan out makes for a webhook: the first 80 bits of the event's id (its time, version,
    /// variant and first 26 further bits), then the first 48 of the SHA-256 of both ids' bytes.
    ///
    /// So an event and a webhook have one such delivery and no second, those of one event stand side by side
    /// ([`DeliveryId::range_of_fan_out`]), and those of several sort as their events do. Of an event whose id is a UUID v7 it is one
    /// too, of the same millisecond.
    pub fn of_fan_out(event_id: EventId, webhook_id: WebhookId) -> Self {
        let (event, webhook) = (event_id.0.as_bytes(), webhook_id.0.as_bytes());
        let digest = Sha256::new().chain_update(event).chain_update(webhook).finalize();
        let mut id = *event;
        for (byte, of_digest) in id.iter_mut().skip(EVENT_PREFIX_BYTES).zip(digest) {
            *byte = of_digest;
        }
        Self(Uuid::from_bytes(id))
    }

    /// The lowest and the highest id that a delivery of that event's fan out can have. Those of another event may lie between
    /// them too, by chance.
    pub fn range_of_fan_out(event_id: EventId) -> (Self, Self) {
        let filled = |rest: u8| {
            let mut id = *event_id.0.as_bytes();
            id.iter_mut().skip(EVENT_PREFIX_BYTES).for_each(|byte| *byte = rest);
            Self(Uuid::from_bytes(id))
        };
        (filled(0), filled(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<T: From<Uuid>>(text: &str) -> T {
        T::from(text.parse().unwrap_or_default())
    }

    #[test]
    fn a_delivery_of_the_fan_out_has_the_id_of_its_event_and_webhook() {
        for (event_id, webhook_id, delivery_id) in [
            (
                "01980000-0000-7000-8000-000000000001",
                "01980000-0000-7000-8000-000000000002",
                "01980000-0000-7000-8000-e77be529c8bd",
            ),
            (
                "019aa2b3-c4d5-7abc-9def-0123456789ab",
                "0198ffff-1234-7fff-bfff-ffffffffffff",
                "019aa2b3-c4d5-7abc-9def-0ee31bba0a91",
            ),
            // Of no time at all.
            (
                "00000000-0000-0000-0000-00000000004d",
                "00000000-0000-0000-0000-000000000001",
                "00000000-0000-0000-0000-31ce6d0c8d04",
            ),
        ] {
            assert_eq!(DeliveryId::of_fan_out(id(event_id), id(webhook_id)), id(delivery_id));
        }
    }

    #[test]
    fn the_deliveries_of_an_event_are_a_range_that_sorts_as_the_event_does() {
        let event_id: EventId = id("019aa2b3-c4d5-7abc-9def-0123456789ab");
        let (lowest, highest) = DeliveryId::range_of_fan_out(event_id);
        assert_eq!(lowest, id("019aa2b3-c4d5-7abc-9def-000000000000"));
        assert_eq!(highest, id("019aa2b3-c4d5-7abc-9def-ffffffffffff"));
        for webhook in 0..100 {
            let of_webhook = DeliveryId::of_fan_out(event_id, WebhookId(Uuid::from_u128(webhook)));
            assert!((lowest..=highest).contains(&of_webhook));
            assert_eq!(of_webhook.0.get_version_num(), 7);
        }
        let next: EventId = id("019aa2b3-c4d5-7abc-9df0-000000000000");
        assert!(highest < DeliveryId::range_of_fan_out(next).0);
    }
}
