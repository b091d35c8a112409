//! Health, readiness and metrics: their answers, their addresses, and the metrics that documents name.

use crate::limits::{assert_unavailable, post, stream};
use crate::rig::socket::{PROTOCOL, Socket, hear, hear_answers, initialised, open, say, subscribe};
use crate::rig::{self, PATIENCE, Rig, TOKEN, within};
use hookgraph_server::config::{Config, Layers};
use hookgraph_server::http::operations::NotReady;
use hookgraph_server::metrics::catalogue::{Kind, METRICS};
use hookgraph_server::{RunningServer, start};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use tempfile::TempDir;

async fn get(url: &str) -> (u16, String) {
    let answer = client().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn client() -> reqwest::Client {
    // Another test of this process may have installed the provider, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A whole server on an SQLite file of its own, with those keys set.
async fn serve(directory: &TempDir, keys: &[(&str, &str)]) -> RunningServer {
    let mut layers = Layers::defaults().unwrap();
    let database = format!("sqlite://{}", directory.path().join("hookgraph.db").display());
    let key_file = directory.path().join("key").display().to_string();
    let own = [("listen", "127.0.0.1:0"), ("database", database.as_str()), ("key_file", key_file.as_str())];
    for (name, text) in own.iter().chain(keys) {
        layers.lay_flag("test", name, text).unwrap();
    }
    start(Config::from_layers(&layers)).await.unwrap()
}

#[tokio::test]
async fn a_server_that_is_not_ready_says_why_and_is_alive_all_the_same() {
    let rig = rig::start(&[]).await;
    assert_eq!(get(&rig.url("/readyz")).await, (200, json!({ "status": "ready" }).to_string()));
    for not_ready in [NotReady::Database, NotReady::Migrations, NotReady::Stopping, NotReady::Failed] {
        *rig.ready.not.lock() = Some(not_ready);
        let body = json!({ "status": "unavailable", "reason": not_ready.reason() }).to_string();
        assert_eq!(get(&rig.url("/readyz")).await, (503, body));
        assert_eq!(get(&rig.url("/healthz")).await, (200, json!({ "status": "alive" }).to_string()));
    }
}

#[tokio::test]
async fn a_server_that_was_stopped_leaves_all_that_it_has_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(&directory, &[]).await;
    let there = || ["", "-wal", "-shm"].map(|end| directory.path().join(format!("hookgraph.db{end}")).exists());
    assert_eq!(there(), [true; 3]);
    server.shutdown().await;
    assert_eq!(there(), [true, false, false]);
}

#[tokio::test]
async fn metrics_are_off_the_public_address_unless_they_are_opened() {
    let directory = tempfile::tempdir().unwrap();
    let off = serve(&directory, &[]).await;
    assert_eq!(get(&format!("http://{}/metrics", off.address)).await.0, 404);
    assert!(off.metrics_address.is_none());
    off.shutdown().await;

    let own = serve(&directory, &[("metrics", "127.0.0.1:0")]).await;
    let own_address = own.metrics_address.unwrap();
    assert_eq!(get(&format!("http://{}/metrics", own.address)).await.0, 404);
    assert_eq!(get(&format!("http://{own_address}/metrics")).await.0, 200);
    assert_eq!(get(&format!("http://{own_address}/readyz")).await.0, 200);
    assert_eq!(get(&format!("http://{own_address}/graphql")).await.0, 404);
    own.shutdown().await;

    let open = serve(&directory, &[("metrics", "open")]).await;
    assert_eq!(get(&format!("http://{}/metrics", open.address)).await.0, 200);
    open.shutdown().await;
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready_before_it_stops_serving() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(&directory, &[("shutdown_delay_ms", "600000")]).await;
    let url = format!("http://{}", server.address);
    assert_eq!(get(&format!("{url}/readyz")).await.0, 200);
    let stopping = tokio::spawn(server.shutdown());
    let not_ready = async {
        loop {
            let answer = get(&format!("{url}/readyz")).await;
            if answer.0 != 200 {
                return answer;
            }
        }
    };
    let (status, body) = within(PATIENCE, "a server that is not ready", not_ready).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["reason"]), (503, &json!("the server is stopping")));
    assert_eq!(get(&format!("{url}/healthz")).await.0, 200);
    stopping.abort();
}

#[tokio::test]
async fn a_server_of_which_a_part_has_failed_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(&directory, &[("metrics", "127.0.0.1:0")]).await;
    let addresses = [server.address, server.metrics_address.unwrap()];
    for address in addresses {
        assert_eq!(get(&format!("http://{address}/readyz")).await.0, 200);
    }
    server.failed().cancel();
    for address in addresses {
        let (status, body) = get(&format!("http://{address}/readyz")).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body["reason"].as_str()), (503, Some(NotReady::Failed.reason())));
    }
    server.shutdown().await;
}

/// How many answers were counted by which the server said that it could not do what it was asked: `UNAVAILABLE`,
/// `INTERNAL` and `LIMIT_EXCEEDED`.
fn refused(rig: &Rig) -> [u64; 3] {
    let text = rig.state.metrics.as_ref().unwrap().text();
    ["UNAVAILABLE", "INTERNAL", "LIMIT_EXCEEDED"].map(|code| {
        let named = format!("hookgraph_requests_refused_total{{code=\"{code}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(named.as_str()));
        count.unwrap_or_else(|| panic!("{named}is missing in\n{text}")).parse().unwrap()
    })
}

/// How much a query over HTTP, over an event stream and over a WebSocket connection each adds to those counts.
async fn refused_over_all(rig: &Rig, socket: &mut Socket, query: &str) -> Vec<[u64; 3]> {
    let mut seen = vec![refused(rig)];
    for request in [post(rig, query), stream(rig, query)] {
        request.send().await.unwrap().text().await.unwrap();
        seen.push(refused(rig));
    }
    say(socket, subscribe("a", query)).await;
    hear_answers(socket).await;
    seen.push(refused(rig));
    seen.windows(2).map(|pair| std::array::from_fn(|place| pair[1][place] - pair[0][place])).collect()
}

#[tokio::test]
async fn an_answer_that_says_that_the_server_could_not_do_it_is_counted_once_and_no_other_is() {
    // As many requests as come before the last ones.
    let rig = rig::start(&[("token_requests_per_s_max", "1"), ("token_requests_burst_max", "16")]).await;
    let mut socket = initialised(&rig).await;
    for query in ["{ hello }", "{ fails }", "{ nope }"] {
        assert_eq!(refused_over_all(&rig, &mut socket, query).await, [[0, 0, 0]; 3], "{query}");
    }
    let nothing = || client().post(rig.url("/graphql")).json(&json!({}));
    for (status, request) in [(400, nothing().bearer_auth(TOKEN)), (401, nothing())] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    assert_eq!(refused(&rig), [0, 0, 0]);

    assert_eq!(refused_over_all(&rig, &mut socket, "{ panics }").await, [[0, 1, 0]; 3]);
    let requests_max = u32::try_from(rig.state.limits.http_requests_max).unwrap();
    let held = rig.state.requests.acquire_many(requests_max).await.unwrap();
    assert_eq!(refused_over_all(&rig, &mut socket, "{ hello }").await, [[1, 0, 0]; 3]);
    drop(held);
    assert_eq!(refused_over_all(&rig, &mut socket, "{ hello }").await, [[0, 0, 1]; 3]);
    assert_eq!(refused(&rig), [3, 3, 3]);
}

#[tokio::test]
async fn a_request_whose_time_is_over_is_counted_over_every_transport() {
    let rig = rig::start(&[("http_request_ms_max", "100")]).await;
    let mut socket = initialised(&rig).await;
    assert_eq!(refused_over_all(&rig, &mut socket, "{ never }").await, [[0, 0, 1]; 3]);
}

#[tokio::test]
async fn a_token_that_cannot_be_looked_up_is_to_be_shown_again_and_is_counted_over_every_transport() {
    let rig = rig::start(&[]).await;
    rig.tokens.is_failing.store(true, Ordering::SeqCst);
    let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {TOKEN}") } });
    for request in [post(&rig, "{ hello }"), stream(&rig, "{ hello }")] {
        assert_unavailable(request).await;
    }
    let mut socket = open(&rig, &[PROTOCOL]).await.unwrap();
    say(&mut socket, init.clone()).await;
    assert_eq!(hear(&mut socket).await["close"], 1013, "a code after which clients try again");
    assert_eq!(refused(&rig), [3, 0, 0]);
    rig.tokens.is_revoked.store(true, Ordering::SeqCst);
    rig.tokens.is_failing.store(false, Ordering::SeqCst);
    let mut socket = open(&rig, &[PROTOCOL]).await.unwrap();
    say(&mut socket, init).await;
    assert_eq!(hear(&mut socket).await["close"], 4403);
    assert_eq!(refused(&rig), [3, 0, 0], "a token that is not valid is its client's affair");
}

/// The names of all series of a scrape, those of a histogram's parts included.
fn series(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

/// The words of a document that look like metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("hookgraph_") || word.starts_with("process_")).collect()
}

#[tokio::test]
async fn every_metric_of_the_catalogue_the_dashboard_and_the_alerts_is_served_and_documented() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(&directory, &[("metrics", "open")]).await;
    let (_, text) = get(&format!("http://{}/metrics", server.address)).await;
    server.shutdown().await;
    let served = series(&text);
    let document = include_str!("../../../../docs/monitoring.md");
    for metric in METRICS {
        let name = match metric.kind {
            Kind::Histogram(_) => format!("{}_bucket", metric.name),
            Kind::Counter | Kind::Gauge => metric.name.to_owned(),
        };
        assert!(served.contains(name.as_str()), "{name} is not served:\n{text}");
        assert!(text.contains(&format!("# HELP {} ", metric.name)), "{} is not described", metric.name);
        assert!(document.contains(&format!("`{}`", metric.name)), "{} is not documented", metric.name);
    }
    for (file, content) in [
        ("dashboard.json", include_str!("../../../../docs/monitoring/dashboard.json")),
        ("alerts.yml", include_str!("../../../../docs/monitoring/alerts.yml")),
    ] {
        let names = named(content);
        assert!(names.len() > 5, "{file} names next to nothing: {names:?}");
        let unknown: Vec<_> = names.difference(&served).collect();
        assert!(unknown.is_empty(), "{file} names what is not served: {unknown:?}");
    }
    let dashboard: Value = serde_json::from_str(include_str!("../../../../docs/monitoring/dashboard.json")).unwrap();
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 5));
}

#[test]
fn every_alert_is_documented() {
    let document = include_str!("../../../../docs/monitoring.md");
    let alerts = include_str!("../../../../docs/monitoring/alerts.yml");
    let names: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 5);
    for name in names {
        assert!(document.contains(&format!("`{name}`")), "{name} is not documented");
    }
}
