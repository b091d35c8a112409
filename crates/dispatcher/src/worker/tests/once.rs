//! One batch, stage by stage.

use super::*;
use chrono::TimeDelta;
use hookgraph_domain::attempt::{Attempt, OutcomeCode};
use hookgraph_domain::limits::DELIVERY_DUE_MS_MAX;
use hookgraph_domain::ports::Failpoint;
use hookgraph_domain::settle::{HealthSignal, Settlement};
use hookgraph_domain::time::plus_ms;
use std::sync::atomic::Ordering;

/// Runs one delivery, and answers its settlement.
async fn settled(claim: ClaimedDelivery) -> (Bench, Settlement) {
    let bench = Bench::with([claim]);
    let ran = bench.run_once().await;
    assert_eq!((ran.claimed, ran.settled), (1, 1));
    let settlement = bench.queue.state.lock().settled[0].clone();
    (bench, settlement)
}

fn attempt_of(settlement: &Settlement) -> Attempt {
    settlement.attempt.clone().expect("an attempt")
}

#[tokio::test]
async fn a_due_delivery_is_rendered_frozen_sent_and_settled() {
    let (bench, settlement) = settled(due(1, 1, "200")).await;
    assert_eq!(settlement.next.state, DeliveryState::Delivered);
    assert_eq!(settlement.health, Some(HealthSignal::Succeeded));
    assert_eq!(settlement.fencing_token, 1);
    let attempt = attempt_of(&settlement);
    assert_eq!((attempt.number, attempt.code), (1, OutcomeCode::Delivered));
    assert_eq!(attempt.started_at, noon());
    assert_eq!(attempt.ended_at, plus_ms(noon(), 42));
    assert_eq!(&*bench.queue.state.lock().frozen[0].payload.json, "{\"n\":1}");
    assert_eq!(bench.transport.sent.lock()[0].body.as_deref(), Some("{\"n\":1}"));
    assert!(bench.noted.fed.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn the_failpoints_are_hit_in_the_order_of_the_road() {
    let (bench, _) = settled(due(1, 1, "200")).await;
    let places = [Failpoint::AfterClaim, Failpoint::AfterRender, Failpoint::AfterFreeze, Failpoint::AfterSend];
    assert_eq!(*bench.noted.hit.lock(), places);
}

#[tokio::test]
async fn a_lease_outlasts_three_beats_and_what_a_request_needs_to_start() {
    let (bench, _) = settled(due(1, 1, "200")).await;
    let claim = bench.queue.state.lock().claims[0].clone();
    assert_eq!(claim.now, noon());
    assert!(claim.leased_until >= plus_ms(noon(), 4 * limits::BEAT_MS + limits::SEND_MARGIN_MS));
}

#[tokio::test]
async fn a_frozen_payload_is_sent_as_it_is_and_never_rendered_again() {
    let claim = ClaimedDelivery { payload: Some(payload("{\"frozen\":true}")), ..due(1, 1, "200") };
    let (bench, _) = settled(claim).await;
    assert!(bench.renderer.calls.lock().is_empty());
    assert!(bench.queue.state.lock().frozen.is_empty());
    assert_eq!(bench.transport.sent.lock()[0].body.as_deref(), Some("{\"frozen\":true}"));
}

#[tokio::test]
async fn a_batch_is_rendered_in_one_call_and_settled_in_one_commit() {
    let bench = Bench::with((1..=5).map(|number| due(number, number, "200")));
    let ran = bench.run_once().await;
    assert_eq!(ran, Ran { claimed: 5, sent: 5, settled: 5, leases_lost: 0 });
    assert_eq!(*bench.renderer.calls.lock(), [5]);
    assert_eq!(bench.queue.state.lock().commits, [5]);
}

#[tokio::test]
async fn a_503_is_retried_after_the_first_wait() {
    let (_, settlement) = settled(due(1, 1, "503")).await;
    assert_eq!(settlement.next.state, DeliveryState::Retrying);
    assert_eq!(settlement.next.due_at, Some(plus_ms(noon(), 5_000)));
    assert_eq!(settlement.next.attempts_spent, 1);
    assert_eq!(settlement.health, Some(HealthSignal::Failed));
}

#[tokio::test]
async fn a_410_says_that_its_webhook_is_gone() {
    let (_, settlement) = settled(due(1, 1, "410")).await;
    assert_eq!(settlement.health, Some(HealthSignal::Gone));
}

#[tokio::test]
async fn a_test_delivery_says_nothing_of_its_webhook() {
    for path in ["200", "503", "410"] {
        let mut claim = due(1, 1, path);
        claim.delivery.is_test = true;
        assert_eq!(settled(claim).await.1.health, None, "{path}");
    }
}

#[tokio::test]
async fn a_refused_render_is_final_and_says_why_without_a_request() {
    for (path, code) in [("refused", OutcomeCode::RenderFailed), ("over-budget", OutcomeCode::RenderBudgetExceeded)] {
        let (bench, settlement) = settled(due(1, 1, path)).await;
        assert_eq!(settlement.next.state, DeliveryState::RenderFailed);
        assert_eq!(settlement.health, None);
        let attempt = attempt_of(&settlement);
        assert_eq!((attempt.code, attempt.request), (code, None));
        assert!(attempt.detail.is_some());
        assert_eq!(bench.transport.count(), 0);
    }
}

#[tokio::test]
async fn a_fault_of_ours_is_retried_and_spends_no_attempt() {
    for path in ["unavailable", "render-panics", "render-hangs"] {
        let mut bench = Bench::with([due(1, 1, path)]);
        bench.limits.render_batch_ms_max = 20;
        bench.run_once().await;
        let settlement = bench.queue.state.lock().settled[0].clone();
        assert_eq!(settlement.attempt, None, "{path}");
        assert_eq!(settlement.next.attempts_spent, 0);
        assert!(!settlement.next.state.is_final());
        assert!(settlement.next.due_at > Some(noon()));
        assert!(settlement.next.reason.is_some());
        assert_eq!(settlement.health, None);
    }
}

#[tokio::test]
async fn a_get_whose_url_grows_too_long_fails_to_render() {
    let claim = with_webhook(due(1, 1, "long"), |webhook| webhook.method = HttpMethod::Get);
    let (bench, settlement) = settled(claim).await;
    assert_eq!(settlement.next.state, DeliveryState::RenderFailed);
    assert_eq!(attempt_of(&settlement).code, OutcomeCode::RenderFailed);
    assert_eq!(bench.transport.count(), 0);
}

#[tokio::test]
async fn a_delivery_that_is_due_for_too_long_expires_without_a_request() {
    let mut claim = due(1, 1, "200");
    let age = TimeDelta::milliseconds(i64::try_from(DELIVERY_DUE_MS_MAX).expect("thirty days"));
    claim.delivery.due_since = noon() - age - TimeDelta::seconds(1);
    let (bench, settlement) = settled(claim).await;
    assert_eq!(settlement.next.state, DeliveryState::Expired);
    assert_eq!(settlement.next.due_at, None);
    assert_eq!(bench.transport.count(), 0);
    assert!(bench.renderer.calls.lock().is_empty());
}

#[tokio::test]
async fn a_delivery_that_was_cancelled_or_held_meanwhile_is_settled_without_a_request() {
    let mut cancelled = due(1, 1, "200");
    cancelled.delivery.cancel_requested = true;
    let paused = with_webhook(due(2, 2, "200"), |webhook| webhook.status = WebhookStatus::Paused);
    let deleted = with_webhook(due(3, 3, "200"), |webhook| webhook.deleted_at = Some(noon()));
    for claim in [cancelled, paused, deleted] {
        let (bench, settlement) = settled(claim).await;
        assert_eq!(settlement.attempt, None);
        assert_eq!(settlement.next.attempts_spent, 0);
        assert_eq!(bench.transport.count(), 0);
    }
}

#[tokio::test]
async fn a_lease_lost_at_the_freeze_sends_nothing() {
    let bench = Bench::with([due(1, 1, "200"), due(2, 2, "200")]);
    bench.queue.state.lock().lost.push(Uuid::from_u128(1).into());
    let ran = bench.run_once().await;
    assert_eq!(ran, Ran { claimed: 2, sent: 1, settled: 1, leases_lost: 1 });
    assert_eq!(bench.queue.state.lock().settled[0].delivery_id, Uuid::from_u128(2).into());
}

#[tokio::test]
async fn the_caller_is_told_that_the_store_fails() {
    for call in ["claim", "freeze", "settle"] {
        let bench = Bench::with([due(1, 1, "200")]);
        bench.queue.failing(call, 1);
        assert!(bench.dispatcher().run_once().await.is_err(), "{call}");
        assert_eq!(bench.transport.count(), usize::from(call == "settle"));
    }
}

#[tokio::test]
async fn nothing_due_is_nothing_done() {
    let bench = Bench::with([]);
    assert_eq!(bench.run_once().await, Ran::default());
    assert!(bench.noted.hit.lock().is_empty());
}
