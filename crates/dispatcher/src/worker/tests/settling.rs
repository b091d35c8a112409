//! Settlements that the store takes late, or never: the table in `settler`, case by case.

use super::running::{Running, settled_ids};
use super::*;
use crate::limits::{LEASE_MS, SUSPECT_FAILURES_MAX, SUSPECT_MS_MAX};
use hookgraph_domain::attempt::OutcomeCode;
use std::time::Duration;
use tokio::time::{Instant, advance};

#[tokio::test]
async fn claims_that_end_during_a_commit_are_committed_together_after_it() {
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

/// Without a settlement its request would be sent again each time that its lease ends.
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

/// A batch may take longer than a statement may. So it is halved, and a settlement that fails alone goes behind the
/// others.
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

/// While nothing can be written no settlement is the cause: afterwards they are written together, and not one by one.
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

/// Others were written just before the outage. The settlement is written as soon as the store answers, before its
/// lease ends.
#[tokio::test(start_paused = true)]
async fn after_an_outage_a_settlement_that_stood_alone_is_written_at_once() {
    let bench = Bench::with([due(1, 1, "200")]);
    let running = Running::of(&bench);
    bench.queue.ended(1).await;
    bench.queue.failing("settle", 9);
    bench.queue.failing("extend", u32::MAX);
    bench.queue.add(due(2, 2, "200"));
    running.wake.raise();
    let began = Instant::now();
    bench.queue.ended(2).await;
    assert!(began.elapsed().as_millis() < u128::from(LEASE_MS));
    running.shut_down().await;
}

/// The database always fails at the texts of its attempt, and calls each failure one that passes.
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
        advance(Duration::from_millis(SUSPECT_MS_MAX)).await;
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
    assert!(failed_alone > SUSPECT_FAILURES_MAX, "given up after {failed_alone} failures");
}

/// Without a settlement its request would be sent again by the next process.
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

/// One settlement waits for longer and longer. Another, which failed because of an outage, is written as soon as the
/// store answers.
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
        advance(Duration::from_millis(SUSPECT_MS_MAX)).await;
    }
    bench.queue.failing("settle", 5);
    bench.queue.add(due(9, 9, "200"));
    running.wake.raise();
    let began = Instant::now();
    bench.queue.ended(8).await;
    assert!(began.elapsed().as_millis() < u128::from(LEASE_MS));
    bench.queue.state.lock().fails.clear();
    running.shut_down().await;
    assert_eq!(settled_ids(&bench).len(), 9);
}
