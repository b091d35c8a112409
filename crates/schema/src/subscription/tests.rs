//! Following the feed on the fake store: when a subscription reads, and that it misses nothing.

use crate::limits::FEED_RETRY_MS;
use crate::tests::world::{ADD_CUSTOMER, World, world};
use async_graphql::{Request, Response};
use futures::StreamExt;
use futures::stream::BoxStream;
use hookgraph_domain::change::Change;
use hookgraph_domain::ids::{EventId, TenantId};
use hookgraph_domain::ports::{Feed, UnitOfWork};
use hookgraph_testkit::{ReadPlan, sample};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Longer than anything waits here by itself. The clock is paused: it passes at once.
const LONG: Duration = Duration::from_millis(100 * FEED_RETRY_MS);

type Answers = BoxStream<'static, Response>;

const EVENTS: &str = "subscription { eventRecorded { eventId } }";

/// A subscription that has read all there was.
async fn subscribed(world: &World, text: &str) -> Answers {
    let mut answers = world.api.subscribe(world.caller.clone(), Request::new(text));
    silent(world, &mut answers).await;
    answers
}

/// Waits for long, and nothing comes; how often the feed was read meanwhile.
async fn silent(world: &World, answers: &mut Answers) -> usize {
    world.store.feed_reads().take_count();
    let answer = timeout(LONG, answers.next()).await;
    assert!(answer.is_err(), "{answer:?}");
    world.store.feed_reads().take_count()
}

async fn next_event(answers: &mut Answers) -> Value {
    let answer = timeout(LONG, answers.next()).await.expect("it comes").expect("it goes on");
    assert!(answer.errors.is_empty(), "{answer:?}");
    answer.data.into_json().unwrap()["eventRecorded"]["eventId"].take()
}

/// Records an event of an order.
async fn recorded(world: &World, number: u128) -> Value {
    let id = EventId(Uuid::from_u128(number));
    let mut change = Change::at(sample::now());
    change.events.push(sample::event(id, world.caller.tenant_id, "o1"));
    world.store.commit(change).await.unwrap();
    json!(id.to_string())
}

/// Says that the feed of a tenant has come to its end.
async fn moved(world: &World, tenant_id: TenantId) {
    let latest_seq = world.store.latest_seq().await.unwrap();
    world.feed.moved(&[(tenant_id, latest_seq)]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_reads_once_for_each_move_of_its_tenant_and_never_by_itself() {
    let world = world().await;
    let mut answers = subscribed(&world, EVENTS).await;
    let id = recorded(&world, 1).await;
    assert_eq!(silent(&world, &mut answers).await, 0, "nobody said that the feed moved");
    moved(&world, TenantId(Uuid::from_u128(2))).await;
    assert_eq!(silent(&world, &mut answers).await, 0, "another tenant's did");
    moved(&world, world.caller.tenant_id).await;
    world.store.feed_reads().take_count();
    assert_eq!(next_event(&mut answers).await, id);
    assert_eq!(world.store.feed_reads().take_count(), 1);
    assert_eq!(silent(&world, &mut answers).await, 0, "it has read all there was");
}

#[tokio::test(start_paused = true)]
async fn what_was_fed_before_the_first_read_needs_nobody_to_say_so() {
    let world = world().await;
    let ids = [recorded(&world, 1).await, recorded(&world, 2).await];
    let text = "subscription { eventRecorded(after: \"ZjE6MA\") { eventId } }";
    let mut answers = world.api.subscribe(world.caller.clone(), Request::new(text));
    for id in ids {
        assert_eq!(next_event(&mut answers).await, id);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_leaves_out_is_read_once_and_what_comes_after_it_arrives() {
    let world = world().await;
    let mut answers =
        subscribed(&world, "subscription { eventRecorded(concern: \"orders\", event: \"create\") { eventId } }").await;
    let added = world.ask(ADD_CUSTOMER, json!({})).await;
    assert_eq!(added["errors"], Value::Null, "{added}");
    moved(&world, world.caller.tenant_id).await;
    assert_eq!(silent(&world, &mut answers).await, 1);
    let id = recorded(&world, 1).await;
    moved(&world, world.caller.tenant_id).await;
    assert_eq!(next_event(&mut answers).await, id);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_whose_feed_cannot_be_read_tries_again_and_misses_nothing() {
    let world = world().await;
    let mut answers = subscribed(&world, EVENTS).await;
    let ids = [recorded(&world, 1).await, recorded(&world, 2).await];
    moved(&world, world.caller.tenant_id).await;
    world.store.feed_reads().plan(ReadPlan::Fail);
    world.store.feed_reads().take_count();
    let outage = Duration::from_millis(3 * FEED_RETRY_MS + FEED_RETRY_MS / 2);
    assert!(timeout(outage, answers.next()).await.is_err());
    assert_eq!(world.store.feed_reads().take_count(), 4, "at once, and after each wait");
    world.store.feed_reads().plan(ReadPlan::Answer);
    for id in ids {
        assert_eq!(next_event(&mut answers).await, id);
    }
    assert_eq!(silent(&world, &mut answers).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_ends_follows_no_more() {
    let world = world().await;
    let answers = subscribed(&world, EVENTS).await;
    assert!(world.feed.is_followed());
    drop(answers);
    assert!(!world.feed.is_followed());
}
