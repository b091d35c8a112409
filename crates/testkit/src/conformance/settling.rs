//! Freezing and settling, always under a claim's token.

use super::World;
use super::world::LEASE_MS;
use crate::sample;
use hookgraph_domain::attempt::{Attempt, OutgoingRequest, ResponseHead};
use hookgraph_domain::change::Write;
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, DeliveryState, NewDelivery};
use hookgraph_domain::ports::{Fenced, Store};
use hookgraph_domain::settle::HealthSignal;
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::WebhookStatus;
use std::sync::Arc;

/// A worker that lost its lease neither freezes nor settles, and its attempt is not kept.
pub async fn an_old_token_changes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with_query().await;
    world.event().await;
    let lost = world.claim_one().await;
    let current = world.claim_at(plus_ms(sample::now(), LEASE_MS), 10, 10).await.remove(0);
    let before = world.delivery(current.delivery.id).await;
    assert_eq!(world.freeze(&lost, "{}").await, Fenced::LeaseLost);
    assert_eq!(world.settle(&lost, DeliveryState::Delivered).await, Fenced::LeaseLost);
    assert_eq!(world.delivery(current.delivery.id).await, before);
    assert!(world.store.payloads(&[before.id]).await.expect("read").is_empty());
    assert!(world.store.attempts(&[before.id]).await.expect("read").is_empty());

    assert_eq!(world.settle(&current, DeliveryState::Delivered).await, Fenced::Done);
    assert_eq!(world.settle(&current, DeliveryState::Failed).await, Fenced::LeaseLost, "it is settled once");
    assert_eq!(world.delivery(before.id).await.state, DeliveryState::Delivered);
}

/// One call settles deliveries that arrived and deliveries that did not, beside one that another worker holds by now
/// and one that is named twice.
pub async fn each_of_a_batch_is_settled_for_itself(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    for _ in 0..3 {
        world.event().await;
    }
    let claimed = world.claim().await;
    let mut old = world.settlement(&claimed[2], DeliveryState::Delivered);
    old.fencing_token -= 1;
    let batch = [
        world.settlement(&claimed[0], DeliveryState::Delivered),
        world.settlement(&claimed[0], DeliveryState::Delivered),
        world.settlement(&claimed[0], DeliveryState::Failed),
        old,
        world.settlement(&claimed[1], DeliveryState::Retrying),
        world.settlement(&claimed[2], DeliveryState::Delivered),
    ];
    let answers = world.store.settle(&batch).await.expect("settle");
    let (done, lost) = (Fenced::Done, Fenced::LeaseLost);
    assert_eq!(answers, [done, lost, lost, lost, done, done]);
    let ids: Vec<_> = claimed.iter().map(|claimed| claimed.delivery.id).collect();
    for (id, state) in ids.iter().zip([DeliveryState::Delivered, DeliveryState::Retrying, DeliveryState::Delivered]) {
        let delivery = world.delivery(*id).await;
        assert_eq!((delivery.state, delivery.attempts_spent, delivery.attempt_count), (state, 1, 1));
    }
    assert_eq!(world.store.attempts(&ids).await.expect("read").len(), 3, "one attempt each");
}

/// Neither the claim that froze the payload nor a later one replaces it.
pub async fn a_frozen_payload_is_never_replaced(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with_query().await;
    world.event().await;
    let first = world.claim_one().await;
    assert_eq!(world.freeze(&first, r#"{"n":1}"#).await, Fenced::Done);
    assert_eq!(world.freeze(&first, r#"{"n":2}"#).await, Fenced::LeaseLost);
    let second = world.claim_at(plus_ms(sample::now(), LEASE_MS), 10, 10).await.remove(0);
    assert_eq!(world.freeze(&second, r#"{"n":3}"#).await, Fenced::LeaseLost);
    let payloads = world.store.payloads(&[first.delivery.id]).await.expect("read");
    assert_eq!(payloads[0].1.json.as_ref(), r#"{"n":1}"#);
    assert_eq!(payloads[0].1.rendered_at, sample::now());
}

/// The attempt reads back as it was settled.
pub async fn an_attempt_and_its_state_are_written_together(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    let claimed = world.claim_one().await;
    let mut settlement = world.settlement(&claimed, DeliveryState::Retrying);
    let mut attempt = world.attempt(&claimed);
    attempt.request = Some(OutgoingRequest {
        method: "POST".to_owned(),
        url: "https://receiver.example/hook".to_owned(),
        headers: vec![("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())],
        body: Some(r#"{"é":1}"#.into()),
    });
    attempt.response = Some(ResponseHead { status: 503, headers: vec![("retry-after".to_owned(), "5".to_owned())] });
    attempt.response_body = Some("busy".to_owned());
    attempt.response_truncated = true;
    attempt.remote_address = Some("203.0.113.7:443".to_owned());
    settlement.attempt = Some(attempt.clone());
    assert_eq!(world.settle_as(settlement).await, Fenced::Done);
    assert_eq!(world.store.attempts(&[claimed.delivery.id]).await.expect("read"), [attempt]);
    let delivery = world.delivery(claimed.delivery.id).await;
    assert_eq!((delivery.state, delivery.attempts_spent, delivery.attempt_count), (DeliveryState::Retrying, 1, 1));
    assert_eq!(delivery.due_at, Some(plus_ms(sample::now(), 5_000)));
    assert!(delivery.state_reason.is_some());
}

/// The text is kept whatever it begins with; an empty text differs from none.
pub async fn a_text_of_an_answer_is_kept_as_it_came(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    for text in [None, Some(""), Some("\u{1}"), Some("\u{1}\u{1}a"), Some("=a"), Some("plain")] {
        world.event().await;
        let claimed = world.claim_one().await;
        let mut settlement = world.settlement(&claimed, DeliveryState::Delivered);
        let attempt = Attempt { response_body: text.map(str::to_owned), ..world.attempt(&claimed) };
        settlement.attempt = Some(attempt.clone());
        assert_eq!(world.settle_as(settlement).await, Fenced::Done, "{text:?}");
        assert_eq!(world.store.attempts(&[claimed.delivery.id]).await.expect("read"), [attempt], "{text:?}");
    }
}

/// The retry waits no longer than its time either.
pub async fn a_retry_waits_for_its_time(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    let claimed = world.claim_one().await;
    world.settle(&claimed, DeliveryState::Retrying).await;
    assert!(world.claim_at(plus_ms(sample::now(), 4_999), 10, 10).await.is_empty());
    let again = world.claim_at(plus_ms(sample::now(), 5_000), 10, 10).await.remove(0);
    assert_eq!((again.delivery.attempts_spent, again.delivery.attempt_count), (1, 1));
    world.settle(&again, DeliveryState::Delivered).await;
    let delivered = world.delivery(again.delivery.id).await;
    assert_eq!((delivered.state, delivered.due_at, delivered.attempt_count), (DeliveryState::Delivered, None, 2));
}

/// The webhook was disabled while the request was under way.
pub async fn a_retry_under_a_disabled_webhook_is_cancelled(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    world.event().await;
    let claimed = world.claim_one().await;
    world.set_status(webhook.id, WebhookStatus::Disabled, Vec::new()).await;
    world.settle(&claimed, DeliveryState::Retrying).await;
    let delivery = world.delivery(claimed.delivery.id).await;
    assert_eq!((delivery.state, delivery.due_at), (DeliveryState::Cancelled, None));
}

/// The attempt that was made counts.
pub async fn a_retry_under_a_paused_webhook_is_held(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    world.event().await;
    let claimed = world.claim_one().await;
    world.set_status(webhook.id, WebhookStatus::Paused, Vec::new()).await;
    world.settle(&claimed, DeliveryState::Retrying).await;
    let delivery = world.delivery(claimed.delivery.id).await;
    assert_eq!((delivery.state, delivery.due_at, delivery.attempts_spent), (DeliveryState::Held, None, 1));
}

/// A delivered delivery stays delivered, and no other is sent any more.
pub async fn a_delivery_stands_under_a_deleted_webhook(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    world.event().await;
    world.event().await;
    let claimed = world.claim().await;
    world.change_webhook(webhook.id, |webhook| webhook.deleted_at = Some(sample::now()), Vec::new()).await;
    world.settle(&claimed[0], DeliveryState::Delivered).await;
    world.settle(&claimed[1], DeliveryState::Retrying).await;
    assert_eq!(world.delivery(claimed[0].delivery.id).await.state, DeliveryState::Delivered);
    assert_eq!(world.delivery(claimed[1].delivery.id).await.state, DeliveryState::Cancelled);
}

/// The transaction of the settlement auto-disables the webhook and holds its deliveries.
pub async fn a_gone_receiver_holds_all_that_is_due(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    for _ in 0..3 {
        world.event().await;
    }
    let claimed = world.claim_at(sample::now(), 2, 10).await;
    let mut gone = world.settlement(&claimed[0], DeliveryState::Held);
    gone.health = Some(HealthSignal::Gone);
    let other = world.settlement(&claimed[1], DeliveryState::Retrying);
    let answers = world.store.settle(&[gone, other]).await.expect("settle");
    assert_eq!(answers, [Fenced::Done, Fenced::Done]);
    let webhook = world.read_webhook(webhook.id).await;
    assert_eq!((webhook.status, webhook.version), (WebhookStatus::AutoDisabled, 2));
    let states: Vec<_> = world.deliveries().await.into_iter().map(|delivery| delivery.state).collect();
    assert_eq!(states, [DeliveryState::Held; 3]);
    assert!(world.claim_at(plus_ms(sample::now(), 60_000), 10, 10).await.is_empty());
}

/// The webhook notes the time of the first failure.
pub async fn a_failure_is_noted_and_a_success_forgets_it(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    world.event().await;
    world.event().await;
    let claimed = world.claim().await;
    world.settle(&claimed[0], DeliveryState::Retrying).await;
    assert_eq!(world.read_webhook(webhook.id).await.failing_since, Some(sample::now()));
    world.settle(&claimed[1], DeliveryState::Delivered).await;
    assert_eq!(world.read_webhook(webhook.id).await.failing_since, None);
}

/// The settlement of a test changes no webhook, whatever its health signal is.
pub async fn a_test_leaves_the_webhook_alone(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let event = sample::event(world.id(), world.tenant_id, "o1");
    let delivery = NewDelivery {
        id: world.id(),
        tenant_id: world.tenant_id,
        webhook_id: webhook.id,
        event: DeliveryEvent::Synthetic(Box::new(event)),
        purpose: DeliveryPurpose::Test,
    };
    world.write(vec![Write::InsertDelivery(delivery)]).await;
    let claimed = world.claim_one().await;
    let mut gone = world.settlement(&claimed, DeliveryState::Failed);
    gone.health = Some(HealthSignal::Gone);
    world.settle_as(gone).await;
    assert_eq!(world.read_webhook(webhook.id).await, webhook);
}

/// The cancel has no effect on a delivery that arrived.
pub async fn a_cancel_in_flight_ends_what_was_not_delivered(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    world.event().await;
    let claimed = world.claim().await;
    for claimed in &claimed {
        let cancel = Write::CancelDelivery { delivery_id: claimed.delivery.id, reason: "by hand".to_owned() };
        world.write(vec![cancel]).await;
        let delivery = world.delivery(claimed.delivery.id).await;
        assert!(delivery.cancel_requested);
        assert_eq!(delivery.state, DeliveryState::InFlight);
    }
    world.settle(&claimed[0], DeliveryState::Delivered).await;
    world.settle(&claimed[1], DeliveryState::Retrying).await;
    assert_eq!(world.delivery(claimed[0].delivery.id).await.state, DeliveryState::Delivered);
    assert_eq!(world.delivery(claimed[1].delivery.id).await.state, DeliveryState::Cancelled);
}
