//! Settle: from an outcome to the next state, a pure decision.

use crate::attempt::{Attempt, OutcomeCode};
use crate::delivery::{Delivery, DeliveryState};
use crate::ids::{DeliveryId, WebhookId};
use crate::time::Timestamp;
use crate::webhook::Webhook;

/// What settling writes, in one transaction, only if the fencing token still matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Which delivery.
    pub delivery_id: DeliveryId,
    /// To which webhook.
    pub webhook_id: WebhookId,
    /// The claim's token.
    pub fencing_token: i64,
    /// The attempt, where one was made or the log needs to say why none was.
    pub attempt: Option<Attempt>,
    /// The decision on the delivery.
    pub next: NextState,
    /// What it means for the webhook; none for tests.
    pub health: Option<HealthSignal>,
    /// When.
    pub now: Timestamp,
}

/// The decision on a delivery. The store passes it through [`under_webhook`] with the webhook's status as it then stands.
#[derive(Clone, Debug, PartialEq)]
pub struct NextState {
    /// The state.
    pub state: DeliveryState,
    /// Why, where the state alone does not say.
    pub reason: Option<String>,
    /// When it is due again; none while it is held and once it has ended.
    pub due_at: Option<Timestamp>,
    /// Attempts spent, this one counted.
    pub attempts_spent: u32,
}

/// What an attempt says of its webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthSignal {
    /// It succeeded: nothing fails any more.
    Succeeded,
    /// It failed: failing since now, unless it was failing before; auto-disabled when that was too long ago.
    Failed,
    /// 410: auto-disable.
    Gone,
}

/// What settling needs of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub code: OutcomeCode,
    /// The answer's status, where one came.
    pub status: Option<u16>,
    /// What the answer asked for.
    pub retry_after_ms: Option<u64>,
}

/// Whether a delivery is too old to be sent: owed since longer than [`crate::limits::DELIVERY_DUE_MS_MAX`].
pub fn is_expired(delivery: &Delivery, now: Timestamp) -> bool {
    crate::time::plus_ms(delivery.due_since, crate::limits::DELIVERY_DUE_MS_MAX) <= now
}

/// Decides what comes after an outcome. `jitter` is a fraction from 0 to 1.
pub fn decide(delivery: &Delivery, webhook: &Webhook, outcome: Outcome, now: Timestamp, jitter: f64) -> NextState {
    let _ = (delivery, webhook, outcome, now, jitter);
    todo!()
}

/// What a decision becomes under its webhook's status at the commit, and under a cancel that was asked for meanwhile:
/// what would be due again is held or cancelled.
pub fn under_webhook(next: NextState, webhook: Option<&Webhook>, cancel_requested: bool) -> NextState {
    let _ = (webhook, cancel_requested);
    next
}
