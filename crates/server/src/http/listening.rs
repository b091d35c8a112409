//! Connections, before anything is known of who opens them: so many at a time, and none for nothing.

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
use under_way::{Counted, Requests, Tasks};
use written::Written;

/// What strangers may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// `http_connections_max`: connections at a time; more are closed at once. One that has become a WebSocket connection
    /// is counted as such.
    pub connections_max: usize,
    /// `websocket_connections_max`: how many may be open as WebSocket connections beside those.
    pub websockets_max: usize,
    /// `http_idle_ms_max`: how long a connection may be open without a request under way, until the whole head of one has come.
    pub idle_max: Duration,
}

/// What every connection is served with.
#[derive(Clone)]
struct Served {
    builder: Arc<Builder<Tasks>>,
    routes: Router,
    idle_max: Duration,
    stopping: CancellationToken,
}

/// What a client of HTTP/2 says first.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which HTTP a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
}

/// Serves until `stopping`, and then the requests under way to their end.
pub async fn serve(listener: TcpListener, routes: Router, limits: ConnectionLimits, stopping: CancellationToken) {
    let descriptors = descriptors::places(limits);
    serve_within(descriptors, listener, routes, limits, stopping).await;
}

/// The same for the operator's probes and scrapers, on an address of their own: however many connections strangers open elsewhere,
/// [`OPERATIONS_CONNECTIONS_MAX`] have their descriptors.
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

/// Serves a connection to its end. One over HTTP/2 ends when it was idle for too long, or when the last of its answers was given up
/// because its client takes none: hyper asks no more of it than to answer pings.
async fn speak<S>(served: Served, spoken: Spoken, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Served { builder, routes, idle_max, stopping } = served;
    let requests = Arc::new(Requests::new());
    let service = TowerToHyperService::new(Counted { routes, requests: requests.clone() });
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
            // What is left of answers that were taken but for their last bytes goes out meanwhile.
            () = requests.deserted(), if is_watched && !is_ending => {
                tracing::debug!("a connection ends whose client takes no answer (UNTAKEN_MS_MAX)");
            }
        }
        is_ending = true;
        served.as_mut().graceful_shutdown();
    }
}

/// Waits until it can be told which HTTP is spoken: hyper, which needs to know, would wait for ever. None where nothing comes.
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

/// What is wrong with one connection passes; what keeps the process from accepting any is waited for.
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
