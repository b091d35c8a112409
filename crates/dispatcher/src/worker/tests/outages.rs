//! The loop after outages of the store. Tests move two clocks: the paused one of the runtime, and the bench's.

use super::running::Running;
use super::*;

/// Lets the loop do everything that it can do at this time of the bench's clock.
async fn idle() {
    for _ in 0..600 {
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
    }
}

/// Asserts that nothing is claimed until [`limits::SETTLE_FIRST_MS`] have passed, and the due delivery is claimed then.
async fn assert_settles_first(bench: &Bench) {
    idle().await;
    let asked = bench.queue.state.lock().claims.len();
    bench.noted.advance_ms(limits::SETTLE_FIRST_MS - 1);
    idle().await;
    let claims = bench.queue.state.lock().claims.len();
    assert_eq!(claims, asked, "claimed too early");
    bench.noted.advance_ms(1);
    bench.queue.ended(1).await;
}

/// The store was away for so long that leases ended: settlements are written before any delivery is taken over.
#[tokio::test(start_paused = true)]
async fn after_a_long_outage_settlements_come_before_claims() {
    for (outage_ms, waits) in [(limits::LEASE_MS / 2, true), (limits::LEASE_MS / 2 - 1, false)] {
        let bench = Bench::with([due(1, 1, "200")]);
        bench.queue.failing("claim", 1);
        bench.queue.failing("next_due_at", 1);
        let running = Running::of(&bench);
        bench.queue.looked(1).await;
        assert_eq!(bench.queue.state.lock().claims.len(), 1);
        bench.noted.advance_ms(outage_ms);
        if waits {
            assert_settles_first(&bench).await;
        } else {
            bench.queue.ended(1).await;
        }
        running.shut_down().await;
    }
}

/// The disk is full. The store can be read, but that says nothing of writes.
#[tokio::test(start_paused = true)]
async fn after_a_long_outage_of_writes_settlements_come_before_claims() {
    let bench = Bench::with([due(1, 1, "200")]);
    bench.queue.failing("claim", u32::MAX);
    let running = Running::of(&bench);
    idle().await;
    bench.noted.advance_ms(limits::LEASE_MS / 2);
    idle().await;
    let asked = bench.queue.state.lock().claims.len();
    bench.noted.advance_ms(limits::SETTLE_FIRST_MS);
    idle().await;
    assert_eq!(bench.queue.state.lock().claims.len(), asked + 1, "and the writes still fail");
    bench.queue.failing("claim", 0);
    assert_settles_first(&bench).await;
    running.shut_down().await;
}

/// Nothing is claimed while the store is away, because every slot is held: only failing settlements tell of the outage.
#[tokio::test(start_paused = true)]
async fn after_a_long_outage_that_only_settlements_tell_of_they_come_before_claims() {
    let mut bench = Bench::with([due(1, 1, "200"), due(2, 2, "200")]);
    bench.limits.in_flight_max = 1;
    bench.queue.failing("settle", u32::MAX);
    bench.queue.failing("extend", u32::MAX);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    idle().await;
    let claimer = bench.queue.claimer();
    assert!(claimer.wanted().is_none());
    for _ in 0..=limits::LEASE_MS / 2 / limits::STORE_BACKOFF_MS_MAX {
        bench.noted.advance_ms(limits::STORE_BACKOFF_MS_MAX);
        idle().await;
    }
    bench.queue.failing("settle", 0);
    bench.queue.ended(1).await;
    idle().await;
    assert!(claimer.wanted().is_none(), "nor does a recording claim");
    bench.noted.advance_ms(limits::SETTLE_FIRST_MS - 1);
    idle().await;
    assert_eq!(bench.transport.count(), 1, "claimed too early");
    bench.noted.advance_ms(1);
    bench.queue.ended(2).await;
    running.shut_down().await;
}

/// A settlement that always fails though the store answers must not hold up the others.
#[tokio::test(start_paused = true)]
async fn settlements_that_never_succeed_keep_the_loop_from_claiming_for_a_limited_time() {
    let bench = Bench::with([due(1, 1, "200")]);
    bench.queue.failing("settle", u32::MAX);
    bench.queue.failing("extend", u32::MAX);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    idle().await;
    let passes = async |ms: u64| {
        for _ in 0..ms / limits::STORE_BACKOFF_MS_MAX {
            bench.noted.advance_ms(limits::STORE_BACKOFF_MS_MAX);
            idle().await;
        }
    };
    passes(limits::LEASE_MS / 2 + limits::STORE_BACKOFF_MS_MAX).await;
    bench.queue.add(due(2, 2, "200"));
    passes(limits::SETTLE_FIRST_MS_MAX / 2).await;
    // The store goes away once more: the limited time begins anew.
    bench.queue.failing("next_due_at", 1);
    passes(limits::SETTLE_FIRST_MS_MAX * 3 / 4).await;
    assert_eq!(bench.transport.count(), 1, "claimed too early");
    passes(limits::SETTLE_FIRST_MS_MAX).await;
    bench.transport.begun(2).await;
    bench.queue.failing("settle", 0);
    bench.queue.ended(2).await;
    running.shut_down().await;
}

/// Calls that wait for a connection succeed as soon as there is one: none failed, though leases ended.
#[tokio::test(start_paused = true)]
async fn after_a_call_that_took_as_long_as_an_outage_settlements_come_before_claims() {
    let bench = Bench::with([due(1, 1, "200")]);
    bench.queue.settle_gate.forget_permits(1_000);
    let running = Running::of(&bench);
    bench.transport.begun(1).await;
    idle().await;
    let claimer = bench.queue.claimer();
    assert!(claimer.wanted().is_some(), "there is room");
    bench.noted.advance_ms(limits::LEASE_MS / 2);
    assert!(claimer.wanted().is_none(), "not for a recording while a call hangs");
    bench.queue.settle_gate.add_permits(2);
    bench.queue.ended(1).await;
    bench.queue.add(due(2, 2, "200"));
    running.wake.raise();
    bench.noted.advance_ms(limits::SETTLE_FIRST_MS - 1);
    idle().await;
    assert!(bench.transport.count() == 1 && claimer.wanted().is_none(), "claimed too early");
    bench.noted.advance_ms(1);
    bench.queue.ended(2).await;
    running.shut_down().await;
}
