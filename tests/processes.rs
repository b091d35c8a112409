//! Several processes on one PostgreSQL: a delivery that is recorded by one process is sent by another that is free, and
//! shown by all.

use anyhow::{Context, ensure};
use hookgraph_testkit::ScriptedReceiver;
use hookgraph_testkit::receiver::{Answer, Gate};
use hookgraph_tests::{Api, Database, Installation, Live, on};
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;

/// A poll far beyond the patience of the tests: a process that is not woken does nothing.
const NO_POLLING: (&str, &str) = ("HOOKGRAPH_POLL_MS", "600000");

async fn create_order(api: &Api) -> anyhow::Result<()> {
    let create = "mutation($input: CreateOrderInput!) { order { create(input: $input) { id } } }";
    let cart = json!([{ "name": "Chair", "sku": "chair", "quantity": 1 }]);
    let input = json!({ "tenantId": api.tenant_id().await?, "customer": {}, "cart": cart });
    api.data(create, json!({ "input": input })).await.map(|_| ())
}

/// Waits until `count` requests have arrived, for far less time than passes between two polls.
async fn arrived(receiver: &ScriptedReceiver, count: usize) -> anyhow::Result<()> {
    let waited = tokio::time::timeout(Duration::from_secs(25), receiver.wait_for(count)).await;
    waited.map(|_| ()).with_context(|| format!("request {count} did not arrive: nobody was woken"))
}

/// How many deliveries have been in flight ever since they were first claimed.
async fn hanging(api: &Api) -> anyhow::Result<usize> {
    let query = "{ delivery { getMany(first: 100) { edges { node { state attemptCount } } } } }";
    let data = api.data(query, json!({})).await?;
    let edges = data["delivery"]["getMany"]["edges"].as_array().context("edges")?;
    Ok(edges.iter().filter(|edge| edge["node"] == json!({ "state": "IN_FLIGHT", "attemptCount": 0 })).count())
}

#[tokio::test]
async fn a_free_process_is_woken_for_what_another_records_also_after_its_link_was_cut() -> anyhow::Result<()> {
    on(Database::Postgres, async |installation: Installation| {
        let receiver = ScriptedReceiver::start().await;
        let gate = Gate::closed();
        receiver.answer_next(Answer::status(200).behind(&gate));
        let busy = installation.serve_with(&[NO_POLLING, ("HOOKGRAPH_DELIVERIES_IN_FLIGHT_MAX", "1")]).await?;
        let input = json!({ "name": "orders", "concern": "orders", "event": "create", "method": "POST",
            "url": receiver.url("/orders"), "timeoutMs": 30_000 });
        busy.api.create_webhook(input).await?;
        create_order(&busy.api).await?;
        arrived(&receiver, 1).await?;

        let free = installation.serve_with(&[NO_POLLING]).await?;
        let mut live = Live::deliveries(&free.api, &free.api.feed_cursor().await?).await?;
        create_order(&busy.api).await?;
        arrived(&receiver, 2).await?;
        live.finished(1).await?;

        let administrator = sea_orm::Database::connect(installation.database_url()).await?;
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE application_name LIKE 'hookgraph _%' AND datname = current_database()";
        administrator.execute_unprepared(cut).await?;
        for count in 3..5 {
            create_order(&busy.api).await?;
            arrived(&receiver, count).await?;
            live.finished(1).await?;
        }
        ensure!(hanging(&free.api).await? == 1, "the busy process did not stay busy: nothing is shown");

        // The settlements of the busy process are seen on the other one.
        gate.open();
        live.finished(1).await?;
        ensure!(receiver.requests().len() == 4, "something was sent twice");
        free.stop().await?;
        busy.stop().await
    })
    .await
}
