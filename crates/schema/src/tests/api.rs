//! The management API on the fake store.

use super::world::{ADD_CUSTOMER, world, world_that_suggests};
use crate::limits::PREVIEWS_PER_REQUEST_MAX;
use async_graphql::{Request, Variables};
use futures::StreamExt;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::Feed;
use hookgraph_pim::Caller;
use serde_json::{Value, json};
use uuid::Uuid;

fn input() -> Value {
    json!({ "name": "C", "concern": "customers", "event": "create", "method": "POST", "url": "https://receiver.example",
        "graphqlQuery": "query ($identifier: String!, $tenantId: ID!) {
            customer { get(identifier: $identifier, tenantId: $tenantId) { identifier } } }" })
}

#[tokio::test]
async fn a_change_of_a_record_is_owed_to_its_webhooks_and_shown_with_its_matches() {
    let world = world().await;
    assert_eq!(world.created(input()).await["data"]["webhook"]["create"]["status"], "ACTIVE");
    let added = world.ask(ADD_CUSTOMER, json!({})).await;
    assert_eq!(added["errors"], Value::Null, "{added}");
    let text = "{ event { getMany { nodes { id variables matches { reason delivery { state isTest } } } } } }";
    let events = world.ask(text, json!({})).await;
    let event = &events["data"]["event"]["getMany"]["nodes"][0];
    assert_eq!(event["variables"]["identifier"], "ada");
    let matches = json!([{ "reason": null, "delivery": { "state": "PENDING", "isTest": false } }]);
    assert_eq!(event["matches"], matches);

    // What is made of the event later is no part of what it went to, however much it is.
    let ids = world
        .ask("query ($id: ID!) { webhook { getMany(tenantId: $id) { id } } }", json!({ "id": world.caller.tenant_id }))
        .await;
    let test = "mutation ($id: ID!, $eventId: ID!) { webhook { test(id: $id, eventId: $eventId) { id } } }";
    for _ in 0..3 {
        let asked = json!({ "id": ids["data"]["webhook"]["getMany"][0]["id"], "eventId": event["id"] });
        let tested = world.ask(test, asked).await;
        assert_eq!(tested["errors"], Value::Null, "{tested}");
    }
    let again = world.ask(text, json!({})).await;
    assert_eq!(again["data"]["event"]["getMany"]["nodes"][0]["matches"], matches);
}

#[tokio::test]
async fn webhooks_are_listed_from_the_oldest_on_so_many_as_are_asked_for() {
    let world = world().await;
    for _ in 0..5 {
        world.created(input()).await;
    }
    let ask = async |arguments: &str| {
        let text = format!("query ($id: ID!) {{ webhook {{ getMany(tenantId: $id{arguments}) {{ id }} }} }}");
        world.ask(&text, json!({ "id": world.caller.tenant_id })).await
    };
    let listed = async |arguments: &str| {
        let answer = ask(arguments).await;
        let webhooks = answer["data"]["webhook"]["getMany"].as_array().expect("webhooks").clone();
        webhooks.iter().map(|one| one["id"].clone()).collect::<Vec<_>>()
    };
    let all = listed("").await;
    assert_eq!(all.len(), 5);
    assert!(all.is_sorted_by_key(|id| id.as_str().map(str::to_owned)), "{all:?}");
    assert_eq!(listed(", first: 2").await, all[..2]);
    assert_eq!(listed(&format!(", first: 2, after: {}", all[1])).await, all[2..4]);
    assert_eq!(listed(&format!(", after: {}", all[2])).await, all[3..]);
    let refused = ask(", first: 101").await;
    assert_eq!(refused["errors"][0]["extensions"]["problems"][0]["message"], "101 is not from 1 to 100");
    let refused = ask(", after: \"w1\"").await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "NOT_FOUND");
}

#[tokio::test]
async fn every_problem_of_a_webhook_is_told_and_nothing_is_saved() {
    let world = world().await;
    let wrong = json!({ "name": "", "concern": "customers", "event": "created", "method": "POST", "url": "ftp://x",
        "graphqlQuery": "{ nope }", "graphqlQueryTarget": "next" });
    let refused = world.created(wrong).await;
    let problems = refused["errors"][0]["extensions"]["problems"].as_array().unwrap().clone();
    let codes: Vec<_> = problems.iter().map(|problem| problem["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["EVENT_TYPE_UNKNOWN", "UNDEFINED_FIELD", "QUERY_TARGET_UNKNOWN", "NAME_EMPTY", "URL_SCHEME"]);
    let list = world
        .ask("query ($id: ID!) { webhook { getMany(tenantId: $id) { id } } }", json!({ "id": world.caller.tenant_id }))
        .await;
    assert_eq!(list["data"]["webhook"]["getMany"], json!([]));
}

#[tokio::test]
async fn names_of_the_schema_are_suggested_where_that_is_allowed_and_those_of_the_catalogue_everywhere() {
    let create = "mutation ($input: CreateWebhookInput!) { webhook { create(input: $input) { id } } }";
    let publish = "mutation ($input: PublishEventInput!) { event { publish(input: $input) { id } } }";
    let list = "query ($tenantId: ID!) { webhook { getMany(tenantId: $tenantId, concern: \"order\") { id } } }";
    let webhook = |concern: &str, query: &str| {
        json!({ "input": { "name": "O", "concern": concern, "event": "create", "method": "POST",
            "url": "https://receiver.example", "graphqlQuery": query } })
    };
    let event =
        json!({ "input": { "concern": "orders", "event": "create", "variables": { "id": "o1", "usrId": "u" } } });
    for suggests in [true, false] {
        let world = world_that_suggests(suggests).await;
        let tenant_id = json!({ "tenantId": world.caller.tenant_id });
        for (text, variables, of_schema, hint) in [
            ("{ tenan { id } }", json!({}), true, "Did you mean \"tenant\"?"),
            ("{ tenant { get } }", json!({}), true, "Did you mean \"get { ... }\"?"),
            (create, json!({ "input": { "nme": "O" } }), true, "Did you mean \"name\"?"),
            (create, webhook("orders", "{ ordr { get(id: \"o\") { id } } }"), true, "Did you mean \"order\"?"),
            (create, webhook("orders", "{ order { get(id: \"o\") } }"), true, "Did you mean \"get { ... }\"?"),
            (
                create,
                webhook("orders", "query ($idd: ID!) { order { get(id: $idd) { id } } }"),
                false,
                "did you mean $id?",
            ),
            (create, webhook("order", ""), false, "did you mean orders/create"),
            (list, tenant_id, false, "there is no such concern, the nearest are orders"),
            (publish, event.clone(), false, "did you mean userId?"),
        ] {
            let told = world.ask(text, variables).await["errors"].to_string();
            let hint = hint.replace('"', "\\\"");
            assert_eq!(told.contains(&hint), suggests || !of_schema, "{suggests}, {text}: {told}");
            if of_schema && !suggests {
                assert!(!told.to_lowercase().contains("did you mean"), "{text}: {told}");
            }
        }
        let leaf = world.ask("{ tenant { get } }", json!({})).await["errors"].to_string();
        assert_eq!(leaf.matches("Did you mean").count(), usize::from(suggests), "{leaf}");
    }
}

#[tokio::test]
async fn a_draft_is_previewed_as_the_request_that_would_be_sent() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    let text = "query ($input: PreviewPayloadInput!) { webhook { previewPayload(input: $input) { request { method url body } error { message } } } }";
    let asked = json!({ "input": { "webhook": input(), "variables": { "identifier": "ada" } } });
    let preview = world.ask(text, asked).await;
    let request = &preview["data"]["webhook"]["previewPayload"]["request"];
    assert_eq!(request["body"], "{\"customer\":{\"get\":{\"identifier\":\"ada\"}}}", "{preview}");
    assert_eq!(request["url"], "https://receiver.example/");
}

#[tokio::test]
async fn more_previews_than_one_request_may_ask_for_are_refused_with_the_bound() {
    let world = world().await;
    let previews = |count: usize| {
        let preview = |n: usize| format!("a{n}: previewPayload(input: $input) {{ payload }}");
        let previews: Vec<_> = (0..count).map(preview).collect();
        format!("query ($input: PreviewPayloadInput!) {{ webhook {{ {} }} }}", previews.join(" "))
    };
    let asked = json!({ "input": { "webhook": input() } });
    let allowed = world.ask(&previews(PREVIEWS_PER_REQUEST_MAX), asked.clone()).await;
    assert_eq!(allowed["errors"], Value::Null, "{allowed}");
    for _ in 0..2 {
        let refused = world.ask(&previews(PREVIEWS_PER_REQUEST_MAX + 1), asked.clone()).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{refused}");
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(&format!("{PREVIEWS_PER_REQUEST_MAX} payloads")), "{message}");
    }
    assert_eq!(world.ask(&previews(1), asked).await["errors"], Value::Null, "each request has its own");
}

#[tokio::test]
async fn variables_of_a_test_and_of_a_preview_are_judged_as_those_of_an_event_with_their_place() {
    const TEST: &str = "mutation ($id: ID!, $given: JSON) { webhook { test(id: $id, variables: $given) { id } } }";
    const PREVIEW: &str = "query ($id: ID!, $given: JSON) {
        webhook { previewPayload(input: { id: $id, variables: $given }) { payload } } }";
    let world = world().await;
    let webhook = json!({ "name": "O", "concern": "orders", "event": "create", "method": "POST",
        "url": "https://receiver.example" });
    let id = world.created(webhook).await["data"]["webhook"]["create"]["id"].clone();
    for (text, field, path) in [(TEST, "test", ""), (PREVIEW, "previewPayload", "input.")] {
        let given = json!({ "id": "", "idd": "o1", "webhookId": "x" });
        let refused = world.ask(text, json!({ "id": id, "given": given })).await;
        let error = &refused["errors"][0];
        // Through the arguments of the field that the error names, not through the variables of the request.
        assert_eq!(error["path"], json!(["webhook", field]), "{refused}");
        let problems = error["extensions"]["problems"].as_array().unwrap();
        let told: Vec<_> = problems.iter().map(|problem| (problem["path"].clone(), problem["code"].clone())).collect();
        let expected = [("id", "VARIABLE_VALUE"), ("webhookId", "VARIABLE_WEBHOOK"), ("idd", "VARIABLE_UNKNOWN")];
        let expected = expected.map(|(name, code)| (json!(format!("{path}variables.{name}")), json!(code)));
        assert_eq!(told, expected);
    }
    let unnamed = world.ask(TEST, json!({ "given": {} })).await;
    assert_eq!(unnamed["errors"][0]["extensions"]["problems"][0]["path"], "variables.id", "{unnamed}");
    assert_eq!(unnamed["errors"][0]["path"], Value::Null, "of the request itself");

    // An example is taken as it is shown, with a webhook in it that is nobody's.
    let example = "{ eventType { get(concern: \"orders\", event: \"create\") { exampleDefaultPayload } } }";
    let example = world.ask(example, json!({})).await["data"]["eventType"]["get"]["exampleDefaultPayload"].clone();
    assert!(example["webhookId"].is_string(), "{example}");
    for text in [TEST, PREVIEW] {
        let answer = world.ask(text, json!({ "id": id, "given": example })).await;
        assert_eq!(answer["errors"], Value::Null, "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_yours_and_what_is_not_there_answer_alike() {
    let world = world().await;
    let created = world.created(input()).await;
    let id = created["data"]["webhook"]["create"]["id"].clone();
    let stranger = Caller { tenant_id: TenantId(Uuid::from_u128(2)), user_id: None, permissions: PermissionSet::all() };
    for (caller, id) in [(&stranger, id), (&world.caller, json!("junk")), (&world.caller, json!(Uuid::from_u128(9)))] {
        for text in [
            "mutation ($id: ID!) { webhook { delete(id: $id) } }",
            "mutation ($id: ID!) { webhook { update(id: $id, input: { name: \"x\" }) { id } } }",
            "mutation ($id: ID!) { webhook { test(id: $id) { id } } }",
            "mutation ($id: ID!) { delivery { retry(id: $id) { id } } }",
        ] {
            let request = Request::new(text).variables(Variables::from_json(json!({ "id": id })));
            let answer = serde_json::to_value(world.api.execute(caller.clone(), request).await).unwrap();
            assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND", "{text}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_nullable_field_that_fails_is_null_and_what_stands_beside_it_stays() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    let text = "query ($tenantId: ID!) { customer {
        get(identifier: \"ada\", tenantId: $tenantId) { firstName }
        none: getMany(tenantId: $tenantId, first: 0) { edges { cursor } } } }";
    let variables = json!({ "tenantId": world.caller.tenant_id });
    let answer = world.ask(text, variables.clone()).await;
    assert_eq!(answer["data"]["customer"], json!({ "get": { "firstName": "Ada" }, "none": null }));
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(answer["errors"][0]["path"], json!(["customer", "none"]));
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    // Within lists too.
    let deep = "{ event { getMany { nodes { id bad: deliveries(first: 0) { nodes { id } } } } } }";
    let answer = world.ask(deep, json!({})).await;
    assert_eq!(answer["errors"][0]["path"], json!(["event", "getMany", "nodes", 0, "bad"]), "{answer}");
    assert_eq!(world.created(input()).await["errors"], Value::Null);
    let listed = "query ($tenantId: ID!) { webhook { getMany(tenantId: $tenantId) { id deliveries(after: \"x\") { nodes { id } } } } }";
    let answer = world.ask(listed, variables.clone()).await;
    assert_eq!(answer["errors"][0]["path"], json!(["webhook", "getMany", 0, "deliveries"]), "{answer}");
    // One that may not be null takes with it what it is of.
    let strict = "query ($tenantId: ID!) { flow { getMany(tenantId: $tenantId, first: 0) { edges { cursor } } } }";
    let answer = world.ask(strict, variables).await;
    assert_eq!((&answer["data"], answer["errors"].as_array().map(Vec::len)), (&Value::Null, Some(1)), "{answer}");
}

/// A secret that one of them answers is shown in no other answer.
#[tokio::test]
async fn a_mutation_that_fails_leaves_what_those_of_other_namespaces_answered() {
    let world = world().await;
    let text = "mutation ($id: ID!) {
        tenant { create(input: { identifier: \"other\", name: \"Other\" }) { signatureSecret } }
        webhook { pause(id: $id) { id } }
        accessToken { revoke(id: $id) { id } }
        delivery { retry(id: $id) { id } }
        replay { cancel(id: $id) { id } } }";
    let answer = world.ask(text, json!({ "id": Uuid::from_u128(9) })).await;
    let secret = answer["data"]["tenant"]["create"]["signatureSecret"].as_str();
    assert!(secret.is_some_and(|secret| !secret.is_empty()), "{answer}");
    let paths: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
    let failed = [("webhook", "pause"), ("accessToken", "revoke"), ("delivery", "retry"), ("replay", "cancel")];
    assert_eq!(paths, failed.map(|(namespace, field)| json!([namespace, field])));
    for (namespace, _) in failed {
        assert_eq!(answer["data"].get(namespace), Some(&Value::Null), "{namespace}: {answer}");
    }
}

#[tokio::test]
async fn a_subscription_goes_on_after_its_cursor_without_gap_or_repeat() {
    let world = world().await;
    world.created(input()).await;
    let subscribe = |after: Value| {
        let text = "subscription ($after: String) { eventRecorded(after: $after) { cursor event { variables } } }";
        world.api.subscribe(
            world.caller.clone(),
            Request::new(text).variables(Variables::from_json(json!({ "after": after }))),
        )
    };
    let start = json!("ZjE6MA");
    for name in ["ada", "bob", "cyd"] {
        world.ask(&ADD_CUSTOMER.replace("\"ada\"", &format!("{name:?}")), json!({})).await;
    }
    let answers: Vec<_> = subscribe(start).take(3).map(|answer| answer.data.into_json().unwrap()).collect().await;
    let names: Vec<_> =
        answers.iter().map(|answer| answer["eventRecorded"]["event"]["variables"]["identifier"].clone()).collect();
    assert_eq!(names, ["ada", "bob", "cyd"]);
    let resumed: Vec<_> = subscribe(answers[0]["eventRecorded"]["cursor"].clone())
        .take(2)
        .map(|answer| answer.data.into_json().unwrap())
        .collect()
        .await;
    assert_eq!(resumed, answers[1..]);
    let forged = subscribe(json!("junk")).next().await.unwrap();
    assert!(forged.errors[0].message.contains("no cursor"), "{forged:?}");
    assert!(world.store.latest_seq().await.unwrap() >= 3);
}
