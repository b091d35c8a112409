//! The order and the rate of a webhook, as the worker keeps them.

use super::*;

#[tokio::test]
async fn a_later_event_on_a_record_waits_until_the_earlier_one_has_ended() {
    let world = World::with(|webhook| {
        webhook.flow.ordering = Ordering::ByRecord;
        webhook.retry_delays_s = vec![5];
    })
    .await;
    world.answers(503);
    world.events(2, "o1").await;
    world.events(1, "o2").await;
    assert_eq!(world.work().await.sent, 2, "the first of each record");
    world.answers(200);
    assert_eq!(world.work_all().await, 0, "the first are still to be retried");
    world.clock.advance_ms(6_000);
    assert_eq!(world.work().await.sent, 2);
    assert_eq!(world.work().await.sent, 1, "the second of the first record");
    assert_eq!(world.states().await, BTreeMap::from([(DeliveryState::Delivered, 3)]));
}

#[tokio::test]
async fn without_an_order_nothing_waits() {
    let world = World::with(|_| {}).await;
    world.answers(503);
    world.events(2, "o1").await;
    assert_eq!(world.work().await.sent, 2);
}

#[tokio::test]
async fn a_rate_is_kept_and_a_delivery_that_waits_for_it_spends_no_attempt() {
    let world = World::with(|webhook| webhook.flow.rate_per_second = Some(10)).await;
    world.events(12, "o1").await;
    assert_eq!(world.work_all().await, 2, "a quarter of a second's worth at once");
    for sent_before in 2..12 {
        world.clock.advance_ms(99);
        assert_eq!(world.work_all().await, 0, "after {sent_before}");
        world.clock.advance_ms(1);
        assert_eq!(world.work_all().await, 1, "after {sent_before}");
    }
    let deliveries = world.deliveries().await;
    assert!(deliveries.iter().all(|delivery| delivery.attempts_spent == 1 && delivery.attempt_count == 1));
}
