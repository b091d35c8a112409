//! Payload queries run with what their author held, and with nothing else.

use crate::tests::world::{ADD_CUSTOMER, CUSTOMER, World, world};
use async_graphql::{Request, Variables};
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::ports::{RenderError, RenderRequest};
use hookgraph_domain::webhook::{CheckedDocument, Webhook};
use hookgraph_pim::Caller;
use serde_json::{Value, json};
use std::sync::Arc;

/// May save webhooks, and whatever else is named.
fn editor(world: &World, more: &[Permission]) -> Caller {
    let base = [Permission::WebhooksWrite, Permission::EventsRead, Permission::DeliveriesRead];
    Caller { permissions: base.into_iter().chain(more.iter().copied()).collect(), ..world.caller.clone() }
}

async fn ask(world: &World, caller: &Caller, text: &str, variables: Value) -> Value {
    let request = Request::new(text).variables(Variables::from_json(variables));
    serde_json::to_value(world.api.execute(caller.clone(), request).await).unwrap()
}

fn input() -> Value {
    json!({ "name": "C", "concern": "customers", "event": "create", "method": "POST", "url": "https://receiver.example",
        "graphqlQuery": CUSTOMER })
}

const CREATE: &str = "mutation ($input: CreateWebhookInput!) { webhook { create(input: $input) { id } } }";
const UPDATE: &str =
    "mutation ($id: ID!, $input: UpdateWebhookInput!) { webhook { update(id: $id, input: $input) { id } } }";
const TEST: &str = "mutation ($id: ID!) { webhook { test(id: $id) { id } } }";
const PREVIEW: &str = "query ($input: PreviewPayloadInput!) { webhook { previewPayload(input: $input) { payload } } }";

#[tokio::test]
async fn a_payload_query_is_saved_tried_and_turned_elsewhere_by_who_may_read_what_it_reads() {
    let world = world().await;
    let (poor, rich) = (editor(&world, &[]), editor(&world, &[Permission::CustomersRead]));
    let saved = ask(&world, &rich, CREATE, json!({ "input": input() })).await;
    let id = saved["data"]["webhook"]["create"]["id"].clone();
    assert!(id.is_string(), "{saved}");
    let plain = json!({ "name": "P", "concern": "customers", "event": "create", "method": "POST", "url": "https://receiver.example" });
    let plain = ask(&world, &poor, CREATE, json!({ "input": plain })).await["data"]["webhook"]["create"]["id"].clone();
    assert!(plain.is_string(), "who may save webhooks may save one without a payload query");
    for (text, variables) in [
        (CREATE, json!({ "input": input() })),
        (UPDATE, json!({ "id": plain, "input": { "graphqlQuery": CUSTOMER } })),
        (UPDATE, json!({ "id": id, "input": { "url": "https://elsewhere.example" } })),
        (TEST, json!({ "id": id })),
        (PREVIEW, json!({ "input": { "id": id } })),
        (PREVIEW, json!({ "input": { "webhook": input() } })),
    ] {
        let refused = ask(&world, &poor, text, variables.clone()).await;
        let extensions = &refused["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "FORBIDDEN", "{text}: {refused}");
        assert_eq!(extensions["permission"], "CUSTOMERS_READ", "{text}");
        let allowed = ask(&world, &rich, text, variables).await;
        assert_eq!(allowed["errors"], Value::Null, "{text}");
    }
}

#[tokio::test]
async fn a_render_runs_with_exactly_what_was_recorded_and_shares_with_none_that_differs() {
    let world = world().await;
    world.ask(ADD_CUSTOMER, json!({})).await;
    let request = world.request(&world.latest("customers/create").await, CUSTOMER);
    let recorded = request.webhook.document.clone().unwrap();
    assert_eq!(recorded.permissions, ["CUSTOMERS_READ"]);
    let poorer = CheckedDocument { permissions: PermissionSet::NONE.names(), ..recorded };
    let webhook = Arc::new(Webhook { document: Some(poorer), ..request.webhook.as_ref().clone() });
    let poor = RenderRequest { event: request.event.clone(), webhook };
    let rendered = world.rendered(&[request.clone(), poor, request]).await;
    assert_eq!(rendered[0], Ok(json!({ "customer": { "get": { "firstName": "Ada" } } })));
    assert_eq!(rendered[0], rendered[2]);
    let Err(RenderError::Refused(message)) = &rendered[1] else { panic!("{rendered:?}") };
    assert!(message.contains("CUSTOMERS_READ"), "{message}");
}
