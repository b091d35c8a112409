//! Payloads are frozen before anything is sent, whatever the store makes of some of them.

use super::running::Running;
use super::*;

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

/// The other deliveries of its share are sent.
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

/// Each portion holds as many bytes as one write takes.
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
