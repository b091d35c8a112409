//! GraphQL over Server-Sent Events, in distinct connections mode: one operation a request, its answers as events.
//! <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>

use super::answer::{self, MediaType};
use super::held_frames::{HeldFrames, Slot};
use super::{WebState, graphql};
use crate::answer_room::AnswerShare;
use crate::lasting::LastingSession;
use crate::operation;
use crate::shares::Place;
use async_graphql::parser::types::OperationType;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::stream::once;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::Taken;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// Answers one request with a stream of events, which is read no further than the client reads. The stream ends with
/// the operation, with the server, or when the token is not valid any more.
pub async fn serve(state: Arc<WebState>, request: Request) -> Response {
    let media_type = MediaType::Json;
    let (shown, session) = match graphql::admit(&state, request.headers(), media_type).await {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
    };
    let places = [Place::Connection, Place::Subscription].map(|place| state.shares.take(session.holder, place));
    let places = match places {
        [Ok(connection), Ok(operation)] => [connection, operation],
        [Err(exceeded), _] | [_, Err(exceeded)] => return answer::exceeded(&exceeded, media_type),
    };
    let Ok(permit) = state.connections.clone().try_acquire_owned() else {
        let message = "there are as many connections as there may be (websocket_connections_max)";
        return answer::busy(message, media_type);
    };
    let endpoint = state.endpoints.management.clone();
    let by_get = [OperationType::Query, OperationType::Subscription];
    let read = graphql::read_in_time(&state, endpoint.as_ref(), session.holder, request, media_type, &by_get).await;
    let (asked, large) = match read {
        Ok(read) => read,
        Err(refused) => return *refused,
    };
    let (slot, over) = (Slot::default(), CancellationToken::new());
    let (filled, ending) = (slot.clone(), over.clone());
    let counting = state.clone();
    let told = move |response: async_graphql::Response, room: &AnswerShare| EventAnswer::of(&counting, response, room);
    let answers = operation::responses(&state, session.caller.clone(), asked, large, told).map(move |told| {
        filled.fill(told.room);
        if told.is_refused {
            ending.cancel();
        }
        next(&told.json)
    });
    let answers = answers.take_until(over.cancelled_owned());
    let keep_alive = KeepAlive::new().interval(state.limits.websocket_ping);
    let lasting = LastingSession::new(&state.auth, shown, session);
    let events = answers.chain(once(async { complete() })).take_until(ended(state, lasting)).map(move |event| {
        let _held = (&permit, &places);
        Ok::<_, Infallible>(event)
    });
    let mut answer = Sse::new(events).keep_alive(keep_alive).into_response();
    // The header tells proxies that collect answers not to hold the events back.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer.map(|body| HeldFrames::body(body, slot))
}

/// An answer as its event shows it, with the room that it takes.
struct EventAnswer {
    json: String,
    room: Option<Taken>,
    /// Whether there was no room for the answer: the operation ends with the refusal.
    is_refused: bool,
}

impl EventAnswer {
    /// Makes the event's text and takes its room. An answer by which the server says that it could not do what it was
    /// asked is counted.
    fn of(state: &WebState, response: async_graphql::Response, room: &AnswerShare) -> Self {
        let refused = answer::refused_code(&response);
        let json = answer::event_json(response).to_string();
        match room.take(json.len()) {
            Ok(room) => {
                if let Some(code) = refused {
                    state.refused(code);
                }
                Self { json, room, is_refused: false }
            }
            Err(no_room) => {
                let refusal = Refusal::from(no_room);
                state.refused(refusal.code);
                let json = json!({ "errors": [answer::error_json(&refusal)] }).to_string();
                Self { json, room: None, is_refused: true }
            }
        }
    }
}

fn next(json: &str) -> Event {
    Event::default().event("next").data(json)
}

/// The event has data, because a browser's `EventSource` tells its page of no event without; an empty text would be no
/// line of data.
fn complete() -> Event {
    Event::default().event("complete").data("\n")
}

/// Waits until the stream must end though its operation goes on.
async fn ended(state: Arc<WebState>, mut lasting: LastingSession) {
    let rechecked = async {
        loop {
            sleep_until(lasting.recheck_at).await;
            if lasting.recheck(&state.auth).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = rechecked => {}
        () = state.stopping.cancelled() => {}
    }
}
