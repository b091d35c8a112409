//! Health: what attempts say of their webhook, and when it is auto-disabled.

use crate::attempt::OutcomeCode;
use crate::limits::FAILING_MS_MAX;
use crate::time::{Timestamp, plus_ms};
use crate::webhook::{Webhook, WebhookStatus};

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

/// What an outcome says of its webhook: nothing for a test, and nothing where no request went out, because a fault of
/// ours or of the payload query never counts against the receiver.
pub const fn health_signal(code: OutcomeCode, is_test: bool) -> Option<HealthSignal> {
    if is_test {
        return None;
    }
    match code {
        OutcomeCode::Delivered => Some(HealthSignal::Succeeded),
        OutcomeCode::Gone => Some(HealthSignal::Gone),
        OutcomeCode::HttpStatus
        | OutcomeCode::Redirect
        | OutcomeCode::Timeout
        | OutcomeCode::DnsFailed
        | OutcomeCode::AddressRefused
        | OutcomeCode::ConnectFailed
        | OutcomeCode::TlsFailed
        | OutcomeCode::ConnectionClosed
        | OutcomeCode::ProtocolError => Some(HealthSignal::Failed),
        OutcomeCode::InvalidRequest
        | OutcomeCode::RenderFailed
        | OutcomeCode::RenderBudgetExceeded
        | OutcomeCode::ServerFault => None,
    }
}

/// The webhook as a signal leaves it, one version on; none where it changes nothing, so that a webhook that works, or
/// that keeps failing, is not written.
///
/// Only a webhook that sends is auto-disabled: what the user or schema drift decided stays, and the next 410 after a
/// resume disables it then.
pub fn apply_health(webhook: &Webhook, signal: HealthSignal, now: Timestamp) -> Option<Webhook> {
    if webhook.deleted_at.is_some() {
        return None;
    }
    let sends = matches!(webhook.status, WebhookStatus::Active | WebhookStatus::Suspended);
    match (signal, webhook.failing_since) {
        (HealthSignal::Gone, _) if sends => {
            Some(auto_disabled(webhook, "the receiver answered 410 Gone".to_owned(), now))
        }
        (HealthSignal::Failed, Some(since)) if sends && plus_ms(since, FAILING_MS_MAX) <= now => {
            let reason = format!("no attempt has succeeded since {}", since.format("%Y-%m-%dT%H:%M:%SZ"));
            Some(auto_disabled(webhook, reason, now))
        }
        (HealthSignal::Succeeded, Some(_)) => Some(failing_since(webhook, None)),
        (HealthSignal::Failed | HealthSignal::Gone, None) => Some(failing_since(webhook, Some(now))),
        (HealthSignal::Succeeded, None) | (HealthSignal::Failed | HealthSignal::Gone, Some(_)) => None,
    }
}

fn auto_disabled(webhook: &Webhook, reason: String, now: Timestamp) -> Webhook {
    let failing_since = webhook.failing_since.or(Some(now));
    let version = webhook.version + 1;
    Webhook { failing_since, version, ..webhook.clone() }.with_status(WebhookStatus::AutoDisabled, Some(reason), now)
}

fn failing_since(webhook: &Webhook, failing_since: Option<Timestamp>) -> Webhook {
    Webhook { failing_since, version: webhook.version + 1, ..webhook.clone() }
}
