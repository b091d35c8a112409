//! Replays: how they run, which deliveries they replay, and the deliveries that they make.

use super::World;
use crate::sample;
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, DeliveryState, NewDelivery};
use hookgraph_domain::ids::{DeliveryId, EventId, ReplayId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, EventQuery};
use hookgraph_domain::ports::{Entropy, Store};
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState, WAITS_FOR_WEBHOOK};
use hookgraph_domain::time::{minus_ms, plus_ms};
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use std::sync::Arc;

pub(super) fn replay(world: &World, webhook_id: WebhookId) -> Replay {
    Replay {
        id: world.id(),
        tenant_id: world.tenant_id,
        webhook_id,
        from: sample::now(),
        before: plus_ms(sample::now(), 1_000),
        states: vec![DeliveryState::Failed, DeliveryState::Delivered],
        rate_per_second: 5,
        payload: ReplayPayload::Fresh,
        state: ReplayState::Running,
        reason: Some("waits".to_owned()),
        position: None,
        made_count: 3,
        next_at: plus_ms(sample::now(), 500),
        user_id: Some("u1".to_owned()),
        version: 1,
        created_at: sample::now(),
        updated_at: sample::now(),
    }
}

fn inserted(replay: &Replay) -> Vec<Write> {
    vec![Write::PutReplay { replay: replay.clone(), expected: Expected::Absent }]
}

/// A replay is read by its own tenant alone, is due while it runs, and is listed newest first.
pub async fn a_replay_reads_back_and_moves_on_by_its_version(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let first = replay(&world, webhook.id);
    world.write(inserted(&first)).await;
    assert!(matches!(
        world.try_write(inserted(&first)).await,
        Err(CommitError::AlreadyExists(_) | CommitError::Conflict(_))
    ));
    assert_eq!(world.store.replay(world.tenant_id, first.id).await.expect("read"), Some(first.clone()));
    assert_eq!(world.store.replay(world.id(), first.id).await.expect("read"), None);
    assert!(world.store.replays_due(plus_ms(sample::now(), 499), 10).await.expect("read").is_empty());
    let due = plus_ms(sample::now(), 500);
    assert_eq!(world.store.replays_due(due, 10).await.expect("read"), std::slice::from_ref(&first));
    assert_eq!(world.store.running_replays(world.tenant_id).await.expect("read"), std::slice::from_ref(&first));

    let ended = first.ended(ReplayState::Cancelled, None, due);
    let moved = |replay: &Replay| Write::PutReplay { replay: replay.clone(), expected: Expected::Version(1) };
    world.write(vec![moved(&ended)]).await;
    assert!(matches!(world.try_write(vec![moved(&ended)]).await, Err(CommitError::Conflict(_))));
    assert!(world.store.replays_due(due, 10).await.expect("read").is_empty());
    assert!(world.store.running_replays(world.tenant_id).await.expect("read").is_empty());
    let second = replay(&world, webhook.id);
    world.write(inserted(&second)).await;
    let page = async |webhook_id, before: Option<ReplayId>| {
        world.store.replay_page(world.tenant_id, webhook_id, before, 10).await.expect("read")
    };
    assert_eq!(page(None, None).await, [second.clone(), ended.clone()]);
    assert_eq!(page(Some(webhook.id), Some(second.id)).await, [ended]);
    assert_eq!(page(Some(world.id()), None).await, []);
}

/// A replay that does not wait keeps its pace.
pub async fn a_replay_that_waits_goes_on_once_its_webhook_sends_again(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let reason = Some(format!("{WAITS_FOR_WEBHOOK}PAUSED"));
    let waiting = Replay { reason, ..replay(&world, webhook.id) };
    let working = replay(&world, webhook.id);
    let elsewhere = replay(&world, world.webhook().await.id);
    world.write([&waiting, &working, &elsewhere].map(inserted).concat()).await;
    let due = async || {
        let due = world.store.replays_due(sample::now(), 10).await.expect("read");
        due.into_iter().map(|replay| replay.id).collect::<Vec<_>>()
    };
    for (version, status, expected) in
        [(1, WebhookStatus::Paused, vec![]), (2, WebhookStatus::Active, vec![waiting.id])]
    {
        let webhook = Webhook { version: version + 1, status, ..webhook.clone() };
        world.write(vec![Write::PutWebhook { webhook, expected: Expected::Version(version) }]).await;
        assert_eq!(due().await, expected, "{status:?}");
    }
}

/// The deliveries are those of the replay's webhook, states and time, oldest first, after its position.
pub async fn what_is_replayed_is_neither_test_nor_replay(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook_with_query().await;
    for later_ms in [0, 999, 1_000] {
        world.event_at(plus_ms(sample::now(), later_ms)).await;
    }
    let claimed = world.claim_at(plus_ms(sample::now(), 1_000), 10, 10).await;
    for claim in &claimed {
        world.freeze(claim, r#"{"a":1}"#).await;
        world.settle(claim, DeliveryState::Delivered).await;
    }
    let asked = replay(&world, webhook.id);
    world.write(inserted(&asked)).await;
    let made = NewDelivery {
        id: world.id(),
        tenant_id: world.tenant_id,
        webhook_id: webhook.id,
        event: DeliveryEvent::Recorded(claimed[0].event.id),
        purpose: DeliveryPurpose::Replay { replay_id: asked.id, payload_of: Some(claimed[0].delivery.id) },
    };
    let test = NewDelivery { id: world.id(), purpose: DeliveryPurpose::Test, ..made.clone() };
    world.write(vec![Write::InsertDelivery(made.clone()), Write::InsertDelivery(test)]).await;
    for claim in world.claim().await {
        if claim.delivery.id == made.id {
            assert_eq!((claim.delivery.replay_id, claim.delivery.is_test), (Some(asked.id), false));
            assert_eq!(claim.payload.as_ref().map(|payload| &*payload.json), Some(r#"{"a":1}"#), "frozen with it");
        }
        world.settle(&claim, DeliveryState::Delivered).await;
    }
    let found = async |replay: &Replay| {
        let found = world.store.deliveries_to_replay(replay, 10).await.expect("read");
        found.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    let ids: Vec<_> = claimed.iter().map(|claim| claim.delivery.id).collect();
    assert_eq!(found(&asked).await, ids[..2]);
    assert_eq!(found(&Replay { position: Some(ids[0]), ..asked.clone() }).await, ids[1..2]);
    assert!(found(&Replay { states: vec![DeliveryState::Failed], ..asked }).await.is_empty());
}

/// The page shows deliveries of the queue and of the history, while the replay runs and once it has ended, also those
/// that were made by a process whose clock is behind.
pub async fn a_page_of_a_replay_is_what_it_made(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let event_id = world.event().await;
    world.settle(&world.claim_one().await, DeliveryState::Delivered).await;
    let (asked, other) = (replay(&world, webhook.id), replay(&world, webhook.id));
    world.write([&asked, &other].map(inserted).concat()).await;
    let made = |id: DeliveryId, replay_id: ReplayId| {
        let purpose = DeliveryPurpose::Replay { replay_id, payload_of: None };
        let event = DeliveryEvent::Recorded(event_id);
        Write::InsertDelivery(NewDelivery { id, tenant_id: world.tenant_id, webhook_id: webhook.id, event, purpose })
    };
    let behind = DeliveryId(world.entropy.uuid(minus_ms(sample::now(), 7_200_000)));
    world.write(vec![made(behind, asked.id)]).await;
    world.settle(&world.claim_one().await, DeliveryState::Delivered).await;
    let (of_other, open): (DeliveryId, DeliveryId) = (world.id(), world.id());
    world.write(vec![made(of_other, other.id), made(open, asked.id)]).await;

    let page = async |query: DeliveryQuery| {
        let page = world.store.delivery_page(&query).await.expect("page");
        page.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    let of = |replay: &Replay| DeliveryQuery {
        webhook_id: Some(webhook.id),
        replay: Some(replay.into()),
        ..world.delivery_query()
    };
    assert_eq!(page(of(&asked)).await, [open, behind]);
    assert_eq!(page(of(&other)).await, [of_other]);
    let ended = asked.ended(ReplayState::Finished, None, plus_ms(sample::now(), 1_000));
    assert_eq!(page(of(&ended)).await, [open, behind]);
    assert_eq!(page(DeliveryQuery { event_id: Some(event_id), ..of(&asked) }).await, [open, behind]);
    assert_eq!(page(DeliveryQuery { states: vec![DeliveryState::Delivered], ..of(&asked) }).await, [behind]);
    assert_eq!(page(DeliveryQuery { before: Some(open.0), ..of(&asked) }).await, [behind]);
    assert!(page(DeliveryQuery { webhook_id: Some(world.id()), ..of(&asked) }).await.is_empty());
}

/// A process whose clock was set back goes on with ids of the time that it had, and an id is made before its row. The
/// bounds on ids with which a replay and a page are read leave out neither kind of row.
pub async fn a_time_is_that_of_the_row_where_its_id_is_of_another(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let (from, before) = (plus_ms(sample::now(), 7_200_000), plus_ms(sample::now(), 7_201_000));
    for (at, id_at, _) in TIMES {
        let id = EventId(world.entropy.uuid(plus_ms(sample::now(), id_at)));
        let events = vec![sample::event(id, world.tenant_id, "o1")];
        let change = Change { at: plus_ms(sample::now(), at), writes: Vec::new(), events };
        world.store.commit(change).await.expect("the event is recorded");
    }
    for claim in world.claim_at(plus_ms(sample::now(), LATEST_MS), 10, 10).await {
        world.settle(&claim, DeliveryState::Delivered).await;
    }
    let wanted = TIMES.iter().filter(|(_, _, is_of_time)| *is_of_time).count();
    let asked = Replay { from, before, ..replay(&world, webhook.id) };
    let replayed = world.store.deliveries_to_replay(&asked, 10).await.expect("read");
    assert_eq!(replayed.len(), wanted);
    assert!(replayed.iter().all(|delivery| (from..before).contains(&delivery.created_at)));
    let last = Replay { position: replayed.last().map(|delivery| delivery.id), ..asked };
    assert!(world.store.deliveries_to_replay(&last, 10).await.expect("read").is_empty());

    let of_time = DeliveryQuery { created_from: Some(from), created_before: Some(before), ..world.delivery_query() };
    let newest_first = replayed.iter().rev().map(|delivery| delivery.id).collect::<Vec<_>>();
    let page = async |query: DeliveryQuery| {
        let page = world.store.delivery_page(&query).await.expect("page");
        page.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    assert_eq!(page(of_time.clone()).await, newest_first);
    assert_eq!(page(DeliveryQuery { webhook_id: Some(webhook.id), ..of_time.clone() }).await, newest_first);
    assert_eq!(page(DeliveryQuery { before: Some(newest_first[0].0), ..of_time }).await, newest_first[1..]);
    let events = EventQuery {
        tenant_id: world.tenant_id,
        concern: None,
        event: None,
        recorded_from: Some(from),
        recorded_before: Some(before),
        before: None,
        limit: 10,
    };
    let of_time = world.store.event_page(&events).await.expect("page");
    assert_eq!(of_time.len(), wanted);
    let rest = EventQuery { before: Some(of_time[0].id.0), ..events };
    assert_eq!(world.store.event_page(&rest).await.expect("page"), of_time[1..]);
}

/// When a row is made and when its id was made, in milliseconds after the beginning; and whether the row is made in the
/// second that begins two hours after the beginning.
const TIMES: [(u64, u64, bool); 6] = [
    (7_200_000, 7_200_000, true),
    (7_200_500, 3_600_500, true),
    (7_200_600, LATEST_MS, true),
    (7_199_999, 7_200_100, false),
    (7_201_000, 7_200_200, false),
    (LATEST_MS, LATEST_MS, false),
];
/// A day after the beginning of that second.
const LATEST_MS: u64 = 7_200_000 + 24 * 3_600_000;

/// A default payload keeps no text of its own: its moment is frozen, and the text follows from the moment.
pub async fn a_default_payload_is_replayed_as_it_was_frozen(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    world.event_at(sample::now()).await;
    let original = world.claim().await.pop().expect("a claim");
    world.settle(&original, DeliveryState::Delivered).await;
    let asked = replay(&world, webhook.id);
    world.write(inserted(&asked)).await;
    let purpose = DeliveryPurpose::Replay { replay_id: asked.id, payload_of: Some(original.delivery.id) };
    let event = DeliveryEvent::Recorded(original.event.id);
    let made = NewDelivery { id: world.id(), tenant_id: world.tenant_id, webhook_id: webhook.id, event, purpose };
    world.write(vec![Write::InsertDelivery(made)]).await;
    let again = world.claim_at(plus_ms(sample::now(), 5_000), 10, 10).await.pop().expect("a claim");
    assert!(original.payload.is_some());
    assert_eq!(again.payload, original.payload);
}

/// Under a disabled webhook the delivery is refused.
pub async fn a_replayed_delivery_is_held_with_its_webhook(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    let event_id = world.event().await;
    let asked = replay(&world, webhook.id);
    world.write(inserted(&asked)).await;
    let made = |id| {
        let purpose = DeliveryPurpose::Replay { replay_id: asked.id, payload_of: None };
        let event = DeliveryEvent::Recorded(event_id);
        Write::InsertDelivery(NewDelivery { id, tenant_id: world.tenant_id, webhook_id: webhook.id, event, purpose })
    };
    world.set_status(webhook.id, WebhookStatus::Paused, Vec::new()).await;
    let id = world.id();
    world.write(vec![made(id)]).await;
    assert_eq!(world.delivery(id).await.state, DeliveryState::Held);
    world.set_status(webhook.id, WebhookStatus::Disabled, Vec::new()).await;
    assert!(matches!(world.try_write(vec![made(world.id())]).await, Err(CommitError::Refused(_))));
}
