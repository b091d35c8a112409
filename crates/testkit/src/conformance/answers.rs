//! Answers kept under idempotency keys.

use super::World;
use crate::sample;
use hookgraph_domain::change::{Change, CommitError, Write};
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ids::{EventId, TenantId};
use hookgraph_domain::limits::IDEMPOTENCY_KEPT_MS;
use hookgraph_domain::ports::Store;
use hookgraph_domain::time::{Timestamp, plus_ms};
use std::sync::Arc;

fn answer(world: &World, step: i64, text: &str) -> KeptAnswer {
    let key = AnswerKey { tenant_id: world.tenant_id, key: "once".to_owned(), step };
    KeptAnswer { key, request_sha256: [7; 32], answer: text.to_owned() }
}

fn of_key(answer: KeptAnswer, key: &str) -> KeptAnswer {
    KeptAnswer { key: AnswerKey { key: key.to_owned(), ..answer.key }, ..answer }
}

/// A change that raises one event and keeps an answer.
fn change(world: &World, answer: KeptAnswer, at: Timestamp) -> Change {
    let id: EventId = world.id();
    let event = sample::event(id, world.tenant_id, &format!("order-{}", id.0.simple()));
    Change { at, writes: vec![Write::KeepAnswer(answer)], events: vec![event] }
}

async fn kept(world: &World, key: &AnswerKey, now: Timestamp) -> Option<String> {
    let kept = world.store.kept_answers(key, [7; 32], now).await.expect("read");
    kept.into_iter().find(|kept| kept.key == *key).map(|kept| kept.answer)
}

/// The answer and the change commit together or not at all; each step and each tenant has answers of its own.
pub async fn an_answer_is_kept_with_its_change(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let first = answer(&world, 0, r#"{"n":1}"#);
    world.store.commit(change(&world, first.clone(), sample::now())).await.expect("commit");
    let second = answer(&world, 1, "2");
    world.write(vec![Write::KeepAnswer(second.clone())]).await;
    world.write(vec![Write::KeepAnswer(of_key(answer(&world, 0, "3"), "another"))]).await;
    let read = async |sha: u8| world.store.kept_answers(&first.key, [sha; 32], sample::now()).await.expect("read");
    assert_eq!(read(7).await, std::slice::from_ref(&first));
    // Another request finds the answers of this one foreign, and is told of two of them.
    let foreign = read(8).await;
    assert!(foreign.len() == 2 && foreign.contains(&first) && foreign.contains(&second), "{foreign:?}");
    let foreign = AnswerKey { tenant_id: world.id::<TenantId>(), ..first.key };
    assert_eq!(kept(&world, &foreign, sample::now()).await, None);
}

/// The second change conflicts, so nothing is raised twice.
pub async fn a_second_answer_of_a_key_refuses_its_change(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.store.commit(change(&world, answer(&world, 0, "1"), sample::now())).await.expect("commit");
    let again = world.store.commit(change(&world, answer(&world, 0, "2"), sample::now())).await;
    assert!(matches!(again, Err(CommitError::Conflict(_))), "{again:?}");
    assert_eq!(world.deliveries().await.len(), 1);
    assert_eq!(kept(&world, &answer(&world, 0, "").key, sample::now()).await.as_deref(), Some("1"));
}

/// The change that comes second is refused, and then finds the answer of the first.
pub async fn two_changes_at_once_under_one_key_commit_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    let one = change(&world, answer(&world, 0, "1"), sample::now());
    let other = change(&world, answer(&world, 0, "2"), sample::now());
    let (one, other) = futures::join!(world.store.commit(one), world.store.commit(other));
    let expected = if one.is_ok() { "1" } else { "2" };
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(world.deliveries().await.len(), 1);
    assert_eq!(kept(&world, &answer(&world, 0, "").key, sample::now()).await.as_deref(), Some(expected));
}

/// A key belongs to one request, whatever step each request begins with.
pub async fn two_requests_at_once_under_one_key_commit_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    let one = change(&world, answer(&world, 0, "1"), sample::now());
    let other = change(&world, KeptAnswer { request_sha256: [8; 32], ..answer(&world, 1, "2") }, sample::now());
    let (one, other) = futures::join!(world.store.commit(one), world.store.commit(other));
    let refused = if one.is_ok() { &other } else { &one };
    assert!(matches!(refused, Err(CommitError::Conflict(_))) && one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(world.deliveries().await.len(), 1);
    // Past its time the key belongs to no request.
    let later = plus_ms(sample::now(), IDEMPOTENCY_KEPT_MS);
    let third = KeptAnswer { request_sha256: [9; 32], ..answer(&world, 2, "3") };
    world.store.commit(change(&world, third, later)).await.expect("commit");
}

/// A day later the key is as good as new, and each new answer removes the answers that are past their time.
pub async fn an_answer_past_its_time_is_forgotten_and_replaced(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let key = answer(&world, 0, "").key;
    for step in 0..3 {
        world.store.commit(change(&world, answer(&world, step, "old"), sample::now())).await.expect("commit");
    }
    let last_moment = plus_ms(sample::now(), IDEMPOTENCY_KEPT_MS - 1);
    let later = plus_ms(sample::now(), IDEMPOTENCY_KEPT_MS);
    assert_eq!(kept(&world, &key, last_moment).await.as_deref(), Some("old"));
    assert_eq!(kept(&world, &key, later).await, None);
    world.store.commit(change(&world, answer(&world, 0, "new"), later)).await.expect("commit");
    assert_eq!(kept(&world, &key, later).await.as_deref(), Some("new"));
    // An answer that was removed is gone also where it is asked for as of an earlier time.
    for step in [1, 2] {
        assert_eq!(kept(&world, &answer(&world, step, "").key, last_moment).await, None, "{step}");
    }
}
