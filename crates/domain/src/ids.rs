//! Typed identifiers: a webhook's id can never be passed where a delivery's is meant.

use serde::{Deserialize, Serialize};
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
    /// One event owed to one webhook. It is the `webhook-id` header too, the same over retries.
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
