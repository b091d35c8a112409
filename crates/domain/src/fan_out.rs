//! Fan out: which webhooks an event goes to, as they stand in the recording transaction.

use crate::delivery::DeliveryState;
use crate::event::SkipReason;
use crate::webhook::WebhookStatus;

/// What an event means for one webhook of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// A delivery, due or held, with the reason if held.
    Delivery {
        /// `Pending` or `Held`.
        state: DeliveryState,
        /// Why it is held.
        reason: Option<String>,
    },
    /// None.
    Skip(SkipReason),
}

/// Decides for one webhook of the event's tenant and type that is not deleted, by its status.
pub fn decide(status: WebhookStatus) -> Match {
    match status {
        WebhookStatus::Active => Match::Delivery { state: DeliveryState::Pending, reason: None },
        WebhookStatus::Disabled => Match::Skip(SkipReason::Disabled),
        status => Match::Delivery { state: DeliveryState::Held, reason: Some(held_reason(status)) },
    }
}

/// Why a delivery is held, in words, wherever it comes to be held.
pub fn held_reason(status: WebhookStatus) -> String {
    format!("the webhook is {}", status.as_str())
}

/// Why a delivery is cancelled with its webhook, in words, wherever it comes to be.
pub const fn cancelled_reason(is_deleted: bool) -> &'static str {
    if is_deleted { "its webhook was deleted" } else { "its webhook was switched off" }
}
