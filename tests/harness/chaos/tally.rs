//! A receiver that counts: which event arrived when, and under which `webhook-id`.

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long each answer takes, so that some request is always in flight when a process is killed. No test waits for it.
const ANSWER: Duration = Duration::from_millis(5);

/// The arrivals of one event.
pub type Arrivals = Vec<(String, Instant)>;

#[derive(Debug, Default)]
struct Seen {
    events: HashMap<u64, Arrivals>,
}

/// The receiver of a case. Clones share the arrivals.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The URL of the receiver.
    pub url: String,
    seen: Arc<watch::Sender<Seen>>,
}

impl Tally {
    /// Listens on a free port of 127.0.0.1 until the test ends.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let seen = Arc::new(watch::channel(Seen::default()).0);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let router = Router::new().fallback(receive).with_state(seen.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, seen })
    }

    /// Waits until `count` more events have arrived.
    ///
    /// # Errors
    /// Where they do not within that time.
    pub async fn more(&self, count: usize, within: Duration) -> anyhow::Result<()> {
        let before = self.seen.borrow().events.len();
        self.until(within, |seen| seen.events.len() >= before + count).await.with_context(|| {
            format!("{} of {count} events came in {within:?}", self.seen.borrow().events.len() - before)
        })
    }

    /// Waits until the events of all `numbers` have arrived, and answers how many have not within that time.
    pub async fn all(&self, numbers: &[u64], within: Duration) -> usize {
        // The error says that the time is over, which the count tells better.
        let _ = self.until(within, |seen| numbers.iter().all(|number| seen.events.contains_key(number))).await;
        let seen = self.seen.borrow();
        numbers.iter().filter(|number| !seen.events.contains_key(number)).count()
    }

    async fn until(&self, within: Duration, holds: impl FnMut(&Seen) -> bool) -> anyhow::Result<()> {
        let mut seen = self.seen.subscribe();
        let waited = tokio::time::timeout(within, seen.wait_for(holds)).await;
        waited.context("not in time")?.map(|_| ()).context("the receiver is gone")
    }

    /// All arrivals, by the number of their event.
    pub fn events(&self) -> HashMap<u64, Arrivals> {
        self.seen.borrow().events.clone()
    }
}

async fn receive(State(seen): State<Arc<watch::Sender<Seen>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at = Instant::now();
    let payload: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let number = payload["id"].as_str().and_then(|id| id.parse().ok());
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
    let (Some(number), Some(id)) = (number, id) else { return StatusCode::BAD_REQUEST };
    seen.send_modify(|seen| seen.events.entry(number).or_default().push((id.to_owned(), at)));
    tokio::time::sleep(ANSWER).await;
    StatusCode::OK
}
