//! Large answers: the room that answers hold whose clients have not taken them, over HTTP, WebSocket and event streams.

use crate::limits::{assert_unavailable, assert_unavailable_over, post, stream, untaken};
use crate::rig::socket::{hear, initialised, say, subscribe};
use crate::rig::{start, until};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::permission::PermissionSet;
use hookgraph_pim::Caller;
use hookgraph_server::limits::{ANSWER_BYTES_HELD_MAX, ANSWER_SMALL_BYTES_MAX};
use http_body_util::BodyExt;
use serde_json::Value;
use uuid::Uuid;

/// A query whose answer is large.
fn of_large_answer() -> String {
    format!("{{ hello(name: \"{}\") }}", "x".repeat(2 * ANSWER_SMALL_BYTES_MAX))
}

#[tokio::test]
async fn a_large_answer_holds_its_room_until_its_client_has_taken_it_over_every_transport() {
    let rig = start(&[]).await;
    let held = || rig.state.shares.answers().bytes_held();
    for accept in ["application/json", "text/event-stream"] {
        let mut body = untaken(&rig, accept, &of_large_answer()).await;
        until("the answer to take its room", || held() >= 2 * ANSWER_SMALL_BYTES_MAX).await;
        let mut part = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(part.len() > 2 * ANSWER_SMALL_BYTES_MAX, "{accept}");
        let last = part.split_off(part.len() - 1);
        drop((body, part));
        assert!(held() > 2 * ANSWER_SMALL_BYTES_MAX, "what is left of it keeps all of it in memory: {accept}");
        drop(last);
        assert_eq!(held(), 0, "{accept}");
    }
    drop(untaken(&rig, "application/json", &of_large_answer()).await);
    assert_eq!(held(), 0, "a client that goes gives it back");
    let mut socket = initialised(&rig).await;
    say(&mut socket, subscribe("a", "subscription { big }")).await;
    // Answers wait in the queue of a client that does not read.
    until("the queue to fill", || held() >= 8 * 1024 * 1024).await;
    drop(socket);
    until("the queue to give its room back", || held() == 0).await;
}

#[tokio::test]
async fn a_large_answer_without_room_is_refused_over_every_transport_and_a_small_one_is_not() {
    let rig = start(&[]).await;
    let answers = rig.state.shares.answers();
    // The room is taken by others, each of whom leaves some for one more.
    let mut others = Vec::new();
    for tenant in 1..20 {
        let (tenant_id, permissions) = (TenantId(Uuid::from_u128(tenant)), PermissionSet::NONE);
        let share = answers.of(&Caller { tenant_id, user_id: None, permissions });
        let mut bytes = ANSWER_BYTES_HELD_MAX;
        while bytes > ANSWER_SMALL_BYTES_MAX {
            match share.take(bytes) {
                Ok(more) => others.push(more),
                Err(_) => bytes /= 2,
            }
        }
    }
    assert_unavailable(post(&rig, &of_large_answer())).await;
    let mut socket = initialised(&rig).await;
    for query in [of_large_answer(), "subscription { big }".to_owned()] {
        let streamed = stream(&rig, &query).send().await.unwrap().text().await.unwrap();
        assert!(streamed.contains("\"UNAVAILABLE\"") && streamed.contains("event: complete"), "{streamed}");
        assert_unavailable_over(&mut socket, subscribe("a", &query)).await;
    }
    assert_eq!(post(&rig, "{ hello }").send().await.unwrap().status(), 200);
    // A mutation is answered: a client that asked again would have it done twice.
    let word = "x".repeat(2 * ANSWER_SMALL_BYTES_MAX);
    let mutation = format!("mutation {{ shout(word: \"{word}\") }}");
    let answer = post(&rig, &mutation).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["data"]["shout"], word);
    let streamed = stream(&rig, &mutation).send().await.unwrap().text().await.unwrap();
    assert!(streamed.contains(&word) && !streamed.contains("UNAVAILABLE"));
    say(&mut socket, subscribe("a", &mutation)).await;
    assert_eq!(hear(&mut socket).await["payload"]["data"]["shout"], word);
    assert_eq!(hear(&mut socket).await["type"], "complete");
    drop(others);
    assert_eq!(post(&rig, &of_large_answer()).send().await.unwrap().status(), 200);
    say(&mut socket, subscribe("a", &of_large_answer())).await;
    assert_eq!(hear(&mut socket).await["type"], "next");
}
