//! A database that is locked, full or gone: the caller is told to try again, nothing is half recorded, and the server
//! goes on when the trouble is over.

use anyhow::{Context, ensure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hookgraph_testkit::ScriptedReceiver;
use hookgraph_tests::chaos::{Network, Proxy};
use hookgraph_tests::{Answered, Api, Database, Installation, Live, on};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

async fn create_order(api: &Api, tenant_id: &str, text: &str) -> anyhow::Result<Value> {
    let create = "mutation($input: CreateOrderInput!) { order { create(input: $input) { id } } }";
    let cart = json!([{ "name": "Chair", "sku": "chair", "quantity": 1 }]);
    let input = json!({ "tenantId": tenant_id, "additionalInformation": text, "customer": {}, "cart": cart });
    api.execute(create, json!({ "input": input })).await
}

/// How many orders there are, how many events they have, and how many deliveries there are.
async fn counts(api: &Api) -> anyhow::Result<[usize; 3]> {
    let query = "{ order { getMany(first: 100) { edges { node { id } } } }
        event { getMany(concern: \"orders\", first: 100) { edges { node { id } } } }
        delivery { getMany(first: 100) { edges { node { id } } } } }";
    let data = api.data(query, json!({})).await?;
    let count = |noun: &str| data[noun]["getMany"]["edges"].as_array().map(Vec::len).context("edges");
    Ok([count("order")?, count("event")?, count("delivery")?])
}

fn is_retryable(answer: &Value) -> bool {
    answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE" && answer.pointer("/data/order/create").is_none()
}

/// The answer must say that the caller may ask again, and when.
fn is_unavailable(answer: &Answered) -> anyhow::Result<()> {
    ensure!(answer.body["errors"][0]["extensions"]["code"] == "UNAVAILABLE", "{:#}", answer.body);
    ensure!(answer.retry_after.as_deref() == Some("1"), "Retry-After is {:?}", answer.retry_after);
    Ok(())
}

async fn subscribed(api: &Api, receiver: &ScriptedReceiver) -> anyhow::Result<String> {
    let input = json!({ "name": "orders", "concern": "orders", "event": "create", "method": "POST",
        "url": receiver.url("/orders") });
    api.create_webhook(input).await?;
    api.tenant_id().await
}

async fn connect(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1);
    Ok(sea_orm::Database::connect(options).await?)
}

#[tokio::test]
async fn a_locked_database_is_a_retryable_error_and_records_nothing() -> anyhow::Result<()> {
    on(Database::Sqlite, async |installation: Installation| {
        let receiver = ScriptedReceiver::start().await;
        let server = installation.serve().await?;
        let tenant_id = subscribed(&server.api, &receiver).await?;
        let locker = connect(installation.database_url()).await?;
        locker.execute_unprepared("BEGIN IMMEDIATE").await?;
        let answer = create_order(&server.api, &tenant_id, "locked out").await?;
        ensure!(is_retryable(&answer), "{answer:#}");
        ensure!(counts(&server.api).await? == [0, 0, 0], "something was recorded");
        locker.execute_unprepared("ROLLBACK").await?;
        delivers_again(&server.api, &tenant_id).await?;
        server.stop().await
    })
    .await
}

#[tokio::test]
async fn more_than_can_wait_is_refused_with_the_time_to_ask_again() -> anyhow::Result<()> {
    on(Database::Sqlite, async |installation: Installation| {
        let receiver = ScriptedReceiver::start().await;
        let server = installation.serve().await?;
        let tenant_id = subscribed(&server.api, &receiver).await?;
        let locker = connect(installation.database_url()).await?;
        locker.execute_unprepared("BEGIN IMMEDIATE").await?;
        // Each request is as large as one may be: together they are more than may wait while nothing can be written.
        let event =
            |number: u32| json!({ "concern": "orders", "event": "update", "variables": { "id": number.to_string() } });
        let inputs: Vec<Value> = (0..1_000).map(event).collect();
        let publish = "mutation($inputs: [PublishEventInput!]!) { event { publishMany(inputs: $inputs) { id } } }";
        let asked = (0..30).map(|_| server.api.respond(publish, json!({ "inputs": inputs })));
        let before_kib = server.peak_kib()?;
        let mut answers = asked.collect::<FuturesUnordered<_>>();
        let mut answer_count = 0;
        // Some requests are refused at once, for want of room, and the others before their time is over.
        while let Some(answer) = answers.next().await {
            is_unavailable(&answer?)?;
            answer_count += 1;
        }
        ensure!(answer_count == 30, "{answer_count} answers");
        drop(answers);
        let more_kib = server.peak_kib()? - before_kib;
        ensure!(more_kib < 48 * 1024, "{more_kib} KiB");
        locker.execute_unprepared("ROLLBACK").await?;
        delivers_again(&server.api, &tenant_id).await?;
        server.stop().await
    })
    .await
}

#[tokio::test]
async fn a_full_database_is_a_retryable_error_and_records_nothing_of_what_it_refuses() -> anyhow::Result<()> {
    on(Database::Sqlite, async |installation: Installation| {
        let receiver = ScriptedReceiver::start().await;
        let server = installation.serve_with(&[("HOOKGRAPH_DATABASE_BYTES_MAX", "600000")]).await?;
        let tenant_id = subscribed(&server.api, &receiver).await?;
        let text = "x".repeat(15_000);
        let mut accepted = 0;
        let refused = loop {
            let answer = create_order(&server.api, &tenant_id, &text).await?;
            if answer.get("errors").is_some() {
                break answer;
            }
            accepted += 1;
            ensure!(accepted < 100, "the database never filled up");
        };
        ensure!(is_retryable(&refused), "{refused:#}");
        ensure!(counts(&server.api).await? == [accepted; 3], "an order, its event and its delivery go together");
        server.stop().await?;
        let server = installation.serve().await?;
        delivers_again(&server.api, &tenant_id).await?;
        server.stop().await
    })
    .await
}

/// SQLite undoes a transaction by itself where a write fails. A change that is accepted after the failure must outlive
/// the server.
#[tokio::test]
async fn what_is_accepted_after_writes_that_failed_outlives_the_server() -> anyhow::Result<()> {
    on(Database::Sqlite, async |installation: Installation| {
        let receiver = ScriptedReceiver::start().await;
        let server = installation.serve().await?;
        let tenant_id = subscribed(&server.api, &receiver).await?;
        let text = "x".repeat(15_000);
        let mut accepted = 0;
        for _ in 0..3 {
            // The limit is below the present size of the database's log: no write that grows the log succeeds.
            server.limit_files(Some(100_000)).await?;
            for _ in 0..4 {
                let answer = create_order(&server.api, &tenant_id, &text).await?;
                ensure!(is_retryable(&answer), "{answer:#}");
            }
            server.limit_files(None).await?;
            // A change that is rolled back because the identifier is taken, among changes that are accepted.
            for identifier in ["acme", "acme"] {
                let create = "mutation($input: CreateTenantInput!) { tenant { create(input: $input) { id } } }";
                let input = json!({ "identifier": identifier, "name": "Acme" });
                let answer = server.api.execute(create, json!({ "input": input })).await?;
                ensure!(answer.get("errors").is_some(), "{answer:#}");
                delivers_again(&server.api, &tenant_id).await?;
                accepted += 1;
            }
        }
        server.kill().await?;
        let server = installation.serve().await?;
        ensure!(counts(&server.api).await? == [accepted; 3], "{:?} of {accepted}", counts(&server.api).await?);
        server.stop().await
    })
    .await
}

#[tokio::test]
async fn a_database_that_is_gone_is_a_retryable_error_and_comes_back_without_a_restart() -> anyhow::Result<()> {
    on(Database::Postgres, async |installation: Installation| {
        let receiver = ScriptedReceiver::start().await;
        let server = installation.serve().await?;
        let tenant_id = subscribed(&server.api, &receiver).await?;
        let (server_url, name) = installation.database_url().rsplit_once('/').context("a database URL")?;
        let admin = connect(&format!("{server_url}/postgres")).await?;
        admin.execute_unprepared(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await?;
        let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        admin.execute_unprepared(&cut).await?;
        let answer = create_order(&server.api, &tenant_id, "cut off").await;
        // The token cannot be looked up either: whichever fails first, the failure is no client error.
        let answer = answer?;
        ensure!(answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE", "{answer:#}");
        admin.execute_unprepared(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await?;
        ensure!(counts(&server.api).await? == [0, 0, 0], "something was recorded");
        delivers_again(&server.api, &tenant_id).await?;
        server.stop().await
    })
    .await
}

/// How soon a call that nobody answers is given up, and how soon the server goes on once it may: within seconds, where
/// the kernel would take a quarter of an hour.
const SWALLOWED_PATIENCE: Duration = Duration::from_secs(28);

#[tokio::test]
async fn calls_that_the_network_swallows_are_retryable_errors_and_done_without_once_it_is_back() -> anyhow::Result<()> {
    on(Database::Postgres, async |installation: Installation| {
        let receiver = ScriptedReceiver::start().await;
        let (url, proxy) = Proxy::of_database(installation.database_url()).await?;
        let server = installation.serve_with(&[("HOOKGRAPH_DATABASE", &url)]).await?;
        let tenant_id = subscribed(&server.api, &receiver).await?;
        proxy.be(Network::Swallowing);
        let publish = "mutation($inputs: [PublishEventInput!]!) { event { publishMany(inputs: $inputs) { id } } }";
        let inputs = json!([{ "concern": "orders", "event": "update", "variables": { "id": "1" } }]);
        let (read, written) = tokio::join!(
            timeout(
                SWALLOWED_PATIENCE,
                server.api.respond("{ order { getMany(first: 1) { edges { cursor } } } }", json!({}))
            ),
            timeout(SWALLOWED_PATIENCE, server.api.respond(publish, json!({ "inputs": inputs }))),
        );
        is_unavailable(&read.context("a read that ends")??)?;
        is_unavailable(&written.context("a publish that ends")??)?;
        proxy.be(Network::Up);
        timeout(SWALLOWED_PATIENCE, delivers_again(&server.api, &tenant_id)).await.context("the server goes on")??;
        server.stop().await
    })
    .await
}

/// The same server must accept the next order and deliver its event.
async fn delivers_again(api: &Api, tenant_id: &str) -> anyhow::Result<()> {
    let cursor = api.feed_cursor().await?;
    let answer = create_order(api, tenant_id, "in time").await?;
    ensure!(answer.get("errors").is_none(), "{answer:#}");
    let order_id = answer["data"]["order"]["create"]["id"].clone();
    let mut live = Live::deliveries(api, &cursor).await?;
    loop {
        let update = live.finished(1).await?.remove(0);
        ensure!(update["state"] == "DELIVERED", "{update:#}");
        let event = &update["delivery"]["event"]["id"];
        let data = api.data("query($id: ID!) { event { get(id: $id) { variables } } }", json!({ "id": event })).await?;
        if data["event"]["get"]["variables"]["id"] == order_id {
            return Ok(());
        }
    }
}
