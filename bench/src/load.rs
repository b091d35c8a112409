//! The load generator: keep-alive connections that publish events, one after another or at a pace, and remember when
//! each event was accepted, which is when its answer arrived.

use crate::client::Connection;
use crate::marker;
use crate::monotonic::now_ns;
use anyhow::Context;
use bytes::Bytes;
use hyper::{Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The requests to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadPlan {
    /// The servers, over which connections are spread.
    pub servers: Vec<SocketAddr>,
    /// The path of every request.
    pub path: String,
    /// The parts of the request body.
    pub body: BodyParts,
    /// How many events one request publishes.
    pub batch: u32,
    /// How many connections are open at a time.
    pub connections: u32,
    /// How long requests are sent, in milliseconds.
    pub duration_ms: u64,
    /// The number of events after which no more are sent.
    pub events_max: u32,
    /// Requests per second over all connections; where none is set, each request follows the answer before it.
    pub requests_per_s: Option<u32>,
    /// The file to which the times of acceptance are written.
    pub accepts_file: String,
}

/// The parts of a request body, of which one is repeated for each event.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BodyParts {
    /// The text before the first event.
    pub head: String,
    /// The text of an event, with `<marker>` and `<id>`.
    pub event: String,
    /// The text after the last event.
    pub tail: String,
    /// The ids that stand for `<id>`, in turn.
    pub ids: Vec<String>,
}

/// The report of the load generator.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct LoadReport {
    /// When the first request was sent.
    pub started_at_ns: u64,
    /// When the last answer arrived and no connection had another turn.
    pub ended_at_ns: u64,
    /// How many events were accepted.
    pub accepted: u64,
    /// How many requests were refused or failed.
    pub failed: u64,
    /// CPU time of the load generator.
    pub cpu_ms: u64,
}

struct Shared {
    plan: LoadPlan,
    next: Cell<u32>,
    until: Instant,
    accepts: RefCell<Vec<(u32, u64)>>,
    failed: Cell<u64>,
    first_failure: RefCell<Option<String>>,
}

/// Sends all requests, writes the times of acceptance, and prints the report.
pub async fn run(plan: LoadPlan) -> anyhow::Result<()> {
    let path: Uri = plan.path.parse()?;
    let mut connections = Vec::new();
    for (index, server) in (0..plan.connections).zip(plan.servers.iter().cycle()) {
        connections.push((index, Connection::open(*server).await?));
    }
    let begin = Instant::now();
    let started_at_ns = now_ns();
    let shared = Rc::new(Shared {
        until: begin + Duration::from_millis(plan.duration_ms),
        plan,
        next: Cell::new(0),
        accepts: RefCell::default(),
        failed: Cell::default(),
        first_failure: RefCell::default(),
    });
    let mut tasks = JoinSet::new();
    for (index, connection) in connections {
        tasks.spawn_local(send_all(shared.clone(), connection, path.clone(), begin, index));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let accepts = shared.accepts.take();
    let ended_at_ns = now_ns();
    let report = LoadReport {
        started_at_ns,
        ended_at_ns,
        accepted: accepts.len() as u64,
        failed: shared.failed.get(),
        cpu_ms: crate::processes::cpu_ms(std::process::id()).unwrap_or_default(),
    };
    if let Some(failure) = shared.first_failure.take() {
        crate::complain(&failure);
    }
    let bytes: Vec<u8> = accepts.iter().flat_map(|(number, at_ns)| record(*number, *at_ns)).collect();
    std::fs::write(&shared.plan.accepts_file, bytes)?;
    crate::say(&serde_json::to_string(&report)?);
    Ok(())
}

async fn send_all(
    shared: Rc<Shared>,
    mut connection: Connection,
    path: Uri,
    begin: Instant,
    index: u32,
) -> anyhow::Result<()> {
    let plan = &shared.plan;
    let mut turn = index;
    loop {
        if let Some(rate) = plan.requests_per_s {
            let Some(at) = turn_at(begin, shared.until, turn, rate) else { return Ok(()) };
            tokio::time::sleep_until(at).await;
            turn += plan.connections;
        }
        let first = shared.next.get();
        if Instant::now() >= shared.until || first >= plan.events_max {
            return Ok(());
        }
        shared.next.set(first + plan.batch);
        let body = plan.body.filled(first, plan.batch);
        let answer = connection.send(Method::POST, &path, body).await;
        let at_ns = now_ns();
        match answer {
            Ok((StatusCode::OK, body)) if !has_errors(&body) => {
                shared.accepts.borrow_mut().extend((first..first + plan.batch).map(|number| (number, at_ns)));
            }
            Ok((status, body)) => shared.fail(&format!("{status}: {}", String::from_utf8_lossy(&body))),
            Err(error) => {
                shared.fail(&format!("{error:#}"));
                let server = plan.servers[index as usize % plan.servers.len()];
                connection = Connection::open(server).await?;
            }
        }
    }
}

/// When a turn comes at that rate per second. A turn at the end or later is none: waiting for it would count as time of
/// sending.
fn turn_at(begin: Instant, until: Instant, turn: u32, rate: u32) -> Option<Instant> {
    let at = begin + Duration::from_secs_f64(f64::from(turn) / f64::from(rate));
    (at < until).then_some(at)
}

impl Shared {
    fn fail(&self, why: &str) {
        self.failed.set(self.failed.get() + 1);
        self.first_failure.borrow_mut().get_or_insert_with(|| why.to_owned());
    }
}

impl BodyParts {
    /// A body of `batch` events, numbered from `first` on.
    pub fn filled(&self, first: u32, batch: u32) -> Bytes {
        let mut body =
            String::with_capacity(self.head.len() + self.tail.len() + batch as usize * (self.event.len() + 32));
        body.push_str(&self.head);
        for number in first..first + batch {
            if number > first {
                body.push(',');
            }
            let id = match self.ids.len() {
                0 => marker::user_id(number),
                count => self.ids[number as usize % count].clone(),
            };
            let (before, rest) = self.event.split_once("<id>").unwrap_or((&self.event, ""));
            let (between, after) = rest.split_once("<marker>").unwrap_or((rest, ""));
            for part in [before, &id, between, &marker::user_id(number), after] {
                body.push_str(part);
            }
        }
        body.push_str(&self.tail);
        body.into()
    }
}

/// Whether an answer of the server refuses its request. The receiver's answers are empty.
fn has_errors(body: &[u8]) -> bool {
    const ERRORS: &[u8] = b"\"errors\"";
    body.windows(ERRORS.len()).any(|window| window == ERRORS)
}

fn record(number: u32, at_ns: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&at_ns.to_le_bytes());
    bytes
}

/// The number of each event, with the time at which it was accepted.
pub fn read_accepts(path: &str) -> anyhow::Result<Vec<(u32, u64)>> {
    let bytes = std::fs::read(path).with_context(|| format!("{path} cannot be read"))?;
    let read = |record: &[u8]| {
        Some((u32::from_le_bytes(record[..4].try_into().ok()?), u64::from_le_bytes(record[4..12].try_into().ok()?)))
    };
    Ok(bytes.chunks_exact(12).filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::{BodyParts, turn_at};
    use crate::marker;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn a_turn_that_comes_at_the_end_or_later_is_not_waited_for() {
        let begin = Instant::now();
        let at = |turn| turn_at(begin, begin + Duration::from_secs(1), turn, 100);
        assert_eq!(at(0), Some(begin));
        assert_eq!(at(99), Some(begin + Duration::from_millis(990)));
        assert_eq!(at(100), None);
        assert_eq!(at(u32::MAX), None);
    }

    #[test]
    fn a_body_holds_its_events_with_their_markers_and_ids_in_turn() {
        let parts = BodyParts {
            head: "[".into(),
            event: r#"{"id":"<id>","userId":"<marker>"}"#.into(),
            tail: "]".into(),
            ids: vec!["a".into(), "b".into()],
        };
        let body = parts.filled(3, 2);
        let events: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(events[0], serde_json::json!({ "id": "b", "userId": marker::user_id(3) }));
        assert_eq!(events[1], serde_json::json!({ "id": "a", "userId": marker::user_id(4) }));
    }
}
