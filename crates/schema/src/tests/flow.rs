//! Flow settings, pause and resume, replays, many deliveries at once, and health, as a caller sees them.

use super::world::{World, world};
use crate::limits::BACKLOG_COUNT_MAX;
use async_graphql::{Request, Variables};
use hookgraph_domain::attempt::{Attempt, OutcomeCode};
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryEvent, DeliveryPurpose, DeliveryState, NewDelivery};
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ids::{AttemptId, EventId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::limits::REPLAYS_RUNNING_MAX;
use hookgraph_domain::ports::{DeliveryQueue, Entropy, Fenced, PrunePosition, Retention, UnitOfWork, WebhookReader};
use hookgraph_domain::retention::HistoryCut;
use hookgraph_domain::settle::{HealthSignal, NextState, Settlement};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use hookgraph_pim::Caller;
use hookgraph_testkit::{SeededEntropy, sample};
use serde_json::{Value, json};
use uuid::Uuid;

fn input(more: Value) -> Value {
    let mut input = json!({ "name": "Orders", "concern": "orders", "event": "create", "method": "POST", "url": "https://a.example" });
    let fields = more.as_object().cloned().unwrap_or_default();
    input.as_object_mut().unwrap().extend(fields);
    input
}

const CREATE: &str = "mutation ($input: CreateWebhookInput!) { webhook { create(input: $input) {
    id concurrency ratePerSecond ordering } } }";

async fn webhook_id(world: &World) -> String {
    let answer = world.ask(CREATE, json!({ "input": input(json!({})) })).await;
    answer["data"]["webhook"]["create"]["id"].as_str().expect("an id").to_owned()
}

/// Records events to which the webhook's deliveries are owed.
async fn events(world: &World, count: usize) {
    let entropy = SeededEntropy::new(99);
    let mut change = Change::at(sample::now());
    change.events = (0..count)
        .map(|_| sample::event(EventId(entropy.uuid(sample::now())), world.caller.tenant_id, "o1"))
        .collect::<Vec<NewEvent>>();
    world.store.commit(change).await.unwrap();
}

async fn states(world: &World) -> Vec<String> {
    let answer = world.ask("{ delivery { getMany(first: 100) { nodes { state } } } }", json!({})).await;
    let nodes = answer["data"]["delivery"]["getMany"]["nodes"].as_array().expect("nodes").clone();
    nodes.iter().map(|node| node["state"].as_str().expect("a state").to_owned()).collect()
}

#[tokio::test]
async fn flow_settings_have_defaults_are_kept_and_have_ranges() {
    let world = world().await;
    let created = async |more| world.ask(CREATE, json!({ "input": input(more) })).await;
    let plain = created(json!({})).await["data"]["webhook"]["create"].clone();
    assert_eq!(
        (&plain["concurrency"], &plain["ratePerSecond"], &plain["ordering"]),
        (&json!(50), &Value::Null, &json!("NONE"))
    );
    let set = created(json!({ "concurrency": 3, "ratePerSecond": 7, "ordering": "BY_RECORD" })).await;
    let id = &set["data"]["webhook"]["create"]["id"];
    let update = "mutation ($id: ID!, $input: UpdateWebhookInput!) { webhook { update(id: $id, input: $input) {
        concurrency ratePerSecond ordering } } }";
    let renamed = world.ask(update, json!({ "id": id, "input": { "name": "Other" } })).await;
    assert_eq!(
        renamed["data"]["webhook"]["update"],
        json!({ "concurrency": 3, "ratePerSecond": 7, "ordering": "BY_RECORD" })
    );
    let cleared = json!({ "concurrency": null, "ratePerSecond": null, "ordering": null });
    let cleared = world.ask(update, json!({ "id": id, "input": cleared })).await;
    assert_eq!(
        cleared["data"]["webhook"]["update"],
        json!({ "concurrency": 50, "ratePerSecond": null, "ordering": "NONE" })
    );
    let refused = created(json!({ "concurrency": 0, "ratePerSecond": 1001 })).await;
    let problems = &refused["errors"][0]["extensions"]["problems"];
    assert_eq!(problems[0]["path"], "input.concurrency");
    assert_eq!(problems[0]["message"], "0: 1 to 500 are allowed");
    assert_eq!(
        (&problems[1]["path"], &problems[1]["code"]),
        (&json!("input.ratePerSecond"), &json!("RATE_OUT_OF_RANGE"))
    );
}

#[tokio::test]
async fn null_sets_a_setting_to_its_default() {
    const SETTINGS: &str = "timeoutMs retryDelaysS signing preserveDefaultPayload headers { name }";
    let world = world().await;
    let create =
        format!("mutation ($input: CreateWebhookInput!) {{ webhook {{ create(input: $input) {{ id {SETTINGS} }} }} }}");
    let update = format!(
        "mutation ($id: ID!, $input: UpdateWebhookInput!) {{ webhook {{ update(id: $id, input: $input) {{ {SETTINGS} }} }} }}"
    );
    let created = async |more| {
        let answer = world.ask(&create, json!({ "input": input(more) })).await;
        answer["data"]["webhook"]["create"].clone()
    };
    let mut plain = created(json!({})).await;
    let set = json!({ "timeoutMs": 500, "retryDelaysS": [1], "signing": "BOTH", "preserveDefaultPayload": true,
        "headers": [{ "name": "x-a", "value": "b" }] });
    let id = created(set).await["id"].clone();
    let nulls = json!({ "timeoutMs": null, "retryDelaysS": null, "signing": null, "preserveDefaultPayload": null,
        "headers": null });
    let cleared = world.ask(&update, json!({ "id": id, "input": nulls })).await;
    plain.as_object_mut().unwrap().remove("id");
    assert_eq!(cleared["data"]["webhook"]["update"], plain, "{cleared}");
    assert_eq!((&plain["timeoutMs"], &plain["signing"]), (&json!(15_000), &json!("SYMMETRIC")));
}

#[tokio::test]
async fn a_pause_holds_and_a_resume_begins_to_drain() {
    let world = world().await;
    let id = webhook_id(&world).await;
    events(&world, 2).await;
    let act = async |what: &str| {
        let text = format!(
            "mutation {{ webhook {{ {what}(id: {id:?}) {{ status health {{ state backlog oldestDueAt }} }} }} }}"
        );
        world.ask(&text, json!({})).await
    };
    let held = json!({ "status": "PAUSED", "health": { "state": "STOPPED", "backlog": 2, "oldestDueAt": null } });
    assert_eq!(act("pause").await["data"]["webhook"]["pause"], held);
    assert_eq!(states(&world).await, ["HELD", "HELD"]);
    assert_eq!(act("pause").await["data"]["webhook"]["pause"], held, "twice is once");
    let resumed = act("resume").await["data"]["webhook"]["resume"].clone();
    assert_eq!((&resumed["status"], &resumed["health"]["state"]), (&json!("ACTIVE"), &json!("DRAINING")));
    assert_eq!(act("resume").await["data"]["webhook"]["resume"]["status"], "ACTIVE");
    let off = "mutation ($id: ID!) { webhook { update(id: $id, input: { enabled: false }) { status } } }";
    world.ask(off, json!({ "id": id })).await;
    for what in ["pause", "resume"] {
        assert_eq!(
            act(what).await["errors"][0]["extensions"]["code"],
            "CONFLICT",
            "{what} of one that is switched off"
        );
    }
}

const REPLAY: &str = "mutation ($input: ReplayWebhookInput!) { webhook { replay(input: $input) {
    id to state ratePerSecond payload madeCount states } } }";

#[tokio::test]
async fn a_replay_is_begun_watched_and_cancelled() {
    let world = world().await;
    let id = webhook_id(&world).await;
    let asked = json!({ "webhookId": id, "from": "2023-01-01T00:00:00Z", "to": "2023-02-01T00:00:00Z",
        "states": ["FAILED"], "payload": "FRESH" });
    let begun = world.ask(REPLAY, json!({ "input": asked })).await["data"]["webhook"]["replay"].clone();
    assert_eq!((&begun["state"], &begun["ratePerSecond"]), (&json!("RUNNING"), &json!(50)));
    assert_eq!((&begun["payload"], &begun["states"]), (&json!("FRESH"), &json!(["FAILED"])));
    let read = "query ($id: ID!) { replay { get(id: $id) { state position positionAt } getMany { nodes { id } } } }";
    let seen = world.ask(read, json!({ "id": begun["id"] })).await;
    assert_eq!(seen["data"]["replay"]["get"], json!({ "state": "RUNNING", "position": null, "positionAt": null }));
    assert_eq!(seen["data"]["replay"]["getMany"]["nodes"], json!([{ "id": begun["id"] }]));

    let overlapping = json!({ "webhookId": id, "from": "2023-01-31T00:00:00Z", "to": "2023-03-01T00:00:00Z" });
    let refused = world.ask(REPLAY, json!({ "input": overlapping })).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "CONFLICT");
    assert!(refused["errors"][0]["message"].as_str().expect("a message").contains("overlaps"), "{refused}");
    let beside = json!({ "webhookId": id, "from": "2023-02-01T00:00:00Z", "to": "2023-03-01T00:00:00Z" });
    assert_eq!(world.ask(REPLAY, json!({ "input": beside })).await["errors"], Value::Null);

    let open_ended = json!({ "webhookId": id, "from": "2023-06-01T00:00:00Z", "to": "2023-12-01T00:00:00Z" });
    let too_long = world.ask(REPLAY, json!({ "input": open_ended })).await["errors"][0].clone();
    assert_eq!(too_long["extensions"]["problems"][0]["code"], "RANGE_TOO_LONG");
    let into_the_future = json!({ "webhookId": id, "from": "2023-10-01T00:00:00Z", "to": "2023-12-01T00:00:00Z" });
    let clamped = world.ask(REPLAY, json!({ "input": into_the_future })).await;
    assert_eq!(clamped["data"]["webhook"]["replay"]["to"], "2023-11-14T22:13:20.250Z", "{clamped}");

    let cancel = "mutation ($id: ID!) { replay { cancel(id: $id) { state } } }";
    for _ in 0..2 {
        let cancelled = world.ask(cancel, json!({ "id": begun["id"] })).await;
        assert_eq!(cancelled["data"]["replay"]["cancel"]["state"], "CANCELLED");
    }
    assert_eq!(world.ask(REPLAY, json!({ "input": asked })).await["errors"], Value::Null, "the range is free again");
    let unknown = world.ask(cancel, json!({ "id": id })).await;
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "NOT_FOUND");
}

#[tokio::test]
async fn so_many_replays_run_at_a_time_and_one_that_ends_makes_room() {
    let world = world().await;
    let ids = [webhook_id(&world).await, webhook_id(&world).await];
    // Of all the tenant's webhooks together; a day each, so that none overlaps.
    let replay = async |day: usize| {
        let (from, to) = (format!("2023-01-{day:02}T00:00:00Z"), format!("2023-01-{:02}T00:00:00Z", day + 1));
        world.ask(REPLAY, json!({ "input": { "webhookId": ids[day % 2], "from": from, "to": to } })).await
    };
    let mut first = Value::Null;
    for day in 1..=REPLAYS_RUNNING_MAX {
        let begun = replay(day).await;
        assert_eq!(begun["errors"], Value::Null, "{begun}");
        if day == 1 {
            first = begun["data"]["webhook"]["replay"]["id"].clone();
        }
    }
    let refused = replay(REPLAYS_RUNNING_MAX + 1).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{refused}");
    let message = format!("{REPLAYS_RUNNING_MAX} replays are running, and that is the limit: wait for one to end");
    assert_eq!(refused["errors"][0]["message"], message);
    world.ask("mutation ($id: ID!) { replay { cancel(id: $id) { state } } }", json!({ "id": first })).await;
    let again = replay(REPLAYS_RUNNING_MAX + 1).await;
    assert_eq!(again["errors"], Value::Null, "{again}");
}

#[tokio::test]
async fn what_a_replay_made_is_listed_and_cancelled_by_it() {
    let world = world().await;
    let id = webhook_id(&world).await;
    let other = webhook_id(&world).await;
    events(&world, 2).await;
    let asked = json!({ "webhookId": id, "from": "2023-01-01T00:00:00Z", "to": "2023-02-01T00:00:00Z" });
    let begun = world.ask(REPLAY, json!({ "input": asked })).await["data"]["webhook"]["replay"]["id"].clone();
    let replay_id: ReplayId = begun.as_str().expect("an id").parse().unwrap();
    let write = Write::InsertDelivery(NewDelivery {
        id: SeededEntropy::new(5).uuid(sample::now()).into(),
        tenant_id: world.caller.tenant_id,
        webhook_id: id.parse().unwrap(),
        event: DeliveryEvent::Recorded(world.latest("orders/create").await.id),
        purpose: DeliveryPurpose::Replay { replay_id, payload_of: None },
    });
    world.store.commit(Change { writes: vec![write], ..Change::at(sample::now()) }).await.unwrap();

    let lists = "query ($id: ID!, $webhookId: ID!) {
        delivery { getMany(replayId: $id) { nodes { replayId state } } }
        replay { get(id: $id) { deliveries { nodes { replayId state } } } }
        webhook { get(id: $webhookId) { deliveries(replayId: $id) { nodes { replayId state } } } } }";
    let listed = async || {
        let answer = world.ask(lists, json!({ "id": begun, "webhookId": id })).await;
        assert_eq!(answer["errors"], Value::Null, "{answer}");
        let data = &answer["data"];
        [&data["delivery"]["getMany"], &data["replay"]["get"]["deliveries"], &data["webhook"]["get"]["deliveries"]]
            .map(|page| page["nodes"].clone())
    };
    let made = |state: &str| [(); 3].map(|()| json!([{ "replayId": begun, "state": state }]));
    assert_eq!(listed().await, made("PENDING"));
    let cancel = "mutation ($id: ID!) { delivery { cancelMany(filter: { replayId: $id }) { count hasMore } } }";
    let cancelled = world.ask(cancel, json!({ "id": begun })).await;
    assert_eq!(cancelled["data"]["delivery"]["cancelMany"], json!({ "count": 1, "hasMore": false }), "{cancelled}");
    assert_eq!(listed().await, made("CANCELLED"));
    let left = states(&world).await.into_iter().filter(|state| state == "PENDING");
    assert_eq!(left.count(), 4, "of two events to two webhooks");

    let unknown = world.ask(cancel, json!({ "id": Uuid::from_u128(404) })).await;
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "NOT_FOUND", "{unknown}");
    let of_another = world.ask(lists, json!({ "id": begun, "webhookId": other })).await;
    assert_eq!(of_another["errors"][0]["extensions"]["code"], "NOT_FOUND", "{of_another}");
    let tenant_id = TenantId(Uuid::from_u128(2));
    world.add_tenant(tenant_id, "stranger").await;
    let request = Request::new(cancel).variables(Variables::from_json(json!({ "id": begun })));
    let stranger = Caller { tenant_id, ..world.caller.clone() };
    let foreign = serde_json::to_value(world.api.execute(stranger, request).await).unwrap();
    assert_eq!(foreign["errors"][0]["extensions"]["code"], "NOT_FOUND", "{foreign}");
}

#[tokio::test]
async fn a_delivery_that_went_with_the_history_is_told_while_another_keeps_its_event() {
    let world = world().await;
    for _ in 0..2 {
        webhook_id(&world).await;
    }
    events(&world, 1).await;
    let claim = world.store.claim(&sample::claim_request(1)).await.unwrap().deliveries.remove(0);
    let gone = claim.webhook.id.to_string();
    settle(&world, claim, 1, true).await;
    let told = async || {
        let text = "{ event { getMany { nodes { matches { webhook { id } reason delivery { state } } } } } }";
        let answer = world.ask(text, json!({})).await;
        let matches = answer["data"]["event"]["getMany"]["nodes"][0]["matches"].as_array().expect("matches").clone();
        let (of_gone, of_other): (Vec<_>, Vec<_>) = matches.into_iter().partition(|one| one["webhook"]["id"] == gone);
        assert_eq!((of_gone.len(), of_other.len()), (1, 1));
        [&of_gone[0], &of_other[0]].map(|one| (one["reason"].clone(), one["delivery"]["state"].clone()))
    };
    let other = (Value::Null, json!("PENDING"));
    assert_eq!(told().await, [(Value::Null, json!("DELIVERED")), other.clone()]);
    let before = plus_ms(sample::now(), 24 * 3_600_000);
    let cut = HistoryCut { before, ended_before: before };
    world.store.prune_history(&cut, PrunePosition::default(), 100).await.unwrap();
    assert_eq!(told().await, [(json!("REMOVED"), Value::Null), other]);
}

#[tokio::test]
async fn a_range_that_is_too_long_and_not_kept_is_told_both() {
    let world = world().await;
    let id = webhook_id(&world).await;
    let before = sample::now();
    world
        .store
        .prune_history(&HistoryCut { before, ended_before: before }, PrunePosition::default(), 100)
        .await
        .unwrap();
    let asked = json!({ "webhookId": id, "from": "2001-01-01T00:00:00Z", "to": "2023-02-01T00:00:00Z" });
    let refused = world.ask(REPLAY, json!({ "input": asked })).await;
    let problems = refused["errors"][0]["extensions"]["problems"].as_array().expect("problems").clone();
    let codes: Vec<_> = problems.iter().map(|problem| problem["code"].clone()).collect();
    assert_eq!(codes, ["RANGE_NOT_KEPT", "RANGE_TOO_LONG"], "{refused}");
}

#[tokio::test]
async fn a_state_that_a_replay_is_asked_for_over_and_over_is_kept_once() {
    let world = world().await;
    let id = webhook_id(&world).await;
    let asked = |states: Vec<&str>| {
        json!({ "input": { "webhookId": id, "from": "2023-01-01T00:00:00Z", "to": "2023-02-01T00:00:00Z",
            "states": states } })
    };
    let wrong = world.ask(REPLAY, asked(["FAILED", "HELD", "PENDING"].repeat(1_000))).await;
    let problems = wrong["errors"][0]["extensions"]["problems"].as_array().expect("problems").clone();
    let paths: Vec<_> = problems.iter().map(|problem| problem["path"].clone()).collect();
    assert_eq!(paths, ["input.states.1", "input.states.2"]);
    let begun = world.ask(REPLAY, asked(["EXPIRED", "FAILED", "EXPIRED"].repeat(1_000))).await;
    assert_eq!(begun["data"]["webhook"]["replay"]["states"], json!(["FAILED", "EXPIRED"]), "{begun}");
}

#[tokio::test]
async fn a_replay_out_of_its_limits_is_told_them() {
    let world = world().await;
    let id = webhook_id(&world).await;
    let asked = json!({ "webhookId": id, "from": "2023-01-01T00:00:00Z", "to": "2023-01-01T00:00:00Z",
        "states": ["HELD"], "ratePerSecond": 201 });
    let problems = world.ask(REPLAY, json!({ "input": asked })).await["errors"][0]["extensions"]["problems"].clone();
    let codes: Vec<_> = problems.as_array().expect("problems").iter().map(|problem| problem["code"].clone()).collect();
    assert_eq!(codes, ["RANGE_EMPTY", "STATE_NOT_FINAL", "RATE_OUT_OF_RANGE"]);
    assert_eq!(problems[2]["message"], "201: 1 to 200 are allowed");
}

#[tokio::test]
async fn many_deliveries_are_cancelled_and_retried_in_bounded_calls() {
    let world = world().await;
    let id = webhook_id(&world).await;
    events(&world, 5).await;
    let text = |what: &str| {
        format!(
            "mutation ($filter: DeliveriesFilter!, $first: Int, $after: String) {{ delivery {{ \
             {what}(filter: $filter, first: $first, after: $after) {{ count passedOverCount hasMore endCursor }} }} }}"
        )
    };
    let call = async |what: &str, first: i32, after: Value| {
        let variables = json!({ "filter": { "webhookId": id }, "first": first, "after": after });
        world.ask(&text(what), variables).await["data"]["delivery"][what].clone()
    };
    let some = call("cancelMany", 3, Value::Null).await;
    assert_eq!((&some["count"], &some["hasMore"]), (&json!(3), &json!(true)));
    let rest = call("cancelMany", 3, some["endCursor"].clone()).await;
    assert_eq!((&rest["count"], &rest["hasMore"]), (&json!(2), &json!(false)));
    assert_eq!(states(&world).await, ["CANCELLED"; 5]);
    assert_eq!(call("retryMany", 500, Value::Null).await["count"], 5);
    assert_eq!(states(&world).await, ["PENDING"; 5]);

    let write = Write::CancelDue { webhook_id: id.parse().unwrap(), reason: "by a test".to_owned() };
    world.store.commit(Change { writes: vec![write], ..Change::at(sample::now()) }).await.unwrap();
    let off = "mutation ($id: ID!) { webhook { update(id: $id, input: { enabled: false }) { status } } }";
    world.ask(off, json!({ "id": id })).await;
    let refused = call("retryMany", 2, Value::Null).await;
    assert_eq!((&refused["count"], &refused["passedOverCount"]), (&json!(0), &json!(2)));

    let wrong = json!({ "filter": { "all": true, "states": ["DELIVERED"] }, "first": 501 });
    let refused = world.ask(&text("cancelMany"), wrong).await;
    assert_eq!(refused["errors"][0]["extensions"]["problems"][0]["message"], "501 is not from 1 to 500");
    let wrong = json!({ "filter": { "all": true, "states": ["DELIVERED"] } });
    let refused = world.ask(&text("cancelMany"), wrong).await;
    assert_eq!(refused["errors"][0]["extensions"]["problems"][0]["path"], "filter.states.0");
}

#[tokio::test]
async fn deliveries_of_the_whole_tenant_are_changed_where_that_is_said_and_never_for_lack_of_a_value() {
    let world = world().await;
    let id = webhook_id(&world).await;
    events(&world, 2).await;
    let call = async |what: &str, filter: Value| {
        let text =
            format!("mutation ($filter: DeliveriesFilter!) {{ delivery {{ {what}(filter: $filter) {{ count }} }} }}");
        world.ask(&text, json!({ "filter": filter })).await
    };
    let problem = |refused: &Value| {
        let problem = refused["errors"][0]["extensions"]["problems"][0].clone();
        format!("{} {}", problem["path"], problem["code"]).replace('"', "")
    };
    for what in ["cancelMany", "retryMany"] {
        for empty in [
            json!({}),
            json!({ "webhookId": null, "eventId": null, "createdFrom": null, "createdBefore": null, "all": null }),
            json!({ "states": [] }),
            json!({ "states": ["CANCELLED"], "all": false }),
        ] {
            let refused = call(what, empty.clone()).await;
            assert_eq!(problem(&refused), "filter FILTER_EMPTY", "{what} {empty}: {refused}");
        }
        let text = format!("mutation ($id: ID) {{ delivery {{ {what}(filter: {{ webhookId: $id }}) {{ count }} }} }}");
        let refused = world.ask(&text, json!({})).await;
        assert_eq!(problem(&refused), "filter FILTER_EMPTY", "a variable that was left out: {refused}");
        let refused = call(what, json!({ "all": true, "webhookId": id })).await;
        assert_eq!(problem(&refused), "filter.all FILTER_AMBIGUOUS", "{refused}");
    }
    assert_eq!(states(&world).await, ["PENDING"; 2], "nothing was done");
    let cancelled = call("cancelMany", json!({ "all": true })).await;
    assert_eq!(cancelled["data"]["delivery"]["cancelMany"]["count"], 2, "{cancelled}");
    let retried = call("retryMany", json!({ "all": true, "states": ["CANCELLED"] })).await;
    assert_eq!(retried["data"]["delivery"]["retryMany"]["count"], 2, "{retried}");
    assert_eq!(states(&world).await, ["PENDING"; 2]);
}

#[tokio::test]
async fn attempts_that_were_made_and_those_that_are_spent_are_told_apart() {
    let world = world().await;
    webhook_id(&world).await;
    events(&world, 1).await;
    let mut claims = world.store.claim(&sample::claim_request(1)).await.unwrap().deliveries;
    settle(&world, claims.remove(0), 1, false).await;
    let read = async || {
        let text = "{ delivery { getMany { nodes { id state attemptCount attemptsSpent } } } }";
        world.ask(text, json!({})).await["data"]["delivery"]["getMany"]["nodes"][0].clone()
    };
    let mut failed = read().await;
    let id = failed["id"].take();
    assert_eq!(failed, json!({ "id": null, "state": "FAILED", "attemptCount": 1, "attemptsSpent": 1 }));
    let retry = "mutation ($id: ID!) { delivery { retry(id: $id) { state attemptCount attemptsSpent } } }";
    let retried = world.ask(retry, json!({ "id": id })).await;
    let expected = json!({ "state": "PENDING", "attemptCount": 1, "attemptsSpent": 0 });
    assert_eq!(retried["data"]["delivery"]["retry"], expected, "{retried}");
}

#[tokio::test]
async fn a_webhook_that_was_never_called_works() {
    let world = world().await;
    let id = webhook_id(&world).await;
    let text = "query ($id: ID!) { webhook { get(id: $id) { health {
        state failingShare backlog backlogIsMore p50Ms p99Ms nextProbeAt } } } }";
    let health = world.ask(text, json!({ "id": id })).await["data"]["webhook"]["get"]["health"].clone();
    let expected = json!({ "state": "WORKING", "failingShare": null, "backlog": 0, "backlogIsMore": false,
        "p50Ms": null, "p99Ms": null, "nextProbeAt": null });
    assert_eq!(health, expected);
}

#[tokio::test]
async fn a_backlog_is_counted_so_far_and_said_to_be_more() {
    let world = world().await;
    let id = webhook_id(&world).await;
    let backlog = async || {
        let text = "query ($id: ID!) { webhook { get(id: $id) { health { backlog backlogIsMore } } } }";
        world.ask(text, json!({ "id": id })).await["data"]["webhook"]["get"]["health"].clone()
    };
    events(&world, BACKLOG_COUNT_MAX as usize).await;
    assert_eq!(backlog().await, json!({ "backlog": BACKLOG_COUNT_MAX, "backlogIsMore": false }));
    let mut change = Change::at(sample::now());
    change.events.push(sample::event(EventId(Uuid::from_u128(1)), world.caller.tenant_id, "o2"));
    world.store.commit(change).await.unwrap();
    assert_eq!(backlog().await, json!({ "backlog": BACKLOG_COUNT_MAX, "backlogIsMore": true }));
}

/// Ends a delivery with an attempt of that number in the log.
async fn settle(world: &World, claim: ClaimedDelivery, attempt_id: u128, is_delivered: bool) {
    let (state, code, health) = if is_delivered {
        (DeliveryState::Delivered, OutcomeCode::Delivered, HealthSignal::Succeeded)
    } else {
        (DeliveryState::Failed, OutcomeCode::HttpStatus, HealthSignal::Failed)
    };
    let attempt = Attempt {
        id: AttemptId(Uuid::from_u128(attempt_id)),
        delivery_id: claim.delivery.id,
        number: 1,
        code,
        detail: None,
        request: None,
        response: None,
        response_body: None,
        response_truncated: false,
        remote_address: None,
        started_at: sample::now(),
        ended_at: sample::now(),
    };
    let settlement = Settlement {
        delivery_id: claim.delivery.id,
        webhook_id: claim.webhook.id,
        fencing_token: claim.delivery.fencing_token,
        attempt: Some(attempt),
        next: NextState { state, reason: None, due_at: None, attempts_spent: 1 },
        health: Some(health),
        now: sample::now(),
    };
    assert_eq!(world.store.settle(&[settlement]).await.unwrap(), [Fenced::Done]);
}

#[tokio::test]
async fn a_webhook_that_is_resumed_after_its_attempts_failed_works_once_one_succeeds() {
    let world = world().await;
    let id: WebhookId = webhook_id(&world).await.parse().unwrap();
    events(&world, 3).await;
    let mut claims = world.store.claim(&sample::claim_request(3)).await.unwrap().deliveries;
    let health = async || {
        let text = "query ($id: ID!) { webhook { get(id: $id) {
            failingSince health { state since failingShare } } } }";
        world.ask(text, json!({ "id": id })).await["data"]["webhook"]["get"].clone()
    };
    settle(&world, claims.remove(0), 1, true).await;
    assert_eq!(health().await["health"]["state"], "WORKING");
    settle(&world, claims.remove(0), 2, false).await;
    let failing = health().await;
    assert_eq!(
        (&failing["health"]["state"], &failing["health"]["since"]),
        (&json!("FAILING"), &failing["failingSince"])
    );

    let saved = world.store.webhooks(world.caller.tenant_id, &[id]).await.unwrap().remove(0);
    let later = plus_ms(sample::now(), 1_000);
    let paused = saved.clone().with_status(WebhookStatus::Paused, None, later);
    // What was held is due again already.
    let resumed = Webhook { draining: None, ..paused.with_status(WebhookStatus::Active, None, later) };
    let resumed = Webhook { version: saved.version + 1, ..resumed };
    world.put_webhook(resumed, Expected::Version(saved.version)).await;
    let expected = json!({ "failingSince": null,
        "health": { "state": "FAILING", "since": "2023-11-14T22:13:21.250Z", "failingShare": 0.5 } });
    assert_eq!(health().await, expected);
    settle(&world, claims.remove(0), 3, true).await;
    assert_eq!(health().await["health"]["state"], "WORKING");
}
