//! Settings of a webhook: those that are saved and would be refused by now, and what the audit log tells of them.

use super::world::{World, world};
use crate::Api;
use hookgraph_domain::audit::AuditQuery;
use hookgraph_domain::change::Expected;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::{AuditReader, WebhookReader};
use hookgraph_domain::webhook::{Header, Webhook, WebhookStatus};
use serde_json::{Value, json};

const UPDATE: &str = "mutation ($id: ID!, $input: UpdateWebhookInput!) { webhook { update(id: $id, input: $input) {
    name url status headers { name } } } }";
const RESUME: &str = "mutation ($id: ID!) { webhook { resume(id: $id) { status } } }";

async fn created(world: &World) -> Webhook {
    let input = json!({ "name": "Orders", "concern": "orders", "event": "create", "method": "POST",
        "url": "https://a.example/hook" });
    let answer = world.created(input).await;
    let id: WebhookId = answer["data"]["webhook"]["create"]["id"].as_str().expect("an id").parse().unwrap();
    world.store.webhooks(world.caller.tenant_id, &[id]).await.unwrap().remove(0)
}

/// Writes the webhook with what `change` makes of it, past all rules.
async fn rewritten(world: &World, webhook: &Webhook, change: impl FnOnce(&mut Webhook)) {
    let mut next = Webhook { version: webhook.version + 1, ..webhook.clone() };
    change(&mut next);
    world.put_webhook(next, Expected::Version(webhook.version)).await;
}

/// The path and the code of every problem.
fn problems(answer: &Value) -> Vec<String> {
    let problems = answer["errors"][0]["extensions"]["problems"].as_array().unwrap_or_else(|| panic!("{answer}"));
    problems.iter().map(|problem| format!("{} {}", problem["path"], problem["code"]).replace('"', "")).collect()
}

#[tokio::test]
async fn an_address_that_is_refused_by_now_keeps_nobody_from_switching_off_or_changing_the_rest() {
    let world = world().await;
    let webhook = created(&world).await;
    let refused_by_now = |webhook: &mut Webhook| {
        webhook.url = "http://10.0.0.1/".to_owned();
        webhook.timeout_ms = 1;
        webhook.headers = vec![Header { name: "host".to_owned(), value: "a".to_owned(), is_secret: false }];
    };
    rewritten(&world, &webhook, refused_by_now).await;
    let update = async |input: Value| world.ask(UPDATE, json!({ "id": webhook.id, "input": input })).await;
    for input in [
        json!({ "name": "Other" }),
        json!({ "name": "Another", "url": "http://10.0.0.1/" }),
        json!({ "headers": [] }),
        json!({ "enabled": false }),
    ] {
        let answer = update(input.clone()).await;
        assert_eq!(answer["errors"], Value::Null, "{input}: {answer}");
        assert_eq!(answer["data"]["webhook"]["update"]["url"], "http://10.0.0.1/");
    }
    assert_eq!(problems(&update(json!({ "url": "http://10.0.0.2/" })).await), ["input.url URL_ADDRESS_REFUSED"]);

    let on = update(json!({ "enabled": true })).await;
    let expected = ["input.enabled URL_ADDRESS_REFUSED", "input.enabled TIMEOUT_OUT_OF_RANGE"];
    assert_eq!(problems(&on), expected, "{on}");
    let message = on["errors"][0]["extensions"]["problems"][0]["message"].as_str().expect("a message");
    assert!(message.starts_with("url as it is saved: 10.0.0.1 is in 10.0.0.0/8"), "{message}");
    let given = json!({ "enabled": true, "timeoutMs": 500, "url": "http://10.0.0.1/" });
    assert_eq!(problems(&update(given).await), ["input.url URL_ADDRESS_REFUSED"]);
    let elsewhere = json!({ "enabled": true, "timeoutMs": 500, "url": "https://b.example/" });
    let elsewhere = update(elsewhere).await;
    assert_eq!(elsewhere["data"]["webhook"]["update"]["status"], "ACTIVE", "{elsewhere}");
}

#[tokio::test]
async fn a_new_query_switches_on_no_webhook_whose_address_is_refused() {
    let world = world().await;
    let webhook = created(&world).await;
    let invalid = |webhook: &mut Webhook| {
        webhook.url = "http://10.0.0.1/".to_owned();
        webhook.status = WebhookStatus::Invalid;
    };
    rewritten(&world, &webhook, invalid).await;
    let query = "query ($id: ID!) { order { get(id: $id) { id } } }";
    let answer = world.ask(UPDATE, json!({ "id": webhook.id, "input": { "graphqlQuery": query } })).await;
    assert_eq!(problems(&answer), ["input.graphqlQuery URL_ADDRESS_REFUSED"], "{answer}");
}

#[tokio::test]
async fn a_resume_is_refused_where_the_address_is_and_says_so_at_the_id() {
    let world = world().await;
    let webhook = created(&world).await;
    let suspended = |webhook: &mut Webhook| {
        webhook.url = "http://10.0.0.1/".to_owned();
        webhook.status = WebhookStatus::Paused;
    };
    rewritten(&world, &webhook, suspended).await;
    let resumed = world.ask(RESUME, json!({ "id": webhook.id })).await;
    assert_eq!(problems(&resumed), ["id URL_ADDRESS_REFUSED"], "{resumed}");
}

#[tokio::test]
async fn the_audit_log_tells_of_every_setting() {
    let sdl = Api::sdl();
    let (_, input) = sdl.split_once("input UpdateWebhookInput {").expect("the input");
    let (input, _) = input.split_once("\n}").expect("its end");
    let fields = input.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix([' ', '\t'])?.trim().split_once(": ")?;
        name.chars().all(char::is_alphanumeric).then_some(name)
    });
    let fields: Vec<&str> = fields.collect();
    assert!(fields.contains(&"ordering") && fields.contains(&"tls") && fields.len() > 15, "{fields:?}");

    let world = world().await;
    let webhook = created(&world).await;
    let changed = json!({ "concurrency": 3, "ratePerSecond": 7, "ordering": "BY_RECORD",
        "headers": [{ "name": "authorization", "value": "tops3cret", "secret": true }] });
    let answer = world.ask(UPDATE, json!({ "id": webhook.id, "input": changed })).await;
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    let query = AuditQuery { tenant_id: world.caller.tenant_id, subject: None, before: None, limit: 100 };
    let mut entries = world.store.audit_page(&query).await.unwrap().into_iter();
    let entry = entries.find(|entry| entry.action == "webhook.update").expect("an entry");
    let told = |text: &Option<String>| -> Value { serde_json::from_str(text.as_ref().expect("a webhook")).unwrap() };
    let (before, after) = (told(&entry.before), told(&entry.after));
    for field in fields {
        let key = match field {
            // One value is all that there is.
            "graphqlQueryTarget" => continue,
            "enabled" => "status",
            field => field,
        };
        assert!(before.get(key).is_some() && after.get(key).is_some(), "{field} is not told: {after}");
    }
    for (key, was, became) in [
        ("concurrency", json!(50), json!(3)),
        ("ratePerSecond", Value::Null, json!(7)),
        ("ordering", json!("NONE"), json!("BY_RECORD")),
        ("secretHeaders", json!([]), json!(["authorization"])),
    ] {
        assert_eq!((&before[key], &after[key]), (&was, &became), "{key}");
    }
    assert!(!entry.after.expect("a webhook").contains("tops3cret"));
}
