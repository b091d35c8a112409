//! A load that goes on whatever happens to the servers: events one after another at a pace, each to one of the
//! processes that run. Every fourth event bears an idempotency key and is asked for until it is accepted.

use super::fleet::Addresses;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;

/// How many requests are under way at a time.
const CONNECTIONS: u32 = 8;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an event with a key is asked for: twice as long as the trouble of the longest case, in which a full disk
/// refuses every event.
const KEY_PATIENCE: Duration = Duration::from_secs(240);

const PUBLISH: &str = r#"mutation($variables: JSON!) {
    event { publish(input: { concern: "orders", event: "update", variables: $variables }) { id } } }"#;

/// A load under way.
pub struct Load {
    stop: CancellationToken,
    tasks: JoinSet<Loaded>,
}

/// The answers to a load.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The numbers of the events that were accepted, and when they were.
    pub accepted: Vec<(u64, Instant)>,
    /// How many requests were refused or not answered: their events may have been recorded.
    pub unsure: u64,
    /// How many events with a key were never accepted.
    pub given_up: u64,
}

impl Load {
    /// Begins to publish `per_second` events a second.
    pub fn start(addresses: Arc<Addresses>, token: String, per_second: u32) -> Self {
        let stop = CancellationToken::new();
        let next = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for place in 0..CONNECTIONS {
            let publisher = Publisher {
                http: client(),
                addresses: addresses.clone(),
                token: token.clone(),
                next: next.clone(),
                turn: place as usize,
                loaded: Loaded::default(),
            };
            tasks.spawn(publisher.run(Duration::from_secs(1) * CONNECTIONS / per_second, stop.clone()));
        }
        Self { stop, tasks }
    }

    /// Asks for no more events; those with a key are still asked for until they are accepted.
    pub async fn stop(mut self) -> Loaded {
        self.stop.cancel();
        let mut all = Loaded::default();
        while let Some(Ok(loaded)) = self.tasks.join_next().await {
            all.accepted.extend(loaded.accepted);
            all.unsure += loaded.unsure;
            all.given_up += loaded.given_up;
        }
        all
    }
}

fn client() -> reqwest::Client {
    // Another test of this process may have installed the provider, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap_or_default()
}

struct Publisher {
    http: reqwest::Client,
    addresses: Arc<Addresses>,
    token: String,
    next: Arc<AtomicU64>,
    turn: usize,
    loaded: Loaded,
}

impl Publisher {
    async fn run(mut self, pace: Duration, stop: CancellationToken) -> Loaded {
        let mut ticks = tokio::time::interval(pace);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            ticks.tick().await;
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(4) { self.insist(number, &mut ticks).await } else { self.ask_once(number).await }
        }
        self.loaded
    }

    async fn ask_once(&mut self, number: u64) {
        if self.ask(number, None).await {
            self.loaded.accepted.push((number, Instant::now()));
        } else {
            self.loaded.unsure += 1;
        }
    }

    /// Asks until the event is accepted, each time in the turn of a next event: the load stays at its pace.
    async fn insist(&mut self, number: u64, turns: &mut Interval) {
        let until = Instant::now() + KEY_PATIENCE;
        let key = format!("event-{number}");
        while Instant::now() < until {
            if self.ask(number, Some(&key)).await {
                return self.loaded.accepted.push((number, Instant::now()));
            }
            self.loaded.unsure += 1;
            turns.tick().await;
        }
        self.loaded.given_up += 1;
    }

    /// Asks once, and tells whether the event was accepted.
    async fn ask(&mut self, number: u64, key: Option<&str>) -> bool {
        self.turn += 1;
        let Some(address) = self.addresses.get(self.turn) else { return false };
        let body = json!({ "query": PUBLISH, "variables": { "variables": { "id": number.to_string() } } });
        let mut request = self.http.post(format!("{address}/graphql")).bearer_auth(&self.token).json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let Ok(response) = request.send().await else { return false };
        let answer: Value = response.json().await.unwrap_or_default();
        answer["data"]["event"]["publish"]["id"].is_string()
    }
}
