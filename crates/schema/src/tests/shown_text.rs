//! How much text of payloads and attempts one answer shows.

use super::at_once::full;
use super::world::{World, world};
use crate::limits::ANSWER_BYTES_MAX;
use async_graphql::Request;
use futures::StreamExt;
use hookgraph_domain::attempt::{Attempt, OutcomeCode, OutgoingRequest, ResponseHead};
use hookgraph_domain::change::{Change, Expected};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::{AttemptId, EventId};
use hookgraph_domain::limits::{PAYLOAD_BYTES_MAX, RESPONSE_BODY_BYTES_MAX, RESPONSE_HEADERS_BYTES_MAX};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{DeliveryQueue, Entropy, Fenced, Freeze, UnitOfWork};
use hookgraph_domain::settle::{HealthSignal, NextState, Settlement};
use hookgraph_pim::limits::READ_BYTES_AT_ONCE_MAX;
use hookgraph_testkit::{SeededEntropy, sample};
use serde_json::{Value, json};

const DOCUMENT: &str = "query ($id: ID!) { order { get(id: $id) { id } } }";

/// One as long as few are.
fn url() -> String {
    format!("https://receiver.example/{}", "u".repeat(8_000))
}

/// Deliveries whose payloads have as many bytes as they may, each delivered by one attempt.
async fn deliveries(world: &World, count: u32) {
    world.put_webhook(world.webhook(5, "orders/create", DOCUMENT), Expected::Absent).await;
    let entropy = SeededEntropy::new(99);
    let mut change = Change::at(sample::now());
    let event = || sample::event(EventId(entropy.uuid(sample::now())), world.caller.tenant_id, "o1");
    change.events = (0..count).map(|_| event()).collect();
    world.store.commit(change).await.unwrap();
    let json = format!(r#"{{"a":"{}"}}"#, "x".repeat(PAYLOAD_BYTES_MAX - r#"{"a":""}"#.len()));
    for claim in world.store.claim(&sample::claim_request(count)).await.unwrap().deliveries {
        let (delivery_id, fencing_token) = (claim.delivery.id, claim.delivery.fencing_token);
        let payload = FrozenPayload { json: json.as_str().into(), rendered_at: sample::now() };
        let frozen = world.store.freeze(&[Freeze { delivery_id, fencing_token, payload }]).await.unwrap();
        let header = "h".repeat(RESPONSE_HEADERS_BYTES_MAX);
        let attempt = Attempt {
            id: AttemptId(entropy.uuid(sample::now())),
            delivery_id,
            number: 1,
            code: OutcomeCode::Delivered,
            detail: None,
            request: Some(OutgoingRequest {
                method: "POST".to_owned(),
                url: url(),
                headers: vec![("webhook-id".to_owned(), delivery_id.to_string())],
                body: Some(json.as_str().into()),
            }),
            response: Some(ResponseHead { status: 200, headers: vec![("x-long".to_owned(), header)] }),
            response_body: Some("r".repeat(RESPONSE_BODY_BYTES_MAX)),
            response_truncated: false,
            remote_address: None,
            started_at: sample::now(),
            ended_at: sample::now(),
        };
        let next = NextState { state: DeliveryState::Delivered, reason: None, due_at: None, attempts_spent: 1 };
        let settlement = Settlement {
            delivery_id,
            webhook_id: claim.webhook.id,
            fencing_token,
            attempt: Some(attempt),
            next,
            health: Some(HealthSignal::Succeeded),
            now: sample::now(),
        };
        assert_eq!(
            (frozen, world.store.settle(&[settlement]).await.unwrap()),
            (vec![Fenced::Done], vec![Fenced::Done])
        );
    }
}

/// The same field so many times, each under a name of its own.
fn times(count: usize, field: &str) -> String {
    (0..count).map(|index| format!("a{index}: {field} ")).collect()
}

fn of_deliveries(first: u32, selection: &str) -> String {
    format!("{{ delivery {{ getMany(first: {first}) {{ nodes {{ {selection} }} }} }} }}")
}

fn of_webhook(world: &World, selection: &str) -> String {
    let id = world.webhook(5, "orders/create", DOCUMENT).id;
    format!("{{ webhook {{ get(id: \"{id}\") {{ {selection} }} }} }}")
}

async fn nodes(world: &World, first: u32, selection: &str) -> Vec<Value> {
    let answer = world.ask(&of_deliveries(first, selection), json!({})).await;
    assert_eq!(answer["errors"], Value::Null, "{selection}");
    answer["data"]["delivery"]["getMany"]["nodes"].as_array().unwrap().clone()
}

async fn assert_refused(world: &World, document: &str) {
    let answer = world.ask(document, json!({})).await;
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{document}: {error}");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("this answer shows more than 32 MiB of payloads and attempts: ask for fewer"),
        "{message}"
    );
}

/// A document of a few lines may ask for them a hundred times over.
#[tokio::test]
async fn each_time_that_a_text_is_shown_counts() {
    let world = world().await;
    deliveries(&world, 2).await;
    let shown = nodes(&world, 10, &times(15, "payload")).await;
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[1]["a14"]["a"].as_str().map(str::len), Some(PAYLOAD_BYTES_MAX - 8));
    for selection in [
        times(17, "payload"),
        format!("attempts {{ request {{ {} }} }}", times(17, "body")),
        format!("attempts {{ {} }}", times(17, "request { body }")),
        times(17, "attempts { request { body } }"),
        format!("payload {} attempts {{ request {{ {} }} }}", times(8, "payload"), times(8, "body")),
    ] {
        assert_refused(&world, &of_deliveries(10, &selection)).await;
    }
    assert_refused(&world, &of_webhook(&world, &format!("pastInvocations {{ {} }}", times(17, "payload")))).await;
    // What came back is shorter.
    let header = format!("attempts {{ response {{ headers {{ {} }} }} }}", times(90, "value"));
    let shown = nodes(&world, 10, &header).await;
    let header = &shown[0]["attempts"][0]["response"]["headers"][0];
    assert_eq!(header["a89"].as_str().map(str::len), Some(RESPONSE_HEADERS_BYTES_MAX));
}

/// None of them alone is too much.
#[tokio::test]
async fn bodies_headers_and_urls_count_together() {
    let world = world().await;
    deliveries(&world, 36).await;
    let bodies = times(52, "body");
    let of_attempts = |rest: &str| of_deliveries(36, &format!("attempts {{ {rest} }}"));
    let alone = world.ask(&of_attempts(&format!("response {{ {bodies} }}")), json!({})).await;
    assert_eq!(alone["errors"], Value::Null);
    let (values, urls) = (times(12, "value"), times(12, "url"));
    for rest in [
        format!("response {{ {bodies} headers {{ {values} }} }}"),
        format!("response {{ {bodies} }} request {{ {urls} }}"),
        format!("response {{ {} }}", times(60, "body")),
    ] {
        assert_refused(&world, &of_attempts(&rest)).await;
    }
    // As often as there is room for them: that they were read does not count.
    let fitting = ANSWER_BYTES_MAX / (36 * RESPONSE_BODY_BYTES_MAX);
    let answered = format!("pastInvocations(limit: 100) {{ response {{ {} }} }}", times(fitting, "body"));
    assert_eq!(world.ask(&of_webhook(&world, &answered), json!({})).await["errors"], Value::Null);
    let answered = format!("pastInvocations(limit: 100) {{ response {{ {} }} }}", times(60, "body"));
    assert_refused(&world, &of_webhook(&world, &answered)).await;
}

/// Thirty-six payloads are more than an answer shows; what shows none of them is not refused for it.
#[tokio::test]
async fn a_page_of_large_deliveries_is_refused_for_the_text_that_it_shows_alone() {
    let world = world().await;
    deliveries(&world, 36).await;
    let heads = "renderedAt attempts { number outcome request { method url } response { status } }";
    let shown = nodes(&world, 100, heads).await;
    assert_eq!(shown.len(), 36);
    assert!(shown.iter().all(|node| !node["renderedAt"].is_null()));
    let attempt = json!({ "number": 1, "outcome": "DELIVERED", "request": { "method": "POST", "url": url() },
        "response": { "status": 200 } });
    assert!(shown.iter().all(|node| node["attempts"] == json!([attempt])), "{}", shown[0]);
    let heads = "health { state p50Ms } pastInvocations(limit: 100) { number outcome response { status } }";
    let answer = world.ask(&of_webhook(&world, heads), json!({})).await;
    let invocations = answer["data"]["webhook"]["get"]["pastInvocations"].as_array().unwrap();
    assert_eq!((&answer["errors"], invocations.len()), (&Value::Null, 36));
    let head = json!({ "number": 1, "outcome": "DELIVERED", "response": { "status": 200 } });
    assert!(invocations.iter().all(|invocation| *invocation == head), "{}", invocations[0]);

    for selection in ["payload", "attempts { request { body } }"] {
        assert_refused(&world, &of_deliveries(100, selection)).await;
        assert_eq!(nodes(&world, 20, selection).await.len(), 20);
    }
    assert_refused(&world, &of_webhook(&world, "pastInvocations(limit: 100) { payload }")).await;
    let bodies = "lastInvocation { response { body } } pastInvocations(limit: 30) { response { body } payload }";
    let answer = world.ask(&of_webhook(&world, bodies), json!({})).await;
    assert_eq!(answer["errors"], Value::Null);
    let shown = &answer["data"]["webhook"]["get"];
    for invocation in [&shown["lastInvocation"], &shown["pastInvocations"][29]] {
        assert_eq!(invocation["response"]["body"].as_str().map(str::len), Some(RESPONSE_BODY_BYTES_MAX));
    }
}

/// The first ones are there, and each of the others is an error of its own: where it may be null it is, and where it may not
/// what it is of is.
#[tokio::test]
async fn what_fits_is_shown_and_what_goes_beyond_is_null() {
    let world = world().await;
    deliveries(&world, 36).await;
    let fitting = ANSWER_BYTES_MAX / PAYLOAD_BYTES_MAX;
    let answer = world.ask(&of_deliveries(100, "id payload"), json!({})).await;
    let nodes = answer["data"]["delivery"]["getMany"]["nodes"].as_array().unwrap();
    let is_shown: Vec<_> = nodes.iter().map(|node| !node["payload"].is_null()).collect();
    assert_eq!(is_shown, (0..36).map(|index| index < fitting).collect::<Vec<_>>());
    assert!(nodes.iter().all(|node| node["id"].is_string()));
    let mut paths: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
    paths.sort_by_key(|path| path[3].as_u64());
    let expected: Vec<_> =
        (fitting..36).map(|index| json!(["delivery", "getMany", "nodes", index, "payload"])).collect();
    assert_eq!(paths, expected);

    // Attempts may not be null.
    let answer = world.ask(&of_deliveries(100, "attempts { request { body } }"), json!({})).await;
    assert_eq!(answer["data"], Value::Null);
    let ids: Vec<_> = nodes.iter().map(|node| node["id"].as_str().unwrap()).collect();
    let of_each: String = (0..36)
        .map(|index| format!("d{index}: get(id: \"{}\") {{ id attempts {{ request {{ body }} }} }} ", ids[index]))
        .collect();
    let answer = world.ask(&format!("{{ delivery {{ {of_each} }} }}"), json!({})).await;
    let shown = (0..36).map(|index| &answer["data"]["delivery"][format!("d{index}")]);
    let attempts: Vec<_> = shown.filter(|delivery| !delivery.is_null()).map(|delivery| &delivery["attempts"]).collect();
    assert_eq!(attempts.len(), fitting);
    let length = |attempts: &Value| attempts[0]["request"]["body"].as_str().map(str::len);
    assert!(attempts.into_iter().all(|attempts| length(attempts) == Some(PAYLOAD_BYTES_MAX)));
}

#[tokio::test]
async fn each_answer_of_a_subscription_shows_as_much_and_reads_what_is_there_then() {
    let world = world().await;
    deliveries(&world, 1).await;
    // From the first entry of the feed on: the delivery came into three states.
    let text = format!(
        "subscription {{ deliveryUpdated(after: \"ZjE6MA\") {{ state delivery {{ {} webhook {{ tenant {{ name }} }} }} }} }}",
        times(20, "payload")
    );
    let mut answers = world.api.subscribe(world.caller.clone(), Request::new(text));
    for (state, name) in [("PENDING", "Sample"), ("IN_FLIGHT", "Renamed"), ("DELIVERED", "Again")] {
        if name != "Sample" {
            let renamed = format!(r#"tenant {{ update(id: "<tenant>", input: {{ name: "{name}" }}) {{ id }} }}"#);
            world.mutate(&renamed).await;
        }
        let answer = answers.next().await.unwrap();
        assert!(answer.errors.is_empty(), "{state}: {:?}", answer.errors);
        let update = answer.data.into_json().unwrap()["deliveryUpdated"].take();
        let delivery = &update["delivery"];
        assert_eq!((&update["state"], &delivery["webhook"]["tenant"]["name"]), (&json!(state), &json!(name)));
        assert_eq!(delivery["a19"]["a"].as_str().map(str::len), Some(PAYLOAD_BYTES_MAX - 8));
    }
}

#[tokio::test]
async fn what_all_answers_show_at_a_time_is_bounded_too() {
    let world = world().await;
    deliveries(&world, 1).await;
    let others = full(world.api.room());
    for selection in ["payload", "attempts { request { body } }"] {
        let answer = world.ask(&of_deliveries(10, selection), json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{selection}");
    }
    assert_eq!(nodes(&world, 10, "renderedAt").await.len(), 1);
    // What a mutation has done is told: asked again, it would do it twice.
    let id = nodes(&world, 10, "id").await[0]["id"].clone();
    let retried = world.mutate(&format!("delivery {{ retry(id: {id}) {{ state payload }} }}")).await;
    assert_eq!(retried["delivery"]["retry"]["payload"]["a"].as_str().map(str::len), Some(PAYLOAD_BYTES_MAX - 8));
    drop(others);
    assert_eq!(nodes(&world, 10, "payload attempts { request { body } }").await.len(), 1);
    assert_eq!(world.api.room().bytes_held(), 0, "what requests took is given back as they end");
}

#[tokio::test]
async fn a_mutation_is_not_begun_while_its_caller_holds_as_much_as_it_ever_may() {
    let world = world().await;
    deliveries(&world, 1).await;
    let id = nodes(&world, 10, "id").await[0]["id"].clone();
    let own = world.api.room().of(world.caller.tenant_id, world.caller.user_id.as_deref());
    let own = own.take(READ_BYTES_AT_ONCE_MAX / 2).unwrap();
    let answer = world.ask(&format!("mutation {{ delivery {{ retry(id: {id}) {{ id }} }} }}"), json!({})).await;
    assert_eq!((&answer["errors"][0]["extensions"]["code"], &answer["data"]), (&json!("UNAVAILABLE"), &Value::Null));
    assert_eq!(nodes(&world, 10, "state").await[0]["state"], "DELIVERED", "nothing was done");
    drop(own);
}
