//! The loop: slots, outages, panics, wake-ups and shutdowns. Tests wait for what the fakes have seen, never for a time.

use super::*;
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Claims, Left, WantedClaim};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::Webhook;
use std::collections::BTreeSet;
use tokio::task::JoinHandle;

/// A loop under way.
pub(super) struct Running {
    pub(super) wake: DueSignal,
    shutdown: CancellationToken,
    loop_ended: JoinHandle<()>,
}

impl Running {
    pub(super) fn of(bench: &Bench) -> Self {
        let (wake, shutdown) = (DueSignal::default(), CancellationToken::new());
        let loop_ended = tokio::spawn(bench.dispatcher().run(wake.clone(), shutdown.clone()));
        Self { wake, shutdown, loop_ended }
    }

    pub(super) async fn shut_down(self) {
        self.shutdown.cancel();
        self.loop_ended.await.expect("a loop that ends by itself");
    }
}

fn settled_ids(bench: &Bench) -> BTreeSet<u128> {
    bench.queue.state.lock().settled.iter().map(|settled| settled.delivery_id.0.as_u128()).collect()
}

#[tokio::test]
async fn all_that_is_due_is_delivered_batch_after_batch() {
    let mut bench = Bench::with((1..=40).map(|number| due(number, number, "200")));
    bench.limits.claim_batch_max = 7;
    let running = Running::of(&bench);
    bench.queue.ended(40).await;
    running.shut_down().await;
    assert_eq!(settled_ids(&bench).len(), 40);
    assert_eq!(bench.transport.count(), 40);
}

#[tokio::test]
async fn a_slow_receiver_delays_nobody_beyond_its_own_slots() {
    let slow = (1..=30).map(|number| due(number, 1, "never"));
    let quick = (31..=60).map(|number| due(number, 2, "200"));
    let mut bench = Bench::with(slow.chain(quick));
    bench.limits.in_flight_per_webhook_max = 2;
    bench.limits.in_flight_max = 4;
    let running = Running::of(&bench);
    bench.queue.ended(30).await;
    assert_eq!(settled_ids(&bench), (31..=60).collect());
    running.shut_down().await;
    assert_eq!(bench.queue.state.lock().released.len(), 2);
}

#[tokio::test]
async fn however_many_receivers_hang_there_is_room_for_the_others() {
    // Each hanging webhook alone has enough due to fill the process, and may by its own concurrency.
    let hanging =
        (1..=5_u128).flat_map(|webhook| (0..40).map(move |place| due(webhook * 100 + place, webhook, "never")));
    let mut bench = Bench::with(hanging);
    bench.limits.in_flight_max = 32;
    bench.limits.in_flight_per_webhook_max = 200;
    let running = Running::of(&bench);
    bench.transport.begun(20).await;
    for number in 1_000..1_050 {
        bench.queue.add(due(number, 9, "200"));
    }
    running.wake.raise();
    bench.queue.ended(50).await;
    assert_eq!(settled_ids(&bench), (1_000..1_050).collect());
    let held = bench.queue.state.lock().leased.len();
    assert!(held < 32, "{held} are held by those that hang");
    running.shut_down().await;
}

#[tokio::test]
async fn retries_leave_a_share_of_the_slots_to_first_attempts() {
    let retried = (1..=20).map(|number| {
        let mut claim = due(number, number, "never");
        claim.delivery.attempts_spent = 1;
        claim
    });
    let mut bench = Bench::with(retried);
    bench.limits.in_flight_max = 8;
    let running = Running::of(&bench);
    bench.transport.begun(6).await;
    for number in 101..=120 {
        bench.queue.add(due(number, number, "200"));
    }
    running.wake.raise();
    bench.queue.ended(20).await;
    assert_eq!(settled_ids(&bench), (101..=120).collect());
    assert_eq!(bench.queue.state.lock().leased.len(), 6, "three quarters of the slots");
    running.shut_down().await;
}

#[tokio::test]
async fn a_webhook_has_no_more_in_flight_than_its_concurrency() {
    let due = (1..=10).map(|number| with_webhook(due(number, 1, "gate"), |webhook| webhook.flow.concurrency = 3));
    let bench = Bench::with(due);
    let running = Running::of(&bench);
    bench.transport.begun(3).await;
    for ended in 1..=7 {
        assert_eq!(bench.queue.state.lock().leased.len(), 3);
        bench.transport.gate.add_permits(1);
        bench.queue.ended(ended).await;
        bench.transport.begun(3 + ended).await;
    }
    bench.transport.gate.add_permits(3);
    running.shut_down().await;
    assert_eq!(settled_ids(&bench).len(), 10);
}

#[tokio::test]
async fn no_more_are_in_flight_than_allowed() {
    let mut bench = Bench::with((1..=10).map(|number| due(number, number, "gate")));
    bench.limits.in_flight_max = 3;
    let running = Running::of(&bench);
    bench.transport.begun(3).await;
    for ended in 1..=7 {
        assert_eq!(bench.queue.state.lock().leased.len(), 3);
        bench.transport.gate.add_permits(1);
        bench.queue.ended(ended).await;
        bench.transport.begun(3 + ended).await;
    }
    bench.transport.gate.add_permits(3);
    running.shut_down().await;
    assert_eq!(settled_ids(&bench).len(), 10);
}

#[tokio::test]
async fn what_ends_during_a_commit_is_committed_together_after_it() {
    let bench = Bench::with((1..=9).map(|number| due(number, number, "gate")));
    bench.queue.settle_gate.forget_permits(1_000);
    let running = Running::of(&bench);
    bench.transport.begun(9).await;
    bench.transport.gate.add_permits(9);
    bench.queue.settle_gate.add_permits(2);
    bench.queue.ended(9).await;
    running.shut_down().await;
    let commits = bench.queue.state.lock().commits.clone();
    assert!(commits.len() <= 2, "{commits:?}");
    assert_eq!(commits.iter().sum::<usize>(), 9);
}

#[tokio::test]
async fn a_settlement_is_offered_again_until_the_store_takes_it() {
    let bench = Bench::with([due(1, 1, "200")]);
    bench.queue.failing("settle", 3);
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    running.shut_down().await;
    assert_eq!(bench.transport.count(), 1);
    assert_eq!(bench.queue.state.lock().settled[0].next.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_freeze_is_tried_again_before_anything_is_sent() {
    let bench = Bench::with([due(1, 1, "200")]);
    bench.queue.failing("freeze", 2);
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    running.shut_down().await;
    assert_eq!(bench.transport.count(), 1);
    assert_eq!(*bench.renderer.calls.lock(), [1]);
}

#[tokio::test]
async fn claims_go_on_after_an_outage() {
    let bench = Bench::with([due(1, 1, "200")]);
    bench.queue.failing("claim", 2);
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    running.shut_down().await;
    assert_eq!(settled_ids(&bench).len(), 1);
}

#[tokio::test]
async fn a_panic_costs_neither_its_slot_nor_the_loop() {
    let mut bench = Bench::with([due(1, 1, "panic"), due(2, 2, "panic"), due(3, 3, "200")]);
    bench.limits.in_flight_max = 1;
    let running = Running::of(&bench);
    bench.queue.ended(3).await;
    running.shut_down().await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([1, 2, 3]));
    for settlement in &bench.queue.state.lock().settled[..2] {
        let next = &settlement.next;
        assert_eq!((settlement.attempt.as_ref(), next.attempts_spent, next.state.is_final()), (None, 0, false));
        assert!(next.due_at > Some(noon()), "it is sent again, but not at once");
    }
}

/// What is refused is settled without the texts of its attempt, so that it is not sent again as often as its lease ends.
#[tokio::test]
async fn a_settlement_that_is_refused_holds_up_no_other_and_is_written_bare() {
    let bench = Bench::with([due(1, 1, "503"), due(2, 2, "200"), due(3, 3, "200")]);
    bench.queue.state.lock().refuses = Some(Uuid::from_u128(1).into());
    let running = Running::of(&bench);
    bench.queue.ended(3).await;
    running.shut_down().await;
    let state = bench.queue.state.lock();
    let refused = state.settled.iter().find(|it| it.delivery_id.0 == Uuid::from_u128(1)).expect("settled");
    let attempt = refused.attempt.as_ref().expect("an attempt");
    assert_eq!(
        (attempt.code, attempt.request.as_ref(), attempt.response_body.as_ref()),
        (OutcomeCode::HttpStatus, None, None)
    );
    assert_eq!(refused.next.attempts_spent, 1);
    assert!(attempt.detail.as_ref().is_some_and(|detail| detail.contains("refused")));
    let whole = state.settled.iter().filter(|it| it.attempt.as_ref().is_some_and(|attempt| attempt.request.is_some()));
    assert_eq!(whole.count(), 2);
}

/// As where a batch takes longer than a statement may: it is halved, and what fails alone goes behind the others.
#[tokio::test(start_paused = true)]
async fn a_settlement_that_always_fails_holds_up_no_other() {
    let bench = Bench::with((1..=20).map(|number| due(number, number, "200")));
    let failing = [Uuid::from_u128(1).into(), Uuid::from_u128(7).into()];
    bench.queue.state.lock().fails = failing.to_vec();
    let running = Running::of(&bench);
    bench.queue.ended(18).await;
    assert_eq!(settled_ids(&bench), (1..=20).filter(|number| ![1, 7].contains(number)).collect());
    bench.queue.state.lock().fails.clear();
    bench.queue.ended(20).await;
    running.shut_down().await;
}

/// While nothing can be written none of them is the cause: they are written together again, and not one by one.
#[tokio::test(start_paused = true)]
async fn in_an_outage_no_settlement_is_suspected() {
    let bench = Bench::with((1..=40).map(|number| due(number, number, "200")));
    bench.queue.failing("settle", 30);
    let running = Running::of(&bench);
    bench.queue.ended(40).await;
    running.shut_down().await;
    let commits = bench.queue.state.lock().commits.clone();
    assert!(commits.len() <= 7, "{commits:?}");
}

/// Also where others were written just before: it is written as soon as the store answers, before its lease ends.
#[tokio::test(start_paused = true)]
async fn after_an_outage_a_settlement_that_stood_alone_is_written_at_once() {
    let bench = Bench::with([due(1, 1, "200")]);
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    bench.queue.failing("settle", 9);
    bench.queue.failing("extend", u32::MAX);
    bench.queue.add(due(2, 2, "200"));
    running.wake.raise();
    let began = tokio::time::Instant::now();
    bench.queue.ended(2).await;
    assert!(began.elapsed().as_millis() < u128::from(crate::limits::LEASE_MS));
    running.shut_down().await;
}

/// As where the database always fails at the texts of its attempt, and calls that a failure which passes.
#[tokio::test(start_paused = true)]
async fn a_settlement_that_always_fails_while_others_are_written_is_written_bare() {
    let bench = Bench::with((1..=3).map(|number| due(number, number, "200")));
    bench.queue.state.lock().fails_whole = Some(Uuid::from_u128(1).into());
    let running = Running::of(&bench);
    bench.queue.ended(2).await;
    for number in 4..=12 {
        bench.queue.add(due(number, number, "200"));
        running.wake.raise();
        bench.queue.ended(number as usize - 1).await;
        tokio::time::advance(std::time::Duration::from_millis(crate::limits::SUSPECT_MS_MAX)).await;
    }
    bench.queue.ended(12).await;
    running.shut_down().await;
    let state = bench.queue.state.lock();
    let attempt_of = |number| {
        let settled = state.settled.iter().find(|it| it.delivery_id.0 == Uuid::from_u128(number)).expect("settled");
        settled.attempt.clone().expect("an attempt")
    };
    assert!(attempt_of(1).request.is_none() && attempt_of(2).request.is_some());
    let failed_alone = state.failed_alone;
    assert!(failed_alone > crate::limits::SUSPECT_FAILURES_MAX, "given up after {failed_alone} failures");
}

/// Else its request would be sent again by whoever comes next.
#[tokio::test(start_paused = true)]
async fn a_settlement_that_always_fails_is_written_bare_before_a_shutdown_ends() {
    let bench = Bench::with((1..=3).map(|number| due(number, number, "200")));
    bench.queue.state.lock().fails_whole = Some(Uuid::from_u128(1).into());
    let running = Running::of(&bench);
    bench.queue.ended(2).await;
    bench.queue.add(due(4, 4, "200"));
    running.wake.raise();
    bench.queue.ended(3).await;
    running.shut_down().await;
    assert_eq!(settled_ids(&bench), (1..=4).collect());
}

/// While one waits for longer and longer, another that met with an outage alone is written as soon as the store answers.
#[tokio::test(start_paused = true)]
async fn after_an_outage_no_settlement_waits_for_one_that_always_fails() {
    let bench = Bench::with((1..=3).map(|number| due(number, number, "200")));
    bench.queue.state.lock().fails = vec![Uuid::from_u128(1).into()];
    let running = Running::of(&bench);
    bench.queue.ended(2).await;
    for number in 4..=8 {
        bench.queue.add(due(number, number, "200"));
        running.wake.raise();
        bench.queue.ended(number as usize - 1).await;
        tokio::time::advance(std::time::Duration::from_millis(crate::limits::SUSPECT_MS_MAX)).await;
    }
    bench.queue.failing("settle", 5);
    bench.queue.add(due(9, 9, "200"));
    running.wake.raise();
    let began = tokio::time::Instant::now();
    bench.queue.ended(8).await;
    assert!(began.elapsed().as_millis() < u128::from(crate::limits::LEASE_MS));
    bench.queue.state.lock().fails.clear();
    running.shut_down().await;
    assert_eq!(settled_ids(&bench).len(), 9);
}

/// The rest of its share is sent.
#[tokio::test]
async fn a_payload_that_cannot_be_kept_holds_up_no_other() {
    let bench = Bench::with([due(1, 1, "200"), due(2, 2, "200"), due(3, 3, "200")]);
    bench.queue.state.lock().refuses_payload = Some(Uuid::from_u128(2).into());
    let running = Running::of(&bench);
    bench.queue.ended(3).await;
    running.shut_down().await;
    assert_eq!(bench.transport.count(), 2);
    let state = bench.queue.state.lock();
    let unkept = state.settled.iter().find(|it| it.delivery_id.0 == Uuid::from_u128(2)).expect("settled");
    assert_eq!((unkept.attempt.as_ref(), unkept.next.attempts_spent, unkept.next.state.is_final()), (None, 0, false));
    assert!(unkept.next.reason.as_ref().is_some_and(|reason| reason.contains("cannot be kept")));
}

/// Sixteen are rendered before it is known how large they are; they hold 128 slots, more than half, and the others go back.
#[tokio::test]
async fn large_payloads_of_one_webhook_leave_room_for_others() {
    let large = |webhook: &mut Webhook| (webhook.name, webhook.flow.concurrency) = ("large".to_owned(), 100);
    let mut bench = Bench::with((1..=40).map(|number| with_webhook(due(number, 1, "gate"), large)));
    bench.limits.in_flight_max = 200;
    let running = Running::of(&bench);
    bench.queue.ended(24).await;
    assert_eq!(bench.transport.count(), 16);
    assert_eq!(bench.queue.state.lock().released.len(), 24);
    bench.queue.add(due(50, 2, "200"));
    running.wake.raise();
    bench.queue.ended(25).await;
    bench.transport.gate.add_permits(16);
    bench.queue.ended(41).await;
    running.shut_down().await;
}

/// Of the share of another tenant too: before they are rendered nothing tells how large they are.
#[tokio::test(start_paused = true)]
async fn payloads_whose_size_nothing_tells_are_rendered_a_few_at_a_time() {
    let mut other = due(2, 2, "200");
    other.delivery.tenant_id = TenantId(Uuid::from_u128(2));
    let mut bench = Bench::with([due(1, 1, "render-hangs"), other]);
    bench.limits.in_flight_max = 8;
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    assert_eq!(*bench.renderer.calls.lock(), [1]);
    bench.queue.ended(2).await;
    running.shut_down().await;
}

/// What was rendered meanwhile is larger than was guessed, and is in flight: those that waited go back.
#[tokio::test]
async fn payloads_that_waited_for_others_are_not_rendered_once_those_hold_every_slot() {
    let large = |webhook: &mut Webhook| (webhook.name, webhook.flow.concurrency) = ("large".to_owned(), 100);
    let of = |tenant: u128, number: u128| {
        let mut claim = with_webhook(due(number, tenant, "gate"), large);
        claim.delivery.tenant_id = TenantId(Uuid::from_u128(tenant));
        claim
    };
    let mut bench = Bench::with((1..=8).map(|number| of(1, number)).chain((9..=16).map(|number| of(2, number))));
    bench.limits.in_flight_max = 64;
    let running = Running::of(&bench);
    bench.transport.begun(8).await;
    bench.queue.ended(8).await;
    assert_eq!(*bench.renderer.calls.lock(), [8]);
    assert_eq!(bench.queue.state.lock().released.len(), 8);
    bench.transport.gate.add_permits(8);
    bench.queue.ended(16).await;
    running.shut_down().await;
}

/// Portions of bytes, as they were rendered.
#[tokio::test]
async fn large_payloads_are_frozen_and_settled_in_portions() {
    let bench = Bench::with([due(1, 1, "half"), due(2, 1, "half"), due(3, 1, "half")]);
    let running = Running::of(&bench);
    bench.queue.ended(3).await;
    running.shut_down().await;
    let state = bench.queue.state.lock();
    assert_eq!(state.freezes, [1, 1, 1]);
    assert_eq!(state.commits, [1, 1, 1]);
    assert_eq!(bench.transport.count(), 3);
}

#[tokio::test]
async fn a_wake_up_is_enough_to_look_again() {
    let mut bench = Bench::with([due(1, 1, "200")]);
    bench.limits.poll_ms = 3_600_000;
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    bench.queue.add(due(2, 2, "200"));
    running.wake.raise();
    bench.queue.ended(2).await;
    running.shut_down().await;
}

#[tokio::test]
async fn a_lost_wake_up_does_no_harm() {
    let bench = Bench::with([due(1, 1, "200")]);
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    bench.queue.add(due(2, 2, "200"));
    bench.queue.ended(2).await;
    running.shut_down().await;
}

#[tokio::test]
async fn a_shutdown_lets_requests_in_flight_end() {
    let mut bench = Bench::with([due(1, 1, "gate")]);
    bench.limits.drain_ms = 60_000;
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    running.shutdown.cancel();
    bench.queue.add(due(2, 2, "200"));
    bench.transport.gate.add_permits(1);
    running.shut_down().await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([1]));
    assert!(bench.queue.state.lock().released.is_empty());
}

#[tokio::test]
async fn a_shutdown_releases_what_takes_too_long() {
    let bench = Bench::with([due(1, 1, "never")]);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    running.shut_down().await;
    assert_eq!(bench.queue.state.lock().released, [Uuid::from_u128(1).into()]);
    assert!(bench.queue.state.lock().settled.is_empty());
}

#[tokio::test]
async fn a_shutdown_releases_what_is_not_sent_yet() {
    let bench = Bench::with([due(1, 1, "200"), due(2, 1, "render-hangs")]);
    let running = Running::of(&bench);
    bench.renderer.called().await;
    running.shut_down().await;
    assert_eq!(bench.queue.state.lock().released.len(), 2);
    assert_eq!(bench.transport.count(), 0);
}

#[tokio::test]
async fn a_shutdown_ends_even_when_the_store_takes_nothing() {
    let mut bench = Bench::with([due(1, 1, "200")]);
    bench.limits.flush_ms = 20;
    bench.queue.failing("settle", u32::MAX);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    running.shut_down().await;
    assert!(bench.queue.state.lock().settled.is_empty());
}

#[tokio::test]
async fn what_stays_in_flight_is_kept_leased_through_a_failing_store_until_it_is_settled() {
    let mut bench = Bench::with([due(1, 1, "gate"), due(2, 2, "200")]);
    (bench.limits.lease_ms, bench.limits.beat_ms) = (limits::SEND_MARGIN_MS, 2);
    bench.limits.drain_ms = 60_000;
    bench.queue.failing("extend", 2);
    let running = Running::of(&bench);
    bench.transport.begun(2).await;
    bench.queue.ended(1).await;
    bench.noted.advance_ms(2);
    bench.queue.beaten(1).await;
    bench.transport.gate.add_permits(1);
    running.shut_down().await;
    let extended = bench.queue.state.lock().extended.clone();
    assert!(extended.iter().all(|ids| *ids == [Uuid::from_u128(1).into()]), "{extended:?}");
}

/// A recording claims what it makes due: it is delivered though nobody is woken.
#[tokio::test]
async fn what_a_recording_claimed_along_is_delivered() {
    let bench = Bench::with([]);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    let claimer = bench.queue.claimer();
    let wanted = claimer.wanted().expect("room for a claim");
    let most = flow::claim_size(bench.limits.in_flight_max).min(bench.limits.claim_batch_max);
    assert_eq!(wanted.request().limit, most);
    let beside = claimer.wanted().expect("room for another");
    let share = |wanted: &dyn WantedClaim| wanted.request().limit_per_webhook;
    assert!(share(&*beside) < share(&*wanted), "what the first may take counts as taken");
    assert!(claimer.wanted().is_none(), "a third could take nothing");
    drop(beside);
    let leased_until = wanted.request().leased_until;
    let claim = ClaimedDelivery { leased_until, ..due(1, 1, "200") };
    wanted.take(Claims { deliveries: vec![claim], left: Left::default() });
    bench.queue.ended(1).await;
    assert_eq!(settled_ids(&bench), BTreeSet::from([1]));
    running.shut_down().await;
    assert!(claimer.wanted().is_none(), "nothing is claimed any more");
}

/// For that somebody has to be woken.
#[tokio::test]
async fn what_waits_for_a_token_or_beside_other_claims_does_not_wait_for_slots_alone() {
    let bench = Bench::with([]);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    let claimer = bench.queue.claimer();
    let limited = with_webhook(due(1, 1, "200"), |webhook| webhook.flow.rate_per_second = Some(1));
    let other = due(2, 2, "200");
    let wanted = claimer.wanted().expect("room for a claim");
    assert!(wanted.waits_for_slots(limited.webhook.id) && wanted.waits_for_slots(other.webhook.id));
    let beside = claimer.wanted().expect("room for another");
    assert!(!beside.waits_for_slots(other.webhook.id));
    drop(beside);
    let leased_until = wanted.request().leased_until;
    let (id, other_id) = (limited.webhook.id, other.webhook.id);
    wanted.take(Claims { deliveries: vec![ClaimedDelivery { leased_until, ..limited }], left: Left::default() });
    bench.queue.ended(1).await;
    let wanted = claimer.wanted().expect("room for a claim");
    assert!(!wanted.waits_for_slots(id) && wanted.waits_for_slots(other_id));
    drop(wanted);
    running.shut_down().await;
}

/// What is claimed as a shutdown begins is given back, and the shutdown waits for it.
#[tokio::test]
async fn a_shutdown_waits_for_what_a_recording_is_claiming() {
    let bench = Bench::with([]);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    let wanted = bench.queue.claimer().wanted().expect("room for a claim");
    running.shutdown.cancel();
    wanted.take(Claims { deliveries: vec![due(1, 1, "200")], left: Left::default() });
    running.shut_down().await;
    assert_eq!(bench.queue.state.lock().released, [DeliveryId(Uuid::from_u128(1))]);
    assert_eq!(bench.transport.count(), 0);
}

/// A claim of which so much time is gone that a beat is due to it.
fn claimed_late(bench: &Bench) {
    let wanted = bench.queue.claimer().wanted().expect("room for a claim");
    let leased_until = plus_ms(noon(), bench.limits.lease_ms - bench.limits.beat_ms);
    let claim = ClaimedDelivery { leased_until, ..due(1, 1, "200") };
    wanted.take(Claims { deliveries: vec![claim], left: Left::default() });
}

#[tokio::test]
async fn what_is_claimed_late_is_extended_before_it_is_sent() {
    let bench = Bench::with([]);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    claimed_late(&bench);
    bench.queue.ended(1).await;
    assert_eq!(bench.queue.state.lock().extended, [[DeliveryId(Uuid::from_u128(1))]]);
    assert_eq!(bench.transport.count(), 1);
    running.shut_down().await;
}

#[tokio::test]
async fn what_is_claimed_late_and_cannot_be_extended_is_given_back_unsent() {
    let bench = Bench::with([]);
    bench.queue.failing("extend", 1);
    let running = Running::of(&bench);
    bench.queue.looked(1).await;
    claimed_late(&bench);
    bench.queue.ended(1).await;
    assert_eq!(bench.queue.state.lock().released, [DeliveryId(Uuid::from_u128(1))]);
    assert_eq!(bench.transport.count(), 0);
    running.shut_down().await;
}
