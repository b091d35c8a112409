//! A delivery as it is seen from outside: its counters, and its trace from the mutation to the receiver.

use anyhow::{Context, ensure};
use hookgraph_testkit::ScriptedReceiver;
use hookgraph_testkit::receiver::{Answer, Gate};
use hookgraph_tests::{Api, Database, Installation, Live, Process, on, on_both, verify_signatures};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;

async fn create_order(api: &Api) -> anyhow::Result<()> {
    let create = "mutation($input: CreateOrderInput!) { order { create(input: $input) { id } } }";
    let cart = json!([{ "name": "Chair", "sku": "chair", "quantity": 1 }]);
    let input = json!({ "tenantId": api.tenant_id().await?, "customer": {}, "cart": cart });
    api.data(create, json!({ "input": input })).await.map(|_| ())
}

async fn subscribed(server: &Process, receiver: &ScriptedReceiver) -> anyhow::Result<()> {
    let input = json!({ "name": "orders", "concern": "orders", "event": "create", "method": "POST",
        "url": receiver.url("/orders") });
    server.api.create_webhook(input).await.map(|_| ())
}

/// Scrapes until that line is there, because a scrape may be a second old.
async fn scraped(api: &Api, line: &str) -> anyhow::Result<()> {
    let url = format!("{}/metrics", api.base_url);
    let found = async {
        loop {
            let text = reqwest::get(&url).await?.error_for_status()?.text().await?;
            if text.lines().any(|known| known == line) {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), found).await.with_context(|| format!("never {line}"))?
}

#[tokio::test]
async fn a_delivery_is_in_the_gauges_while_it_is_under_way_and_in_the_counters_afterwards() -> anyhow::Result<()> {
    on_both(async |installation: Installation| {
        let receiver = ScriptedReceiver::start().await;
        let gate = Gate::closed();
        receiver.answer_next(Answer::status(200).behind(&gate));
        let server = installation.serve_with(&[("HOOKGRAPH_METRICS", "open")]).await?;
        subscribed(&server, &receiver).await?;
        create_order(&server.api).await?;
        for line in [
            "hookgraph_deliveries_in_flight 1",
            "hookgraph_events_recorded_total 1",
            "hookgraph_deliveries_created_total 1",
            r#"hookgraph_attempts_total{outcome="DELIVERED"} 0"#,
            r#"hookgraph_webhooks{status="ACTIVE"} 1"#,
            "hookgraph_database_up 1",
        ] {
            scraped(&server.api, line).await?;
        }
        gate.open();
        for line in [
            r#"hookgraph_attempts_total{outcome="DELIVERED"} 1"#,
            r#"hookgraph_deliveries_ended_total{state="DELIVERED"} 1"#,
            "hookgraph_first_attempt_delay_seconds_count 1",
            "hookgraph_attempt_duration_seconds_count 1",
            "hookgraph_deliveries_in_flight 0",
            "hookgraph_deliveries_due 0",
            "hookgraph_oldest_due_seconds 0",
        ] {
            scraped(&server.api, line).await?;
        }
        server.stop().await
    })
    .await
}

/// All spans that the collector got.
fn spans(collector: &ScriptedReceiver) -> anyhow::Result<Vec<Span>> {
    let mut spans = Vec::new();
    for request in collector.requests() {
        ensure!(request.uri == "/v1/traces", "{}", request.uri);
        ensure!(request.header("content-type") == Some("application/x-protobuf"), "{:?}", request.headers);
        let batch = ExportTraceServiceRequest::decode(request.body.as_slice())?;
        let scopes = batch.resource_spans.into_iter().flat_map(|of_resource| of_resource.scope_spans);
        spans.extend(scopes.flat_map(|of_scope| of_scope.spans));
    }
    Ok(spans)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn one_trace_leads_from_the_mutation_to_the_receiver() -> anyhow::Result<()> {
    on(Database::Sqlite, async |installation: Installation| {
        let (receiver, collector) = (ScriptedReceiver::start().await, ScriptedReceiver::start().await);
        let server = installation.serve_with(&[("HOOKGRAPH_OTLP_ENDPOINT", &collector.url("/"))]).await?;
        subscribed(&server, &receiver).await?;
        let mut live = Live::deliveries(&server.api, &server.api.feed_cursor().await?).await?;
        create_order(&server.api).await?;
        let finished = live.finished(1).await?;
        server.stop().await?;

        let received = receiver.requests();
        verify_signatures(&received[0], &receiver.url("/orders"))?;
        let traceparent = received[0].header("traceparent").context("a traceparent")?.to_owned();
        let event_id = finished[0]["delivery"]["event"]["id"].as_str().context("an event")?.replace('-', "");

        let spans = spans(&collector)?;
        let named = |name: &str| spans.iter().find(|span| span.name == name).with_context(|| format!("no {name} span"));
        let (event, attempt) = (named("event")?, named("attempt")?);
        ensure!(
            traceparent == format!("00-{event_id}-{}-01", hex(&attempt.span_id)),
            "{traceparent} is no {attempt:?}"
        );
        ensure!(hex(&event.trace_id) == event_id && event.parent_span_id.is_empty(), "{event:?}");
        ensure!(attempt.trace_id == event.trace_id && attempt.parent_span_id == event.span_id, "{attempt:?}");
        let link = event.links.first().context("the event's span is linked to its mutation")?;
        let is_linked = |span: &&Span| span.trace_id == link.trace_id && span.span_id == link.span_id;
        let mutation = spans.iter().find(is_linked).context("the mutation has a span")?;
        ensure!(mutation.name == "request", "{mutation:?}");
        let told = format!("{spans:?}");
        ensure!(!told.contains("/orders") && !told.contains(&server_token()), "a span tells too much: {told}");
        Ok(())
    })
    .await
}

/// The beginning of every token of the tests.
fn server_token() -> String {
    "hgt_test".to_owned()
}

#[tokio::test]
async fn receivers_get_a_trace_also_where_none_is_sent_to_a_collector() -> anyhow::Result<()> {
    on(Database::Sqlite, async |installation: Installation| {
        let receiver = ScriptedReceiver::start().await;
        let server = installation.serve().await?;
        subscribed(&server, &receiver).await?;
        create_order(&server.api).await?;
        let received = receiver.wait_for(1).await;
        ensure!(received[0].header("traceparent").is_some_and(|text| text.len() == 55), "{:?}", received[0].headers);
        server.stop().await
    })
    .await
}
