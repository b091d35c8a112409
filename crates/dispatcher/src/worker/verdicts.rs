//! What the worker decides by itself, purely: who gets no request, what an outcome says of a webhook's health, and how a
//! settlement reads in the log.

use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::delivery::{ClaimedDelivery, Delivery, DeliveryState};
use hookgraph_domain::ports::Fenced;
use hookgraph_domain::settle::{self, HealthSignal, NextState, Settlement};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;

/// The state of a claimed delivery that gets no request, if that is so.
///
/// One that was cancelled, or whose webhook stopped sending, is put back as due: the store makes of it what the webhook's
/// status says at the commit ([`settle::under_webhook`]).
pub(super) fn unsent_state(claim: &ClaimedDelivery, now: Timestamp) -> Option<NextState> {
    let delivery = &claim.delivery;
    if settle::is_expired(delivery, now) {
        let reason = Some("it was due for too long".to_owned());
        return Some(NextState {
            state: DeliveryState::Expired,
            reason,
            due_at: None,
            attempts_spent: delivery.attempts_spent,
        });
    }
    let sends = claim.webhook.status == WebhookStatus::Active && claim.webhook.deleted_at.is_none();
    if sends && !delivery.cancel_requested {
        return None;
    }
    let state = if delivery.attempts_spent == 0 { DeliveryState::Pending } else { DeliveryState::Retrying };
    Some(NextState { state, reason: None, due_at: Some(now), attempts_spent: delivery.attempts_spent })
}

/// What an outcome says of its webhook: nothing where the receiver was not asked, and nothing of a test.
pub(super) fn health_of(delivery: &Delivery, code: OutcomeCode) -> Option<HealthSignal> {
    if delivery.is_test {
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

/// One line per settlement: ids, codes and numbers. A detail may hold what a receiver or a document says, so it stays in
/// the delivery's own log.
pub(super) fn log_settled(settlement: &Settlement, answer: Fenced) {
    let delivery_id = settlement.delivery_id;
    let webhook_id = settlement.webhook_id;
    let state = settlement.next.state.as_str();
    if answer == Fenced::LeaseLost {
        tracing::warn!(%delivery_id, %webhook_id, state, "not settled: the lease went to another worker");
        return;
    }
    let due_at = settlement.next.due_at.map(|at| at.to_rfc3339());
    let Some(attempt) = &settlement.attempt else {
        tracing::info!(%delivery_id, %webhook_id, state, due_at, "settled without an attempt");
        return;
    };
    let (attempt_number, code) = (attempt.number, attempt.code.as_str());
    let status = attempt.response.as_ref().map(|head| head.status);
    if settlement.next.state == DeliveryState::Delivered {
        tracing::debug!(%delivery_id, %webhook_id, attempt_number, status, "delivered");
    } else {
        tracing::info!(%delivery_id, %webhook_id, attempt_number, code, status, state, due_at, "not delivered");
    }
}
