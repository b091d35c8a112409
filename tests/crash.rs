//! `kill -9` at every step of the road: every event is delivered after a restart, and a frozen payload stays the same.

use anyhow::{Context, ensure};
use hookgraph_testkit::ScriptedReceiver;
use hookgraph_tests::{Api, Installation, Live, is_final, on_both, verify_signatures};
use serde_json::{Value, json};

/// How far a restarted server's clock is ahead, in milliseconds: past every lease of the killed server.
const AHEAD_MS: &str = "3600000";
const QUERY: &str = "query($id: ID!) { order { get(id: $id) { id additionalInformation } } }";

async fn create_order(api: &Api) -> anyhow::Result<Value> {
    let create = "mutation($input: CreateOrderInput!) { order { create(input: $input) { id } } }";
    let input = json!({
        "tenantId": api.tenant_id().await?,
        "additionalInformation": "as created",
        "customer": { "identifier": "ada" },
        "cart": [{ "name": "Chair", "sku": "chair", "quantity": 1 }],
    });
    api.execute(create, json!({ "input": input })).await
}

async fn order_of_the_only_event(api: &Api) -> anyhow::Result<String> {
    let query =
        r#"{ event { getMany(concern: "orders", event: "create", first: 5) { edges { node { variables } } } } }"#;
    let data = api.data(query, json!({})).await?;
    let edges = data["event"]["getMany"]["edges"].as_array().context("edges")?.clone();
    ensure!(edges.len() == 1, "one event was recorded, not {}", edges.len());
    Ok(edges[0]["node"]["variables"]["id"].as_str().context("an order's id")?.to_owned())
}

/// The state of the only delivery once it has ended: either it has ended by the first look, or a subscription tells of
/// its end.
async fn state_in_the_end(api: &Api) -> anyhow::Result<Value> {
    let cursor = api.feed_cursor().await?;
    let data = api.data("{ delivery { getMany { edges { node { state } } } } }", json!({})).await?;
    let state = &data["delivery"]["getMany"]["edges"][0]["node"]["state"];
    if is_final(state) {
        return Ok(state.clone());
    }
    Ok(Live::deliveries(api, &cursor).await?.finished(1).await?[0]["state"].take())
}

/// Kills a server at the failpoint, changes the order if its payload was frozen, and lets another server finish.
async fn survives(failpoint: &str, payload_is_frozen: bool) -> anyhow::Result<()> {
    on_both(async |installation| survives_on(installation, failpoint, payload_is_frozen).await).await
}

async fn survives_on(installation: Installation, failpoint: &str, payload_is_frozen: bool) -> anyhow::Result<()> {
    let receiver = ScriptedReceiver::start().await;
    let url = receiver.url("/orders");

    let doomed = installation.serve_with(&[("HOOKGRAPH_FAILPOINT", failpoint)]).await?;
    let input = json!({
        "name": "orders", "concern": "orders", "event": "create", "method": "POST",
        "url": url, "graphqlQuery": QUERY,
    });
    doomed.api.create_webhook(input).await?;
    // The server may die before it answers: the test goes by the commits.
    let _ = create_order(&doomed.api).await;
    doomed.was_killed().await?;

    if payload_is_frozen {
        let between = installation.serve().await?;
        let id = order_of_the_only_event(&between.api).await?;
        let update =
            r#"mutation($id: ID!) { order { update(id: $id, input: { additionalInformation: "changed" }) { id } } }"#;
        between.api.data(update, json!({ "id": id })).await?;
        between.stop().await?;
    }

    let server = installation.serve_with(&[("HOOKGRAPH_TEST_CLOCK_AHEAD_MS", AHEAD_MS)]).await?;
    let state = state_in_the_end(&server.api).await?;
    ensure!(state == "DELIVERED", "the delivery ended otherwise: {state}");
    let id = order_of_the_only_event(&server.api).await?;
    let expected = json!({ "order": { "get": { "id": id, "additionalInformation": "as created" } } }).to_string();
    let requests = receiver.requests();
    ensure!(!requests.is_empty(), "nothing arrived");
    for request in requests {
        ensure!(request.text() == expected, "{} is not {expected}", request.text());
        verify_signatures(&request, &url)?;
    }
    server.stop().await
}

#[tokio::test]
async fn a_kill_after_the_recording_commit_loses_nothing() -> anyhow::Result<()> {
    survives("after_record", false).await
}

#[tokio::test]
async fn a_kill_after_the_claim_loses_nothing() -> anyhow::Result<()> {
    survives("after_claim", false).await
}

#[tokio::test]
async fn a_kill_between_render_and_freeze_loses_nothing() -> anyhow::Result<()> {
    survives("after_render", false).await
}

#[tokio::test]
async fn a_kill_after_the_freeze_keeps_the_payload() -> anyhow::Result<()> {
    survives("after_freeze", true).await
}

#[tokio::test]
async fn a_kill_after_the_send_keeps_the_payload() -> anyhow::Result<()> {
    survives("after_send", true).await
}

#[tokio::test]
async fn a_kill_inside_the_settle_keeps_the_payload() -> anyhow::Result<()> {
    survives("in_settle", true).await
}
