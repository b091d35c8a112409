//! Retention from outside: old history is removed after a while, a delivery that is owed stays, and a subscriber who
//! resumes too late is told.

use anyhow::{Context, ensure};
use hookgraph_tests::{Api, Installation, Live, on_both};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A UUID v7 of 2001, which is older than any history that is kept.
const OLD: Uuid = Uuid::from_u128(0x00e4_0000_0000_7000_8000_0000_0000_0000);

async fn publish(api: &Api) -> anyhow::Result<String> {
    let publish = "mutation($input: PublishEventInput!) { event { publish(input: $input) { id } } }";
    let data = api
        .data(publish, json!({ "input": { "concern": "orders", "event": "update", "variables": { "id": "o1" } } }))
        .await?;
    Ok(data["event"]["publish"]["id"].as_str().context("an id")?.to_owned())
}

/// Copies an event to another id, as it would stand after years.
async fn age(sql: &DatabaseConnection, id: &str, to: Uuid) -> anyhow::Result<()> {
    let id = Uuid::try_parse(id)?;
    let text = |id: Uuid| match sql.get_database_backend() {
        DbBackend::Postgres => format!("'{id}'"),
        _ => format!("x'{}'", id.simple()),
    };
    let columns = "concern, event, variables, changed_fields, record_label, is_test";
    let copy = format!(
        "INSERT INTO event (tenant_id, id, {columns}, recorded_at_us) SELECT tenant_id, {}, {columns}, 978307200000000 \
         FROM event WHERE id = {}",
        text(to),
        text(id)
    );
    ensure!(sql.execute_unprepared(&copy).await?.rows_affected() == 1, "the event is copied");
    Ok(())
}

async fn event(api: &Api, id: &str) -> anyhow::Result<Value> {
    let get = "query($id: ID!) { event { get(id: $id) { id } } }";
    Ok(api.data(get, json!({ "id": id })).await?["event"]["get"].clone())
}

#[tokio::test]
async fn old_history_and_feed_are_removed_and_what_is_owed_stays() -> anyhow::Result<()> {
    on_both(async |installation: Installation| {
        let server = installation.serve().await?;
        let paused = json!({ "name": "paused", "concern": "orders", "event": "update", "method": "POST",
            "url": "http://127.0.0.1:9/" });
        let webhook_id = server.api.create_webhook(paused).await?;
        let pause = "mutation($id: ID!) { webhook { pause(id: $id) { status } } }";
        server.api.data(pause, json!({ "id": webhook_id })).await?;
        let first_cursor = server.api.feed_cursor().await?;
        let owed = publish(&server.api).await?;
        server.stop().await?;

        let url = match installation.database_url().strip_prefix("sqlite://") {
            Some(path) => format!("sqlite://{path}?mode=rw"),
            None => installation.database_url().to_owned(),
        };
        let sql = Database::connect(url).await?;
        age(&sql, &owed, OLD).await?;
        sql.execute_unprepared("UPDATE feed SET at_us = 978307200000000").await?;
        sql.close().await?;

        let server = installation.serve().await?;
        let gone = async {
            while event(&server.api, &OLD.to_string()).await? != Value::Null {
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.context("it is never removed")??;
        ensure!(event(&server.api, &owed).await?["id"] == json!(owed), "what is owed has its event");
        let held = server.api.data("{ delivery { getMany { nodes { state } } } }", json!({})).await?;
        ensure!(held["delivery"]["getMany"]["nodes"] == json!([{ "state": "HELD" }]), "{held}");

        let told = async {
            loop {
                let asked = async { Live::deliveries(&server.api, &first_cursor).await?.refused().await };
                // A subscription that began just before the removal hears nothing more.
                match tokio::time::timeout(Duration::from_secs(5), asked).await {
                    Ok(answer) => match answer? {
                        Some(refusal) => return anyhow::Ok(refusal),
                        None => tokio::task::yield_now().await,
                    },
                    Err(_) => continue,
                }
            }
        };
        let refusal = tokio::time::timeout(Duration::from_secs(30), told).await.context("nobody is told")??;
        ensure!(refusal["extensions"]["code"] == "CURSOR_TOO_OLD", "{refusal}");
        let oldest = refusal["extensions"]["oldestCursor"].as_str().context("the oldest cursor")?;
        let mut live = Live::deliveries(&server.api, oldest).await?;
        let next = publish(&server.api).await?;
        let update = live.next().await?;
        ensure!(
            update["deliveryUpdated"]["delivery"]["event"]["id"] == json!(next),
            "it goes on after what was removed: {update}"
        );

        let from = json!({ "webhookId": webhook_id, "from": "2001-01-01T00:00:00Z", "to": "2001-01-02T00:00:00Z" });
        let replay = "mutation($input: ReplayWebhookInput!) { webhook { replay(input: $input) { id } } }";
        let refusal = server.api.refusal(replay, json!({ "input": from })).await?;
        ensure!(refusal["extensions"]["problems"][0]["code"] == "RANGE_NOT_KEPT", "{refusal}");
        server.stop().await
    })
    .await
}
