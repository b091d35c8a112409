//! Replays: in batches, once each, through crashes, pauses and cancels.

use super::*;

fn replay(world: &World, payload: ReplayPayload) -> Replay {
    let now = world.clock.now();
    Replay {
        id: ReplayId(world.entropy.uuid(now)),
        tenant_id: TENANT,
        webhook_id: WEBHOOK,
        from: sample::now(),
        before: plus_ms(sample::now(), 1),
        states: vec![],
        rate_per_second: 10,
        payload,
        state: ReplayState::Running,
        reason: None,
        position: None,
        made_count: 0,
        next_at: now,
        user_id: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// With so many delivered events, and one more out of the range.
async fn delivered(count: usize) -> World {
    // With a payload query, so that a fresh payload is one that was rendered anew.
    let query = "query ($id: ID!) { order { get(id: $id) { id } } }";
    let world = World::with(|webhook| webhook.graphql_query = Some(query.to_owned())).await;
    world.events(count, "o1").await;
    world.clock.advance_ms(1);
    world.events(1, "late").await;
    assert_eq!(world.work_all().await, count + 1);
    world
}

async fn start(world: &World, replay: &Replay) {
    world.write(vec![Write::PutReplay { replay: replay.clone(), expected: Expected::Absent }]).await;
}

async fn read(world: &World, id: ReplayId) -> Replay {
    world.store.replay(TENANT, id).await.expect("a read").expect("a replay")
}

#[tokio::test]
async fn each_delivery_of_the_range_is_made_once_at_the_rate() {
    let world = delivered(25).await;
    let asked = replay(&world, ReplayPayload::Frozen);
    start(&world, &asked).await;
    let mut batches = Vec::new();
    while read(&world, asked.id).await.state == ReplayState::Running {
        batches.push(world.round().await.replayed);
        assert_eq!(world.round().await.replayed, 0, "not before its time");
        world.work_all().await;
        world.clock.advance_ms(1_000);
    }
    assert_eq!(batches, [10, 10, 5]);
    assert_eq!(read(&world, asked.id).await.made_count, 25);
    let deliveries = world.deliveries().await;
    let originals: Vec<_> = deliveries[..25].iter().map(|delivery| delivery.event_id).collect();
    let anew: Vec<_> = deliveries[26..].iter().map(|delivery| delivery.event_id).collect();
    assert_eq!(anew, originals);
    assert!(deliveries[26..].iter().all(|it| it.replay_id == Some(asked.id) && it.state == DeliveryState::Delivered));
}

#[tokio::test]
async fn a_frozen_payload_is_sent_again_byte_for_byte_and_a_fresh_one_is_rendered() {
    for (payload, same) in [(ReplayPayload::Frozen, true), (ReplayPayload::Fresh, false)] {
        let world = delivered(3).await;
        start(&world, &replay(&world, payload)).await;
        world.round().await;
        assert_eq!(world.work_all().await, 3);
        let sent = world.receiver.sent.lock();
        let bodies = |range: std::ops::Range<usize>| sent[range].iter().map(|it| it.body.clone()).collect::<Vec<_>>();
        assert_eq!(bodies(0..3) == bodies(4..7), same, "{payload:?}");
    }
}

#[tokio::test]
async fn another_process_goes_on_where_the_one_that_died_had_committed() {
    let world = delivered(25).await;
    let asked = replay(&world, ReplayPayload::Frozen);
    start(&world, &asked).await;
    assert_eq!(world.round().await.replayed, 10);
    let read_before = read(&world, asked.id).await;
    world.clock.advance_ms(1_000);
    let other = flow_loop(&world.store, &world.clock, &world.entropy);
    assert_eq!(other.run_once().await.expect("a round").replayed, 10);
    // What the first one had read is too old to be committed.
    let mut change = Change::at(world.clock.now());
    let stale = read_before.after_batch(&[], 1, world.clock.now());
    change.writes.push(Write::PutReplay { replay: stale, expected: Expected::Version(read_before.version) });
    assert!(matches!(world.store.commit(change).await, Err(CommitError::Conflict(_))));
    world.clock.advance_ms(1_000);
    assert_eq!(other.run_once().await.expect("a round").replayed, 5);
    let mut events: Vec<_> = world.deliveries().await[26..].iter().map(|delivery| delivery.event_id).collect();
    events.dedup();
    assert_eq!(events.len(), 25);
}

#[tokio::test]
async fn only_the_states_asked_for_are_replayed_and_never_a_replay_or_a_test() {
    let world = World::with(|webhook| webhook.retry_delays_s = vec![]).await;
    world.answers(503);
    world.events(2, "o1").await;
    world.work_all().await;
    world.answers(200);
    world.events(3, "o1").await;
    world.work_all().await;
    let failed = Replay { states: vec![DeliveryState::Failed], ..replay(&world, ReplayPayload::Frozen) };
    start(&world, &failed).await;
    assert_eq!(world.round().await.replayed, 2);
    world.work_all().await;
    start(&world, &replay(&world, ReplayPayload::Frozen)).await;
    assert_eq!(world.round().await.replayed, 5);
}

#[tokio::test]
async fn it_waits_while_its_webhook_is_paused() {
    let world = delivered(3).await;
    let asked = replay(&world, ReplayPayload::Frozen);
    start(&world, &asked).await;
    world.set_status(WebhookStatus::Paused).await;
    assert_eq!(world.round().await.replayed, 0);
    assert_eq!(read(&world, asked.id).await.reason.as_deref(), Some("its webhook is PAUSED"));
    world.set_status(WebhookStatus::Active).await;
    world.clock.advance_ms(10_000);
    assert_eq!(world.round().await.replayed, 3);
    assert_eq!(read(&world, asked.id).await.reason, None);
}

#[tokio::test]
async fn it_fails_once_its_webhook_is_disabled_or_deleted() {
    for deletes in [false, true] {
        let world = delivered(3).await;
        let asked = replay(&world, ReplayPayload::Frozen);
        start(&world, &asked).await;
        if deletes {
            let webhook = Webhook { deleted_at: Some(world.clock.now()), ..world.webhook().await };
            world.write(vec![moved_on(webhook)]).await;
        } else {
            world.set_status(WebhookStatus::Disabled).await;
        }
        assert_eq!(world.round().await.replayed, 0);
        assert_eq!(read(&world, asked.id).await.state, ReplayState::Failed);
    }
}

#[tokio::test]
async fn a_cancelled_one_makes_no_more() {
    let world = delivered(25).await;
    let asked = replay(&world, ReplayPayload::Frozen);
    start(&world, &asked).await;
    world.round().await;
    let under_way = read(&world, asked.id).await;
    let ended = under_way.ended(ReplayState::Cancelled, None, world.clock.now());
    world.write(vec![Write::PutReplay { replay: ended, expected: Expected::Version(under_way.version) }]).await;
    world.clock.advance_ms(1_000);
    assert_eq!(world.round().await.replayed, 0);
    assert_eq!(world.deliveries().await.len(), 36);
}
