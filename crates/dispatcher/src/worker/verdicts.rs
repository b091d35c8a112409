//! How a settlement reads in the log.

use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ports::Fenced;
use hookgraph_domain::settle::Settlement;

/// Logs a settlement in one line of ids, codes and numbers. Details may quote a receiver or a document, so they stay
/// in the delivery's own log.
pub(super) fn log_settled(settlement: &Settlement, answer: Fenced) {
    let delivery_id = settlement.delivery_id;
    let webhook_id = settlement.webhook_id;
    let state = settlement.next.state.as_str();
    if answer == Fenced::LeaseLost {
        // Where the lease was renewed the settlement is offered again; otherwise the settler warns.
        tracing::debug!(%delivery_id, %webhook_id, state, "not settled: another claim has the lease");
        return;
    }
    let due_at = settlement.next.due_at.map(|at| at.to_rfc3339());
    let Some(attempt) = &settlement.attempt else {
        if !settlement.next.state.is_final() {
            // The delivery goes back as it came, e.g. to wait for its webhook's rate.
            tracing::debug!(%delivery_id, %webhook_id, state, due_at, "put back without an attempt");
            return;
        }
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
