//! One connection, from `connection_init` to its close.

use super::protocol::{self, Closing, Incoming};
use super::subscriptions::Subscriptions;
use crate::auth::{AuthError, ShownToken};
use crate::http::{RequestId, WebState, parse};
use crate::limits;
use crate::operation;
use crate::shares::{Exceeded, Holder, Permit, Place};
use axum::extract::ws::{Message, WebSocket};
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_pim::Caller;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

/// Serves one connection to its end.
pub async fn serve(
    state: &Arc<WebState>,
    socket: WebSocket,
    from_header: Option<ShownToken>,
    request_id: Option<RequestId>,
) {
    let speaks_ours = socket.protocol().is_some_and(|protocol| protocol == protocol::SUBPROTOCOL);
    let (sink, mut frames) = socket.split();
    let (outgoing, queue) = mpsc::channel(limits::OUTGOING_MESSAGES_MAX);
    let writer = tokio::spawn(write(sink, queue));
    let closing = if speaks_ours {
        let mut connection = Connection {
            state,
            subscriptions: Subscriptions::new(outgoing.clone()),
            outgoing: outgoing.clone(),
            from_header,
            request_id,
            session: None,
            place: None,
            unanswered_pings: 0,
        };
        connection.run(&mut frames).await
    } else {
        Closing::SubprotocolNotAcceptable
    };
    tracing::debug!(?closing, "websocket connection ends");
    let _ = outgoing.try_send(Message::Close(Some(closing.frame())));
    drop(outgoing);
    let _ = writer.await;
}

/// Writes what is queued. Ends at a close, or when the client takes a message for too long.
async fn write(mut sink: SplitSink<WebSocket, Message>, mut queue: mpsc::Receiver<Message>) {
    let write_max = Duration::from_millis(limits::WEBSOCKET_WRITE_MS_MAX);
    while let Some(message) = queue.recv().await {
        let is_close = matches!(message, Message::Close(_));
        let written = timeout(write_max, sink.send(message)).await;
        if is_close || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

struct Session {
    token: ShownToken,
    holder: Holder,
    caller: Caller,
    /// When the token is looked up again: one that has expired or was revoked ends the connection.
    recheck_at: Instant,
}

struct Connection<'a> {
    state: &'a Arc<WebState>,
    subscriptions: Subscriptions,
    outgoing: mpsc::Sender<Message>,
    from_header: Option<ShownToken>,
    /// What its client may quote to the operator.
    request_id: Option<RequestId>,
    session: Option<Session>,
    /// One of the token's connections, from when it is let in.
    place: Option<Permit>,
    unanswered_pings: u32,
}

impl Connection<'_> {
    async fn run(&mut self, frames: &mut futures::stream::SplitStream<WebSocket>) -> Closing {
        let init_until = Instant::now() + self.state.limits.websocket_init_max;
        let mut pings = ticks(self.state.limits.websocket_ping);
        let stopping = self.state.stopping.clone();
        let outgoing = self.outgoing.clone();
        loop {
            let recheck_at = self.session.as_ref().map_or(init_until, |session| session.recheck_at);
            let step = tokio::select! {
                frame = frames.next() => self.take(frame).await,
                () = sleep_until(init_until), if self.session.is_none() => Err(Closing::InitTimeout),
                _ = pings.tick() => self.ping(),
                () = sleep_until(recheck_at), if self.session.is_some() => self.recheck().await,
                () = stopping.cancelled() => Err(Closing::GoingAway),
                () = outgoing.closed() => Err(Closing::Normal),
            };
            if let Err(closing) = step {
                return closing;
            }
        }
    }

    async fn take(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Closing> {
        self.unanswered_pings = 0;
        match frame {
            // What starts an operation is read no further before it may, and there is room for what it becomes.
            Some(Ok(Message::Text(text))) => match protocol::operation_id(text.as_str()) {
                Some(id) => self.subscribe(id, text.as_str()).await,
                None => self.answer(Incoming::read(text.as_str())?).await,
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Binary(_))) => Err(Closing::BadMessage("messages are text frames".into())),
            Some(Ok(Message::Close(_))) | None => Err(Closing::Normal),
            Some(Err(error)) => Err(Closing::BadMessage(error.to_string())),
        }
    }

    async fn answer(&mut self, message: Incoming) -> Result<(), Closing> {
        match message {
            Incoming::Init(_) if self.session.is_some() => Err(Closing::TooManyInits),
            Incoming::Init(payload) => {
                let token = shown(&payload, self.from_header.clone()).map_err(forbidden)?;
                let session = self.session_of(token).await.map_err(forbidden)?;
                let place = self.state.shares.take(session.holder, Place::Connection);
                self.place = Some(place.map_err(|exceeded| Closing::TryAgainLater(exceeded.refusal().message))?);
                self.session = Some(session);
                self.send(protocol::ack(self.request_id.as_ref())).await
            }
            Incoming::Ping => self.send(protocol::pong()).await,
            Incoming::Pong => Ok(()),
            Incoming::Subscribe { .. } => Err(Closing::BadMessage("the message has a key twice".into())),
            Incoming::Complete { id } => {
                self.subscriptions.end(&id);
                Ok(())
            }
        }
    }

    /// Starts the operation of that id. A large one waits for its place, and what the client says next waits with it.
    async fn subscribe(&mut self, id: String, text: &str) -> Result<(), Closing> {
        let Some(session) = &self.session else { return Err(Closing::Unauthorized) };
        if self.subscriptions.contains(&id) {
            return Err(Closing::DuplicateId(id));
        }
        if self.subscriptions.count() >= self.state.limits.websocket_subscriptions_max {
            let message = "this connection runs as many operations as it may (websocket_subscriptions_max)";
            return self.send(protocol::refused(&id, &Refusal::new(RefusalCode::LimitExceeded, message))).await;
        }
        let place = match self.place_of_operation(session.holder) {
            Ok(place) => place,
            Err(exceeded) => return self.send(protocol::refused(&id, &exceeded.refusal())).await,
        };
        if let Err(refusal) = parse::check_values("the message", text.as_bytes()) {
            return self.send(protocol::refused(&id, &refusal)).await;
        }
        let large = tokio::select! {
            large = self.state.large_requests.place(text.len()) => large,
            () = self.state.stopping.cancelled() => return Err(Closing::GoingAway),
        };
        let large = match large {
            Ok(large) => large,
            Err(too_many) => {
                let refusal = Refusal::new(RefusalCode::Unavailable, too_many.to_string());
                return self.send(protocol::refused(&id, &refusal)).await;
            }
        };
        let Incoming::Subscribe { parameters, .. } = Incoming::read(text)? else {
            return Err(Closing::BadMessage("the message starts no operation".into()));
        };
        let request = match parse::from_parameters(parameters, &self.state.documents) {
            Ok(request) if self.state.introspection => request,
            Ok(request) => request.disable_introspection(),
            Err(refusal) => {
                // A client that is slow to hear of it keeps no place.
                drop(large);
                return self.send(protocol::refused(&id, &refusal)).await;
            }
        };
        let responses = operation::responses(self.state, session.caller.clone(), request, large);
        self.subscriptions.start(id, responses, place);
        Ok(())
    }

    /// Counts the request, and takes a place for as long as it runs.
    fn place_of_operation(&self, holder: Holder) -> Result<Permit, Exceeded> {
        self.state.shares.request(holder)?;
        self.state.shares.take(holder, Place::Subscription)
    }

    fn ping(&mut self) -> Result<(), Closing> {
        if self.session.is_none() {
            return Ok(());
        }
        self.unanswered_pings += 1;
        if self.unanswered_pings > limits::UNANSWERED_PINGS_MAX {
            return Err(Closing::Normal);
        }
        // A full queue means that the client is being written to: it is not quiet.
        let _ = self.outgoing.try_send(protocol::ping());
        Ok(())
    }

    async fn recheck(&mut self) -> Result<(), Closing> {
        let Some(session) = &mut self.session else { return Ok(()) };
        session.recheck_at = Instant::now() + self.state.limits.token_recheck;
        let token = session.token.clone();
        match self.session_of(token).await {
            Ok(session) => {
                self.session = Some(session);
                Ok(())
            }
            Err(error @ (AuthError::Store(_) | AuthError::Unavailable(_))) => {
                tracing::warn!(%error, "a token could not be looked up again");
                Ok(())
            }
            Err(error) => Err(forbidden(error)),
        }
    }

    async fn session_of(&self, token: ShownToken) -> Result<Session, AuthError> {
        let session = self.state.auth.session(&token).await?;
        let recheck_at = Instant::now() + self.state.auth.believed(&session);
        Ok(Session { token, holder: session.holder, caller: session.caller, recheck_at })
    }

    async fn send(&self, message: Message) -> Result<(), Closing> {
        self.outgoing.send(message).await.map_err(|_| Closing::Normal)
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The token of the init payload, or else the one of the upgrade's header.
fn shown(payload: &Map<String, Value>, from_header: Option<ShownToken>) -> Result<ShownToken, AuthError> {
    let named = payload.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    match named.map(|(_, value)| value) {
        Some(Value::String(text)) => ShownToken::read(Some(text)),
        Some(Value::Null) | None => from_header.ok_or(AuthError::Missing),
        Some(_) => Err(AuthError::Malformed),
    }
}

fn forbidden(error: AuthError) -> Closing {
    match error {
        AuthError::Store(_) | AuthError::Unavailable(_) => {
            Closing::Internal("the token could not be looked up: try again".into())
        }
        AuthError::Missing => Closing::Forbidden("put the authorization into the connection_init payload".into()),
        AuthError::Malformed | AuthError::Invalid => Closing::Forbidden(error.to_string()),
    }
}
