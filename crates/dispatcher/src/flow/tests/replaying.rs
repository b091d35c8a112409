//! Replays make each delivery once, in batches, through crashes, pauses and cancels.

mod meanwhile;

use super::*;
use crate::limits::REPLAY_LEFT_OUT_MAX;
use hookgraph_domain::retention::HistoryCut;
use meanwhile::{Meanwhile, Then};

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

/// A world with `count` delivered events, and one more outside of the range.
async fn delivered(count: usize) -> World {
    // The webhook has a payload query, so that a fresh payload is one that was rendered anew.
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
async fn another_process_goes_on_behind_the_last_commit_of_one_that_died() {
    let world = delivered(25).await;
    let asked = replay(&world, ReplayPayload::Frozen);
    start(&world, &asked).await;
    assert_eq!(world.round().await.replayed, 10);
    let read_before = read(&world, asked.id).await;
    world.clock.advance_ms(1_000);
    let other = flow_loop(&world.store, &world.clock, &world.entropy);
    assert_eq!(other.run_once().await.expect("a round").replayed, 10);
    // The version that the first process had read is too old to be committed.
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
async fn a_replay_waits_while_its_webhook_is_paused() {
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
async fn a_replay_fails_once_its_webhook_is_disabled_or_deleted() {
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
async fn a_cancelled_replay_makes_no_more_deliveries() {
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

/// Runs rounds until the replay has ended, or there was one for each delivery.
async fn rounds(world: &World, flow: &FlowLoop, id: ReplayId) -> Replay {
    for _ in 0..world.deliveries().await.len() {
        if read(world, id).await.state != ReplayState::Running {
            break;
        }
        flow.run_once().await.expect("a round");
        world.clock.advance_ms(1_000);
    }
    read(world, id).await
}

#[tokio::test]
async fn deliveries_that_retention_removes_between_the_read_of_a_batch_and_its_commit_cost_no_others() {
    let world = delivered(5).await;
    world.events(4, "o1").await;
    assert_eq!(world.work_all().await, 4);
    let until = plus_ms(sample::now(), 10);
    let asked = Replay { before: until, ..replay(&world, ReplayPayload::Frozen) };
    start(&world, &asked).await;
    let cut = HistoryCut { before: plus_ms(sample::now(), 1), ended_before: until };
    let flow = Meanwhile::with(Then::Prune(cut)).flow(&world);
    let ended = rounds(&world, &flow, asked.id).await;
    assert_eq!((ended.state, ended.made_count), (ReplayState::Finished, 5), "the delivery called late, and four more");
    let reason = ended.reason.expect("the replay tells what is missing");
    assert!(reason.starts_with("retention removed"), "{reason}");
}

#[tokio::test]
async fn deliveries_whose_events_are_gone_are_left_out_and_all_others_replayed() {
    let world = delivered(25).await;
    let asked = replay(&world, ReplayPayload::Frozen);
    start(&world, &asked).await;
    let mut events: Vec<_> = world.deliveries().await[..25].iter().map(|delivery| delivery.event_id).collect();
    let gone = vec![events.remove(14), events.remove(3)];
    let flow = Meanwhile { gone, ..Meanwhile::default() }.flow(&world);
    let ended = rounds(&world, &flow, asked.id).await;
    assert_eq!((ended.state, ended.made_count), (ReplayState::Finished, 23));
    assert!(ended.reason.is_some_and(|reason| reason.starts_with("retention removed")));
    let anew: Vec<_> = world.deliveries().await[26..].iter().map(|delivery| delivery.event_id).collect();
    assert_eq!(anew, events);
}

#[tokio::test]
async fn a_round_goes_on_behind_so_many_deliveries_whose_events_are_gone_and_no_more() {
    let left_out_max = REPLAY_LEFT_OUT_MAX as usize;
    for (gone_count, made_in_rounds) in [(left_out_max - 1, vec![2]), (left_out_max + 1, vec![0, 2])] {
        let world = delivered(gone_count + 2).await;
        let asked = Replay { rate_per_second: 100, ..replay(&world, ReplayPayload::Frozen) };
        start(&world, &asked).await;
        let gone = world.deliveries().await[..gone_count].iter().map(|delivery| delivery.event_id).collect();
        let flow = Meanwhile { gone, ..Meanwhile::default() }.flow(&world);
        for made in made_in_rounds {
            assert_eq!(flow.run_once().await.expect("a round").replayed, made, "{gone_count}");
        }
        let ended = read(&world, asked.id).await;
        assert_eq!((ended.state, ended.made_count), (ReplayState::Finished, 2));
    }
}

#[tokio::test]
async fn a_replay_fails_where_its_webhook_is_disabled_between_the_read_of_a_batch_and_its_commit() {
    for count in [1, 3] {
        let world = delivered(count).await;
        let asked = replay(&world, ReplayPayload::Frozen);
        start(&world, &asked).await;
        let disabled = world.webhook().await.with_status(WebhookStatus::Disabled, None, world.clock.now());
        let mut change = Change::at(world.clock.now());
        change.writes.push(moved_on(disabled));
        let flow = Meanwhile::with(Then::Write(change)).flow(&world);
        let ended = rounds(&world, &flow, asked.id).await;
        assert_eq!((ended.state, ended.made_count), (ReplayState::Failed, 0));
        assert_eq!(ended.reason.as_deref(), Some("its webhook was disabled"));
    }
}
