//! Health, readiness and metrics: what is answered, where, and that the documents name nothing that is not there.

use crate::rig;
use hookgraph_server::config::{Config, Layers};
use hookgraph_server::http::operations::NotReady;
use hookgraph_server::metrics::catalogue::{Kind, METRICS};
use hookgraph_server::{RunningServer, Server};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tempfile::TempDir;

async fn get(url: &str) -> (u16, String) {
    let answer = client().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn client() -> reqwest::Client {
    // Another test of this process may have installed it already: that is as good.
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
    Server::start(Config::from_layers(&layers)).await.unwrap()
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
    let (status, body) = loop {
        let answer = get(&format!("{url}/readyz")).await;
        if answer.0 != 200 {
            break answer;
        }
    };
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

/// The names of all series of a scrape, those of a histogram's parts included.
fn series(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

/// What looks like a metric in a document.
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
