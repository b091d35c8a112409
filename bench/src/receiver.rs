//! The receiver: it answers at once, with a failure, or late, as the path says, and remembers when each request
//! arrived.
//!
//! Its paths are `/ok/N`, `/fail/N` (500) and `/hang/N` for webhook N; `/gate/N` hangs until `/control/open` was
//! called. `/control/count` answers how many requests came to `/ok` and `/gate`, `/control/arrivals` answers all of
//! them.

use crate::marker;
use crate::monotonic::now_ns;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long `/hang` takes to answer.
const HANG: Duration = Duration::from_secs(10);

/// A request that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When the request arrived, on the monotonic clock.
    pub at_ns: u64,
    /// The number of its event.
    pub number: u32,
    /// The number of its webhook.
    pub webhook: u32,
}

impl Arrival {
    const BYTES: usize = 16;

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.at_ns.to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.webhook.to_le_bytes());
    }

    /// The arrivals in an answer of `/control/arrivals`.
    pub fn read_all(bytes: &[u8]) -> Vec<Arrival> {
        let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).unwrap_or_default();
        let read = |record: &[u8]| Arrival {
            at_ns: record[..8].try_into().map(u64::from_le_bytes).unwrap_or_default(),
            number: number(&record[8..12]),
            webhook: number(&record[12..16]),
        };
        bytes.chunks_exact(Self::BYTES).map(read).collect()
    }
}

struct State {
    arrivals: RefCell<Vec<Arrival>>,
    unmarked: Cell<u64>,
    gate: watch::Sender<bool>,
}

/// Prints the port, and serves until the process is killed.
pub async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    crate::say(&listener.local_addr()?.port().to_string());
    let state =
        Rc::new(State { arrivals: RefCell::default(), unmarked: Cell::default(), gate: watch::Sender::new(false) });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let state = state.clone();
        let service = service_fn(move |request| answer(state.clone(), request));
        tokio::task::spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(state: Rc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let at_ns = now_ns();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let (kind, rest) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    if kind == "control" {
        return Ok(control(&state, rest));
    }
    let Ok(body) = body.collect().await else { return Ok(status(StatusCode::BAD_REQUEST)) };
    let Some(number) = marker::find(&body.to_bytes()) else {
        state.unmarked.set(state.unmarked.get() + 1);
        return Ok(status(StatusCode::BAD_REQUEST));
    };
    let webhook = rest.parse().unwrap_or_default();
    match kind {
        "fail" => return Ok(status(StatusCode::INTERNAL_SERVER_ERROR)),
        "hang" => {
            tokio::time::sleep(HANG).await;
            return Ok(status(StatusCode::OK));
        }
        "gate" => {
            let mut gate = state.gate.subscribe();
            // The wait is below the deadline of an attempt, so that no attempt fails however long the gate stays shut.
            let _ = tokio::time::timeout(HANG, gate.wait_for(|is_open| *is_open)).await;
        }
        _ => {}
    }
    state.arrivals.borrow_mut().push(Arrival { at_ns, number, webhook });
    Ok(status(StatusCode::OK))
}

fn control(state: &State, what: &str) -> Response<Full<Bytes>> {
    let body = match what {
        "open" => {
            state.gate.send_replace(true);
            Vec::new()
        }
        "count" => {
            let count = (state.arrivals.borrow().len(), state.unmarked.get());
            serde_json::to_vec(&count).unwrap_or_default()
        }
        _ => {
            let mut bytes = Vec::new();
            state.arrivals.borrow().iter().for_each(|arrival| arrival.write(&mut bytes));
            bytes
        }
    };
    Response::new(Full::new(body.into()))
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::Arrival;

    #[test]
    fn arrivals_are_read_as_they_were_written() {
        let arrivals: Vec<_> = (0..3).map(|n| Arrival { at_ns: u64::MAX - 1, number: n, webhook: n * 7 }).collect();
        let mut bytes = Vec::new();
        arrivals.iter().for_each(|arrival| arrival.write(&mut bytes));
        assert_eq!(Arrival::read_all(&bytes), arrivals);
    }
}
