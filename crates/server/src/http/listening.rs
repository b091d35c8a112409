//! Connections, before anything is known of who opens them: so many at a time, and none for nothing.

use crate::limits::{ACCEPT_PAUSE_MS, PREFACE_POLL_MS};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What strangers may take.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// `http_connections_max`: connections at a time; more are closed at once. One that has become a WebSocket connection
    /// is counted as such.
    pub connections_max: usize,
    /// `http_idle_ms_max`: how long a connection may be open without the whole head of a request.
    pub idle_max: Duration,
}

/// What every connection is served with.
#[derive(Clone)]
struct Served {
    builder: Arc<Builder<TokioExecutor>>,
    routes: Router,
    idle_max: Duration,
    stopping: CancellationToken,
}

/// What a client of HTTP/2 says first.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves until `stopping`, and then the requests under way to their end.
pub async fn serve(listener: TcpListener, routes: Router, limits: ConnectionLimits, stopping: CancellationToken) {
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
            tracing::debug!("a connection too many is closed (http_connections_max)");
            continue;
        };
        let served = served.clone();
        connections.spawn(async move {
            connection(served, stream).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn builder(idle_max: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(idle_max)
        .keep_alive_timeout(idle_max)
        .enable_connect_protocol();
    builder
}

async fn connection(served: Served, stream: TcpStream) {
    let Served { builder, routes, idle_max, stopping } = served;
    let has_begun = tokio::select! {
        begun = timeout(idle_max, begins(&stream)) => begun.unwrap_or(false),
        () = stopping.cancelled() => false,
    };
    if !has_begun {
        return;
    }
    let service = TowerToHyperService::new(routes);
    let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopping.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended");
    }
}

/// Waits until it can be told which HTTP is spoken: hyper, which needs to know, would wait for ever.
async fn begins(stream: &TcpStream) -> bool {
    let mut start = [0; HTTP2_PREFACE.len()];
    loop {
        match stream.peek(&mut start).await {
            Ok(0) | Err(_) => return false,
            Ok(count) if count < start.len() && HTTP2_PREFACE.starts_with(&start[..count]) => {
                tokio::time::sleep(Duration::from_millis(PREFACE_POLL_MS)).await;
            }
            Ok(_) => return true,
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
