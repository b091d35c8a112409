//! Connections, before it is known who opens them: a bounded number is served at a time, and none is kept that does
//! nothing.

mod descriptors;
#[cfg(test)]
mod tests;
mod under_way;
mod written;

use crate::limits::{
    ACCEPT_PAUSE_MS, GOING_AWAY_MS_MAX, HTTP2_STREAMS_MAX, OPERATIONS_CONNECTIONS_MAX, PREFACE_POLL_MS,
};
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use under_way::{CountedRoutes, Requests, Tasks};
use written::Written;

/// The bounds of connections that strangers open.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// `http_connections_max`: connections at a time, of which more are closed at once. A connection that has become a
    /// WebSocket connection is counted as one of these.
    pub connections_max: usize,
    /// `websocket_connections_max`: connections that may be open as WebSocket connections beside the others.
    pub websockets_max: usize,
    /// `http_idle_ms_max`: how long a connection may be open without a request under way, until the whole head of the
    /// next one has come.
    pub idle_max: Duration,
}

/// The settings with which every connection is served.
#[derive(Clone)]
struct Served {
    builder: Arc<Builder<Tasks>>,
    routes: Router,
    idle_max: Duration,
    stopping: CancellationToken,
}

/// The first bytes of a client that speaks HTTP/2.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
}

/// Serves until `stopping` is cancelled, and then the requests under way to their end.
pub async fn serve(listener: TcpListener, routes: Router, limits: ConnectionLimits, stopping: CancellationToken) {
    let descriptors = descriptors::places(limits);
    serve_within(descriptors, listener, routes, limits, stopping).await;
}

/// Serves the operator's probes and scrapers in the same way, on an address of their own: however many connections
/// strangers open elsewhere, [`OPERATIONS_CONNECTIONS_MAX`] connections have their descriptors here.
pub async fn serve_operations(listener: TcpListener, routes: Router, idle_max: Duration, stopping: CancellationToken) {
    let limits = ConnectionLimits { connections_max: OPERATIONS_CONNECTIONS_MAX, websockets_max: 0, idle_max };
    let descriptors = Arc::new(Semaphore::new(limits.connections_max));
    serve_within(descriptors, listener, routes, limits, stopping).await;
}

async fn serve_within(
    descriptors: Arc<Semaphore>,
    listener: TcpListener,
    routes: Router,
    limits: ConnectionLimits,
    stopping: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let connections = TaskTracker::new();
    let served = Served {
        builder: Arc::new(builder(limits.idle_max)),
        routes,
        idle_max: limits.idle_max,
        stopping: stopping.clone(),
    };
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            },
            () = stopping.cancelled() => break,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::debug!(connections_max = limits.connections_max, "a connection too many is closed");
            continue;
        };
        let Ok(descriptor) = descriptors.clone().try_acquire_owned() else {
            tracing::debug!("a connection too many is closed (RLIMIT_NOFILE)");
            continue;
        };
        let served = served.clone();
        connections.spawn(async move {
            connection(served, stream, descriptor).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn builder(idle_max: Duration) -> Builder<Tasks> {
    let mut builder = Builder::new(Tasks);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(idle_max)
        .keep_alive_timeout(idle_max)
        .max_concurrent_streams(HTTP2_STREAMS_MAX);
    builder
}

async fn connection(served: Served, stream: TcpStream, descriptor: OwnedSemaphorePermit) {
    let begun = tokio::select! {
        begun = timeout(served.idle_max, begins(&stream)) => begun.ok().flatten(),
        () = served.stopping.cancelled() => None,
    };
    if let Some(spoken) = begun {
        speak(served, spoken, Written::new(stream, descriptor)).await;
    }
}

/// Serves a connection to its end. A connection over HTTP/2 also ends when it was idle for too long, or when the last
/// of its answers was given up because its client takes none: hyper itself asks no more of a client than to answer
/// pings.
async fn speak<S>(served: Served, spoken: Spoken, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Served { builder, routes, idle_max, stopping } = served;
    let requests = Arc::new(Requests::new());
    let service = TowerToHyperService::new(CountedRoutes { routes, requests: requests.clone() });
    let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let is_watched = spoken == Spoken::Http2;
    let mut is_ending = false;
    loop {
        let idle_max = if is_ending { Duration::from_millis(GOING_AWAY_MS_MAX) } else { idle_max };
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(%error, "a connection ended");
                }
                return;
            }
            () = stopping.cancelled(), if !is_ending => {}
            () = requests.none_for(idle_max), if is_watched => {
                if is_ending {
                    tracing::trace!("a connection was told to end and did not");
                    return;
                }
            }
            // The last bytes of answers that were taken otherwise go out meanwhile.
            () = requests.deserted(), if is_watched && !is_ending => {
                tracing::debug!("a connection ends whose client takes no answer (UNTAKEN_MS_MAX)");
            }
        }
        is_ending = true;
        served.as_mut().graceful_shutdown();
    }
}

/// Waits until the client has told which HTTP it speaks; none where it says nothing. hyper, which needs to know, would
/// wait for ever.
async fn begins(stream: &TcpStream) -> Option<Spoken> {
    let mut start = [0; HTTP2_PREFACE.len()];
    loop {
        match stream.peek(&mut start).await {
            Ok(0) | Err(_) => return None,
            Ok(count) if !HTTP2_PREFACE.starts_with(&start[..count]) => return Some(Spoken::Http1),
            Ok(count) if count < start.len() => tokio::time::sleep(Duration::from_millis(PREFACE_POLL_MS)).await,
            Ok(_) => return Some(Spoken::Http2),
        }
    }
}

/// Passes over a failure of one connection, and pauses after one that keeps the process from accepting any.
async fn pause_after(error: &std::io::Error) {
    let is_its_own = matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    );
    if !is_its_own {
        tracing::warn!(%error, "no connection can be accepted");
        tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
    }
}
