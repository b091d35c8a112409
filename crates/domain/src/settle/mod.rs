//! Settle: from an outcome to the next state, a pure decision.
//!
//! ```text
//!            fan out, test                fan out while the webhook holds
//!                 │                                     │
//!                 ▼          the webhook resumes        ▼
//!              PENDING ◀────────────────────────────── HELD
//!                 │                                     ▲
//!                 │ claim                               │ the webhook holds, or answered 410; a failed probe
//!                 ▼                                     │
//!   ┌────────▶ IN_FLIGHT ───────────────────────────────┤
//!   │ claim       │                                     │
//!   │             ├── anything else ──▶ RETRYING ───────┘
//!   │             │   (a fault of ours: no attempt      │
//!   └─────────────┼──── spent, after a short wait)  ◀───┘ due
//!                 │
//!                 ├── 2xx ─────────────────────────▶ DELIVERED
//!                 ├── every attempt spent ─────────▶ FAILED
//!                 ├── the request cannot be built ─▶ FAILED
//!                 ├── the payload query refuses ───▶ RENDER_FAILED
//!                 ├── owed for too long ───────────▶ EXPIRED
//!                 └── a person, or the webhook is
//!                     disabled or deleted ─────────▶ CANCELLED   (from PENDING, RETRYING and HELD too)
//! ```
//! The five on the right at the bottom are final; a person's `retry` makes a final one `PENDING` again.
//!
//! The delivery that is answered 410 is held, not failed: its webhook is auto-disabled, which holds all that is due to
//! it, and nothing is dropped until someone resumes or deletes it. Its attempt is spent. A test that is answered 410
//! disables nothing, so it fails.
//!
//! A delivery that probes a suspended webhook ([`crate::breaker`]) is claimed like another. Where it fails it is held again
//! and its attempt is not spent, or the receiver's outage would use it up. What its answer asked for by `Retry-After` is the
//! webhook's then ([`HealthSignal`]): the next probe waits for it.

mod health;

pub use health::{HealthSignal, apply_health, health_signal, signal_of};

use crate::attempt::{Attempt, OutcomeCode};
use crate::delivery::{Delivery, DeliveryStanding, DeliveryState};
use crate::fan_out::{cancelled_reason, held_reason};
use crate::ids::{DeliveryId, WebhookId};
use crate::limits::{DELIVERY_DUE_MS_MAX, RETRY_AFTER_MS_MAX, SERVER_FAULT_DELAY_MS};
use crate::retry::{attempts_max, next_attempt_at};
use crate::time::{Timestamp, plus_ms};
use crate::webhook::{Webhook, WebhookStatus};

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
    /// What it means for the webhook; none for tests. The store puts it through [`apply_health`] first, and `next` through
    /// [`under_webhook`] with what the webhook then is.
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

impl NextState {
    /// A state in which nothing is due.
    fn resting(state: DeliveryState, attempts_spent: u32, reason: Option<String>) -> Self {
        Self { state, reason, due_at: None, attempts_spent }
    }
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

impl Outcome {
    /// An outcome without an answer.
    pub const fn without_answer(code: OutcomeCode) -> Self {
        Self { code, status: None, retry_after_ms: None }
    }

    /// `Retry-After`, where the status is one that it is honoured on: 429 or 503.
    fn honoured_retry_after_ms(self) -> Option<u64> {
        self.retry_after_ms.filter(|_| matches!(self.status, Some(429 | 503)))
    }

    /// For how long the receiver asked to be left alone, up to [`RETRY_AFTER_MS_MAX`]; 0 where it did not.
    fn asked_ms(self) -> u64 {
        self.honoured_retry_after_ms().unwrap_or(0).min(RETRY_AFTER_MS_MAX)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status {
            Some(status) => write!(f, "{} {status}", self.code.as_str()),
            None => f.write_str(self.code.as_str()),
        }
    }
}

/// Whether a delivery is too old to be sent: owed since longer than [`DELIVERY_DUE_MS_MAX`].
pub fn is_expired(delivery: &Delivery, now: Timestamp) -> bool {
    plus_ms(delivery.due_since, DELIVERY_DUE_MS_MAX) <= now
}

/// What is settled for a claimed delivery without rendering or sending anything, if so: asked right after the claim.
///
/// One that was cancelled, or whose webhook did not send at the claim, is put back as due: the webhook may have been
/// resumed since, so the store decides by what it is at the commit ([`under_webhook`]). A test is sent whatever its
/// webhook's status is, unless the webhook is deleted: people try a webhook before they switch it on.
pub fn before_sending(delivery: &Delivery, webhook: &Webhook, now: Timestamp) -> Option<NextState> {
    if is_expired(delivery, now) {
        return Some(expired(delivery.attempts_spent));
    }
    if webhook.sends(delivery) && !delivery.cancel_requested {
        return None;
    }
    Some(postponed(delivery, now))
}

/// What a claimed delivery becomes that is not sent yet: due again, unspent.
pub fn postponed(delivery: &Delivery, due_at: Timestamp) -> NextState {
    due_again(delivery.attempts_spent, due_at)
}

/// A delivery that is due again, with as many attempts spent as before.
pub fn due_again(attempts_spent: u32, due_at: Timestamp) -> NextState {
    NextState { state: due_state(attempts_spent), reason: None, due_at: Some(due_at), attempts_spent }
}

/// The state of a delivery that is due.
const fn due_state(attempts_spent: u32) -> DeliveryState {
    if attempts_spent == 0 { DeliveryState::Pending } else { DeliveryState::Retrying }
}

/// Decides what comes after an outcome. `jitter` is a fraction from 0 to 1.
pub fn decide(delivery: &Delivery, webhook: &Webhook, outcome: Outcome, now: Timestamp, jitter: f64) -> NextState {
    use DeliveryState::{Delivered, Failed, Held, RenderFailed};
    let before = delivery.attempts_spent;
    let spent = before.saturating_add(1);
    match outcome.code {
        OutcomeCode::Delivered => NextState::resting(Delivered, spent, None),
        OutcomeCode::RenderFailed => {
            NextState::resting(RenderFailed, before, Some("the payload could not be rendered".to_owned()))
        }
        OutcomeCode::RenderBudgetExceeded => {
            NextState::resting(RenderFailed, before, Some("the payload query went over its budget".to_owned()))
        }
        OutcomeCode::InvalidRequest => {
            NextState::resting(Failed, before, Some("no request could be built from what is configured".to_owned()))
        }
        OutcomeCode::Gone if delivery.is_test => {
            NextState::resting(Failed, spent, Some("the receiver answered 410 Gone".to_owned()))
        }
        OutcomeCode::Gone => {
            let reason = "the receiver answered 410 Gone: held until the webhook is resumed";
            NextState::resting(Held, spent, Some(reason.to_owned()))
        }
        OutcomeCode::ServerFault if is_expired(delivery, now) => expired(before),
        OutcomeCode::ServerFault => NextState {
            state: DeliveryState::Retrying,
            reason: Some("this server failed, no attempt is spent".to_owned()),
            due_at: Some(plus_ms(now, SERVER_FAULT_DELAY_MS)),
            attempts_spent: before,
        },
        OutcomeCode::HttpStatus
        | OutcomeCode::Redirect
        | OutcomeCode::Timeout
        | OutcomeCode::DnsFailed
        | OutcomeCode::AddressRefused
        | OutcomeCode::ConnectFailed
        | OutcomeCode::TlsFailed
        | OutcomeCode::ConnectionClosed
        | OutcomeCode::ProtocolError => after_failure(delivery, webhook, outcome, now, jitter),
    }
}

/// An attempt is spent without success: another one is due, or none is left.
fn after_failure(delivery: &Delivery, webhook: &Webhook, outcome: Outcome, now: Timestamp, jitter: f64) -> NextState {
    if webhook.is_probed_by(delivery) && !is_expired(delivery, now) {
        let reason = format!("a probe of the suspended webhook ended as {outcome}, no attempt is spent");
        return NextState::resting(DeliveryState::Held, delivery.attempts_spent, Some(reason));
    }
    let spent = delivery.attempts_spent.saturating_add(1);
    let delays_s = &webhook.retry_delays_s;
    match next_attempt_at(delays_s, spent, outcome.honoured_retry_after_ms(), now, jitter) {
        Some(_) if is_expired(delivery, now) => expired(spent),
        Some(due_at) => NextState {
            state: DeliveryState::Retrying,
            reason: Some(format!("attempt {spent} of {} ended as {outcome}", attempts_max(delays_s))),
            due_at: Some(due_at),
            attempts_spent: spent,
        },
        None => {
            let reason = format!("every attempt is spent ({spent}), the last one ended as {outcome}");
            NextState::resting(DeliveryState::Failed, spent, Some(reason))
        }
    }
}

/// What a decision becomes under its webhook as it stands at the commit, and under a cancel of the delivery that was
/// asked for meanwhile: [`under_sending_webhook`] where the webhook sends the delivery, [`under_webhook`] elsewhere.
pub fn under_standing_webhook(next: NextState, webhook: &Webhook, delivery: impl Into<DeliveryStanding>) -> NextState {
    let delivery = delivery.into();
    if webhook.sends(delivery) && !delivery.cancel_requested {
        return under_sending_webhook(next);
    }
    under_webhook(next, Some(webhook), delivery.cancel_requested)
}

/// What a decision becomes under its webhook's status at the commit, and under a cancel that was asked for meanwhile:
/// what would be due again is held or cancelled. `None` is a webhook whose row is gone. Not to be asked for what its webhook
/// sends as it stands ([`Webhook::sends`], [`under_sending_webhook`]), unless that is to be cancelled.
pub fn under_webhook(next: NextState, webhook: Option<&Webhook>, cancel_requested: bool) -> NextState {
    let cancelled =
        |reason: &str| NextState::resting(DeliveryState::Cancelled, next.attempts_spent, Some(reason.to_owned()));
    let is_over = match webhook {
        Some(webhook) if webhook.deleted_at.is_none() => {
            (webhook.status == WebhookStatus::Disabled).then_some(cancelled_reason(false))
        }
        _ => Some(cancelled_reason(true)),
    };
    if cancel_requested && next.state != DeliveryState::Delivered {
        // All that a webhook was owed is asked to end with it, and by nobody one by one.
        return cancelled(is_over.unwrap_or("cancelled by a person"));
    }
    if next.state.is_final() {
        return next;
    }
    match (is_over, webhook) {
        (Some(reason), _) => cancelled(reason),
        (None, Some(webhook)) if webhook.status.holds() && next.state != DeliveryState::Held => {
            NextState::resting(DeliveryState::Held, next.attempts_spent, Some(held_reason(webhook.status)))
        }
        _ => next,
    }
}

/// What a decision becomes under a webhook that sends the delivery: what would be held is due at once, for nobody would make
/// it due any more. So it is with a probe that fails after a person resumed its webhook and the rest has drained.
pub fn under_sending_webhook(next: NextState) -> NextState {
    if next.state != DeliveryState::Held {
        return next;
    }
    NextState { state: due_state(next.attempts_spent), ..next }
}

fn expired(attempts_spent: u32) -> NextState {
    let days = DELIVERY_DUE_MS_MAX / (24 * 3600 * 1000);
    NextState::resting(DeliveryState::Expired, attempts_spent, Some(format!("owed for more than {days} days")))
}

#[cfg(test)]
mod tests;
