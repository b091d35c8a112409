//! Claims within a webhook's concurrency, a request's limits, and the order of a record.

use super::World;
use super::world::LEASE_MS;
use crate::sample;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::EventId;
use hookgraph_domain::limits::STOPPED_AT_ONCE_MAX;
use hookgraph_domain::ports::{ClaimRequest, Entropy, Left, Store};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use std::sync::Arc;

fn request() -> ClaimRequest {
    ClaimRequest {
        now: plus_ms(sample::now(), 60_000),
        leased_until: plus_ms(sample::now(), 60_000 + LEASE_MS),
        limit: 100,
        in_flight_per_webhook_max: 100,
        limits: Vec::new(),
        limit_per_webhook: 100,
        retries_max: 100,
    }
}

async fn claimed(world: &World, request: ClaimRequest) -> Vec<ClaimedDelivery> {
    world.store.claim(&request).await.expect("a claim").deliveries
}

async fn record(world: &World, order_ids: &[&str]) {
    for order_id in order_ids {
        let mut change = Change::at(sample::now());
        let id = EventId(world.entropy.uuid(change.at));
        change.events.push(sample::event(id, world.tenant_id, order_id));
        world.store.commit(change).await.expect("an event");
    }
}

/// Records an event of each order, all in one change.
async fn record_at_once(world: &World, order_ids: &[&str]) {
    let mut change = Change::at(sample::now());
    for order_id in order_ids {
        change.events.push(sample::event(EventId(world.entropy.uuid(change.at)), world.tenant_id, order_id));
    }
    world.store.commit(change).await.expect("the events");
}

/// Makes a webhook that is owed three retries.
async fn three_retries(world: &World) {
    world.webhook().await;
    for _ in 0..3 {
        world.event().await;
    }
    for claim in claimed(world, request()).await {
        world.settle(&claim, DeliveryState::Retrying).await;
    }
}

fn labels(claims: &[ClaimedDelivery]) -> Vec<&str> {
    claims.iter().map(|claim| claim.event.record_label.as_str()).collect()
}

/// The bound counts the deliveries of earlier claims as well.
pub async fn a_webhooks_own_concurrency_bounds_what_is_in_flight(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with(|webhook| webhook.flow.concurrency = 2).await;
    for _ in 0..4 {
        world.event().await;
    }
    let first = claimed(&world, request()).await;
    assert_eq!(first.len(), 2);
    assert!(claimed(&world, request()).await.is_empty());
    world.settle(&first[0], DeliveryState::Delivered).await;
    assert_eq!(claimed(&world, request()).await.len(), 1);
}

/// A request limits each webhook that it names, and all others alike.
pub async fn a_claim_keeps_to_the_limits_of_webhooks(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (none, one, other) = (world.webhook().await, world.webhook().await, world.webhook().await);
    for _ in 0..4 {
        world.event().await;
    }
    let limits = vec![(none.id, 0), (one.id, 1)];
    let claims = claimed(&world, ClaimRequest { limits, limit_per_webhook: 3, ..request() }).await;
    let count = |id| claims.iter().filter(|claim| claim.webhook.id == id).count();
    assert_eq!((count(none.id), count(one.id), count(other.id)), (0, 1, 3));
}

/// First attempts of another webhook are claimed beside the retries.
pub async fn a_claim_takes_no_more_retries_than_it_may(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    three_retries(&world).await;
    let fresh = world.webhook().await;
    world.event().await;
    let claims = claimed(&world, ClaimRequest { retries_max: 1, ..request() }).await;
    assert_eq!(claims.iter().filter(|claim| claim.delivery.attempts_spent > 0).count(), 1);
    assert_eq!(claims.iter().filter(|claim| claim.webhook.id == fresh.id).count(), 1);
}

/// The first attempt is claimed however many retries are due before it, and however few deliveries the claim takes.
pub async fn a_first_attempt_is_claimed_behind_retries_that_may_not_be(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    three_retries(&world).await;
    world.event_at(request().now).await;
    let claims = claimed(&world, ClaimRequest { limit: 1, retries_max: 0, ..request() }).await;
    assert_eq!(claims.iter().map(|claim| claim.delivery.attempts_spent).collect::<Vec<_>>(), [0]);
}

/// More retries are due before the first attempts than the webhook may have in flight.
pub async fn retries_that_may_not_be_claimed_hide_no_first_attempts(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook_with(|webhook| webhook.flow.concurrency = 100).await;
    for _ in 0..90 {
        world.event().await;
    }
    for claim in claimed(&world, request()).await {
        world.settle(&claim, DeliveryState::Retrying).await;
    }
    world.change_webhook(webhook.id, |webhook| webhook.flow.concurrency = 2, Vec::new()).await;
    for _ in 0..3 {
        world.event_at(request().now).await;
    }
    for (retries_max, retry_count) in [(0, 0), (1, 1), (2, 2), (100, 2)] {
        let claims = world.store.claim(&ClaimRequest { retries_max, ..request() }).await.expect("a claim");
        assert_eq!(claims.left, Left { without_room: vec![webhook.id], ..Left::default() });
        let spent: u32 = claims.deliveries.iter().map(|claim| claim.delivery.attempts_spent).sum();
        assert_eq!((claims.deliveries.len(), spent), (2, retry_count), "{retries_max} retries");
        let back: Vec<_> =
            claims.deliveries.iter().map(|claim| (claim.delivery.id, claim.delivery.fencing_token)).collect();
        world.store.release(&back, request().now).await.expect("they go back");
    }
}

/// The other webhook's first attempt takes the place of its retry, for which the claim has no room left.
pub async fn a_retry_of_one_webhook_hides_no_first_attempt_of_another(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhooks = [world.webhook().await, world.webhook().await];
    for _ in 0..2 {
        world.event().await;
    }
    for claim in claimed(&world, request()).await {
        world.settle(&claim, DeliveryState::Retrying).await;
    }
    for webhook in &webhooks {
        world.change_webhook(webhook.id, |webhook| webhook.flow.concurrency = 1, Vec::new()).await;
    }
    world.event_at(request().now).await;
    let claims = claimed(&world, ClaimRequest { retries_max: 1, ..request() }).await;
    let mut spent: Vec<_> = claims.iter().map(|claim| claim.delivery.attempts_spent).collect();
    spent.sort_unstable();
    assert_eq!(spent, [0, 1]);
    assert_ne!(claims[0].webhook.id, claims[1].webhook.id);
}

/// Deleted webhooks take no room however many they are and however long their deliveries have been due, retries
/// included.
pub async fn what_is_due_of_deleted_webhooks_takes_no_room_of_what_is_sent(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let gone = [world.webhook().await, world.webhook().await, world.webhook().await];
    world.event().await;
    for claim in claimed(&world, request()).await {
        world.settle(&claim, DeliveryState::Retrying).await;
    }
    for webhook in &gone {
        world.change_webhook(webhook.id, |webhook| webhook.deleted_at = Some(sample::now()), Vec::new()).await;
    }
    let live = world.webhook().await;
    world.event_at(plus_ms(sample::now(), 10_000)).await;
    let first = claimed(&world, ClaimRequest { limit: 1, ..request() }).await;
    assert_eq!(first.iter().map(|claim| claim.webhook.id).collect::<Vec<_>>(), [live.id]);
    world.settle(&first[0], DeliveryState::Retrying).await;
    let again = claimed(&world, ClaimRequest { retries_max: 1, ..request() }).await;
    assert_eq!(again.iter().map(|claim| claim.webhook.id).collect::<Vec<_>>(), [live.id]);
    assert!(claimed(&world, request()).await.is_empty());
    let states = world.deliveries().await.into_iter().map(|delivery| delivery.state).collect::<Vec<_>>();
    assert_eq!(states.iter().filter(|state| **state == DeliveryState::Cancelled).count(), 3, "{states:?}");
}

/// The later event's turn comes however the earlier one's delivery ended.
pub async fn a_later_event_of_a_record_waits_for_the_earlier_ones_end(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with(|webhook| webhook.flow.ordering = Ordering::ByRecord).await;
    record(&world, &["a", "a", "b", "a"]).await;
    let first = claimed(&world, request()).await;
    assert_eq!(labels(&first), ["order:a", "order:b"]);
    world.settle(&first[0], DeliveryState::Retrying).await;
    let again = claimed(&world, request()).await;
    assert_eq!(again.iter().map(|claim| claim.delivery.id).collect::<Vec<_>>(), [first[0].delivery.id]);
    world.settle(&again[0], DeliveryState::Failed).await;
    let second = claimed(&world, request()).await;
    assert_eq!(second.len(), 1);
    world.store.release(&[(second[0].delivery.id, second[0].delivery.fencing_token)], request().now).await.expect("it");
    let reason = "by a person".to_owned();
    world.write(vec![Write::CancelDelivery { delivery_id: second[0].delivery.id, reason }]).await;
    let third = claimed(&world, request()).await;
    assert_eq!(third.len(), 1);
    assert!(third[0].delivery.id > second[0].delivery.id);
}

/// The events are of one millisecond, and the ids of their deliveries follow from their own ids.
pub async fn the_events_of_a_record_are_sent_as_they_were_recorded(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with(|webhook| webhook.flow.ordering = Ordering::ByRecord).await;
    let mut change = Change::at(sample::now());
    let recorded: Vec<EventId> = (0..20).map(|_| EventId(world.entropy.uuid(change.at))).collect();
    change.events = recorded.iter().map(|id| sample::event(*id, world.tenant_id, "a")).collect();
    world.store.commit(change).await.expect("the events");
    let mut sent = Vec::new();
    while let Some(claim) = claimed(&world, request()).await.pop() {
        sent.push(claim.event.id);
        world.settle(&claim, DeliveryState::Delivered).await;
    }
    assert_eq!(sent, recorded);
}

/// The other record's delivery is found however few rows of a webhook the claim looks at.
pub async fn a_long_line_does_not_delay_another_record(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with(|webhook| webhook.flow.ordering = Ordering::ByRecord).await;
    record(&world, &["a"; 80]).await;
    record(&world, &["b"]).await;
    let narrow = ClaimRequest { in_flight_per_webhook_max: 2, ..request() };
    assert_eq!(labels(&claimed(&world, narrow).await), ["order:a", "order:b"]);
}

/// A delivery that waits in a long line is as good as gone for claims, until its turn comes.
pub async fn a_line_of_hundreds_is_out_of_the_way_and_moves_up_in_its_order(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook_with(|webhook| webhook.flow.ordering = Ordering::ByRecord).await;
    let line = ["a"; 300];
    record_at_once(&world, &line).await;
    record_at_once(&world, &["b"]).await;
    record_at_once(&world, &line).await;
    record_at_once(&world, &["c", "d"]).await;
    let narrow = ClaimRequest { in_flight_per_webhook_max: 3, ..request() };
    let mut first = Vec::new();
    while first.len() < 3 {
        let claims = world.store.claim(&narrow).await.expect("a claim");
        // A claim that takes nothing moves deliveries out of the way.
        assert!(!claims.deliveries.is_empty() || claims.left.has_more, "{first:?}");
        first.extend(claims.deliveries);
    }
    assert_eq!(labels(&first), ["order:a", "order:b", "order:c"]);
    let mut of_line = vec![first[0].delivery.id];
    world.settle(&first[0], DeliveryState::Delivered).await;
    for end in [DeliveryState::Delivered, DeliveryState::Failed, DeliveryState::Cancelled] {
        let claims = claimed(&world, narrow.clone()).await;
        assert_eq!(labels(&claims), ["order:a"]);
        of_line.push(claims[0].delivery.id);
        world.settle(&claims[0], end).await;
    }
    let waiting = claimed(&world, narrow.clone()).await.pop().expect("the next of its line");
    let ended = (waiting.delivery.id, waiting.delivery.fencing_token);
    world.store.release(&[ended], request().now).await.expect("it goes back");
    world.write(vec![Write::CancelDelivery { delivery_id: ended.0, reason: "by a person".to_owned() }]).await;
    of_line.push(ended.0);
    // Without an order the deliveries that waited are due, and those in flight keep their slots.
    let later = plus_ms(sample::now(), 1_000);
    world.save_at(later, webhook.id, |webhook| webhook.flow.ordering = Ordering::None).await;
    let narrow = ClaimRequest { now: later, ..narrow };
    let rest = claimed(&world, narrow.clone()).await;
    assert_eq!(labels(&rest), ["order:a"]);
    for claim in first[1..].iter().chain(&rest) {
        world.settle(claim, DeliveryState::Delivered).await;
    }
    let more = claimed(&world, narrow).await;
    assert_eq!(labels(&more), ["order:a"; 3]);
    of_line.extend(rest.iter().chain(&more).map(|claim| claim.delivery.id));
    assert!(of_line.is_sorted(), "{of_line:?}");
}

/// An event is recorded between any two claims.
pub async fn a_line_of_hundreds_is_out_of_the_way_while_more_is_recorded(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with(|webhook| webhook.flow.ordering = Ordering::ByRecord).await;
    record_at_once(&world, &["a"; 400]).await;
    record_at_once(&world, &["b"]).await;
    let mut first = Vec::new();
    for _ in 0..4 {
        first.extend(claimed(&world, ClaimRequest { in_flight_per_webhook_max: 3, ..request() }).await);
        record(&world, &["a"]).await;
    }
    assert_eq!(labels(&first), ["order:a", "order:b"]);
}

/// A delivery that is due already joins its line, or leaves it.
pub async fn an_ordering_that_is_changed_holds_for_what_is_due(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    record(&world, &["a", "a"]).await;
    let order = |ordering| move |webhook: &mut Webhook| webhook.flow.ordering = ordering;
    world.change_webhook(webhook.id, order(Ordering::ByRecord), Vec::new()).await;
    assert_eq!(labels(&claimed(&world, request()).await), ["order:a"]);
    assert!(claimed(&world, request()).await.is_empty());
    world.change_webhook(webhook.id, order(Ordering::None), Vec::new()).await;
    assert_eq!(labels(&claimed(&world, request()).await), ["order:a"]);
}

/// Nothing out of order is claimed, however long it takes to put the whole backlog in order.
pub async fn a_long_backlog_is_in_order_before_more_of_it_is_claimed(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let some = ["a"; 250];
    for _ in 0..=STOPPED_AT_ONCE_MAX as usize / some.len() {
        record_at_once(&world, &some).await;
    }
    record(&world, &["b"]).await;
    let first = claimed(&world, ClaimRequest { limit: 1, ..request() }).await.remove(0);
    let by_record = |webhook: &mut Webhook| webhook.flow.ordering = Ordering::ByRecord;
    world.change_webhook(webhook.id, by_record, Vec::new()).await;
    let mut others = claimed(&world, request()).await;
    while !world.store.webhooks_stopping(&[], 1).await.expect("read").is_empty() {
        world.write(vec![Write::StopMore { webhook_id: webhook.id }]).await;
        others.extend(claimed(&world, request()).await);
    }
    // The deliveries that stand behind others make way first.
    for _ in 0..4 {
        others.extend(claimed(&world, request()).await);
    }
    assert_eq!(labels(&others), ["order:b"]);
    world.settle(&first, DeliveryState::Delivered).await;
    let next = claimed(&world, request()).await;
    assert_eq!(labels(&next), ["order:a"]);
    assert!(next[0].delivery.id > first.delivery.id);
}

/// Any other delivery of the line would not be sent.
pub async fn only_the_first_of_each_line_is_probed_with(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world
        .webhook_with(|webhook| {
            webhook.flow.ordering = Ordering::ByRecord;
            webhook.status = WebhookStatus::Suspended;
        })
        .await;
    record(&world, &["a", "a", "b", "a"]).await;
    let held = world.store.held(webhook.id, 10).await.expect("read");
    let to_probe = async |limit| world.store.held_to_probe(webhook.id, limit).await.expect("read");
    assert_eq!(to_probe(10).await, [held[0], held[2]]);
    assert_eq!(to_probe(1).await, [held[0]]);
    world.write(vec![Write::CancelDelivery { delivery_id: held[0], reason: "by a person".to_owned() }]).await;
    assert_eq!(to_probe(10).await, [held[1], held[2]]);
}

/// The later deliveries wait for the retried one again.
pub async fn a_retried_delivery_goes_before_later_ones_of_its_record(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook_with(|webhook| webhook.flow.ordering = Ordering::ByRecord).await;
    record(&world, &["a", "a"]).await;
    let first = claimed(&world, request()).await.remove(0);
    world.settle(&first, DeliveryState::Failed).await;
    world.write(vec![Write::RetryDelivery(first.delivery.id)]).await;
    let again = claimed(&world, request()).await;
    assert_eq!(again.iter().map(|claim| claim.delivery.id).collect::<Vec<_>>(), [first.delivery.id]);
}

/// The claim also names the webhooks for which a slot must be freed before more can be claimed.
pub async fn a_claim_tells_what_it_left(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook_with(|webhook| webhook.flow.concurrency = 1).await;
    let without_room = Left { without_room: vec![webhook.id], ..Left::default() };
    assert_eq!(world.store.claim(&request()).await.expect("a claim").left, Left::default());
    record(&world, &["a", "b"]).await;
    let first = world.store.claim(&request()).await.expect("a claim");
    assert_eq!((first.deliveries.len(), &first.left), (1, &without_room));
    assert_eq!(world.store.claim(&request()).await.expect("a claim").left, without_room, "it looked without a lock");
    world.settle(&first.deliveries[0], DeliveryState::Delivered).await;
    let second = world.store.claim(&request()).await.expect("a claim");
    assert_eq!((second.deliveries.len(), second.left), (1, Left::default()));
    record(&world, &["c"]).await;
    world.change_webhook(webhook.id, |webhook| webhook.flow.concurrency = 5, Vec::new()).await;
    world.change_webhook(webhook.id, |webhook| webhook.status = WebhookStatus::Paused, Vec::new()).await;
    let third = world.store.claim(&request()).await.expect("a claim");
    assert_eq!(
        (third.deliveries.len(), third.left),
        (0, Left { has_more: true, ..Left::default() }),
        "what it held made way"
    );
}

/// A webhook all of whose due deliveries were claimed is not named.
pub async fn a_claim_names_the_webhooks_that_had_no_room(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let narrow = world.webhook_with(|webhook| webhook.flow.concurrency = 1).await;
    let wide = world.webhook().await;
    let limited = world.webhook().await;
    record(&world, &["a", "b"]).await;
    let request = ClaimRequest { limits: vec![(limited.id, 0)], ..request() };
    let claims = world.store.claim(&request).await.expect("a claim");
    let mut claimed: Vec<_> = claims.deliveries.iter().map(|claim| claim.delivery.webhook_id).collect();
    claimed.sort_unstable();
    let mut expected = vec![narrow.id, wide.id, wide.id];
    expected.sort_unstable();
    assert_eq!(claimed, expected);
    let mut without_room = vec![narrow.id, limited.id];
    without_room.sort_unstable();
    assert_eq!(claims.left, Left { without_room: without_room.clone(), ..Left::default() });
    let none = ClaimRequest { limit: 0, ..request };
    assert_eq!(world.store.claim(&none).await.expect("a claim").left.without_room, without_room);
}
