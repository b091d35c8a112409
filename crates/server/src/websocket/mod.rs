//! GraphQL over WebSocket: the `graphql-transport-ws` protocol,
//! <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>.

mod connection;
pub mod protocol;
mod subscriptions;

use crate::auth::ShownToken;
use crate::http::answer::{self, MediaType};
use crate::http::{RequestId, WebState};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use std::sync::Arc;
use tracing::Instrument;

/// Whether the request wants to become a WebSocket connection.
pub fn is_upgrade(request: &Request) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Upgrades the request, unless its page is a stranger's or too many connections have shown no token yet. Until the
/// connection is acknowledged it counts among those alone, and takes no place of a client that is let in.
pub async fn upgrade(state: Arc<WebState>, request: Request) -> Response {
    if !is_known_origin(request.headers(), &state.limits.allowed_origins) {
        let message = "WebSocket connections of this origin are not allowed (allowed_origins)";
        let refused = Refusal::new(RefusalCode::Forbidden, message);
        return answer::refusal(StatusCode::FORBIDDEN, &refused, MediaType::Json);
    }
    // The place among all is taken once the connection is acknowledged: a client that says nothing takes none.
    let Ok(unacknowledged) = state.unacknowledged.clone().try_acquire_owned() else {
        let message = "as many WebSocket connections wait to be acknowledged as may (websocket_connections_max)";
        return answer::busy(message, MediaType::Json);
    };
    let (mut parts, _) = request.into_parts();
    let from_header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let from_header = from_header.and_then(|value| ShownToken::read(Some(value)).ok());
    let request_id = parts.extensions.get::<RequestId>().cloned();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let bytes_max = state.limits.websocket_message_bytes_max;
    upgrade.protocols([protocol::SUBPROTOCOL]).max_message_size(bytes_max).max_frame_size(bytes_max).on_upgrade({
        let span = tracing::Span::current();
        move |socket| {
            let served =
                async move { connection::serve(&state, socket, from_header, request_id, unacknowledged).await };
            served.instrument(span)
        }
    })
}

/// Whether the page that opens the connection is this server's own or an allowed one. Clients that are no browsers name
/// no origin.
fn is_known_origin(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin_host = origin.split_once("://").map(|(_, host)| host);
    origin_host.is_some_and(|origin_host| host.is_some_and(|host| host.eq_ignore_ascii_case(origin_host)))
        || allowed.iter().any(|one| one.eq_ignore_ascii_case(origin))
}
