//! One connection, from `connection_init` to its close.

use super::protocol::{self, Closing, Incoming};
use super::subscriptions::Subscriptions;
use crate::answer_room::AnswerShare;
use crate::auth::{AuthError, Session, ShownToken};
use crate::documents::Documents;
use crate::http::{RequestId, WebState, answer, parse};
use crate::lasting::LastingSession;
use crate::limits;
use crate::operation;
use crate::shares::{Exceeded, Holder, Permit, Place};
use async_graphql::{Request, Response};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::future::OptionFuture;
use futures::stream::SplitStream;
use futures::{Sink, SinkExt, StreamExt};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

/// Serves one connection to its end. `held` is at first a place among the connections that are not acknowledged yet.
pub async fn serve(
    state: &Arc<WebState>,
    socket: WebSocket,
    from_header: Option<ShownToken>,
    request_id: Option<RequestId>,
    held: OwnedSemaphorePermit,
) {
    let speaks_ours = socket.protocol().is_some_and(|protocol| protocol == protocol::SUBPROTOCOL);
    let (sink, mut frames) = socket.split();
    let (outgoing, queue) = mpsc::channel(limits::OUTGOING_MESSAGES_MAX);
    let (close, closed) = oneshot::channel();
    let writer = AbortOnDropHandle::new(tokio::spawn(write(sink, queue, closed)));
    let (closing, held, is_acknowledged) = if speaks_ours {
        let mut connection = Connection {
            state,
            subscriptions: Subscriptions::new(outgoing.clone()),
            outgoing,
            from_header,
            request_id,
            session: None,
            held,
            place: None,
            unanswered_pings: 0,
        };
        let closing = connection.run(&mut frames).await;
        (closing, connection.held, connection.session.is_some())
    } else {
        (Closing::SubprotocolNotAcceptable, held, false)
    };
    tracing::debug!(?closing, "websocket connection ends");
    // The close does not go through the queue, which may be full. A writer that has ended has given the client up.
    let _ = close.send(closing.frame());
    if is_acknowledged {
        let _ = writer.await;
    } else {
        // A client that does not read its close keeps its place for no longer than it may take to begin.
        let _ = timeout(state.limits.websocket_init_max, writer).await;
    }
    drop(held);
}

/// Writes the messages of the queue and the close behind them, or else the close that answers the client's.
async fn write<S: Sink<Message> + Unpin>(
    mut sink: S,
    queue: mpsc::Receiver<Message>,
    closed: oneshot::Receiver<CloseFrame>,
) {
    if write_all(&mut sink, queue, closed).await == Err(Unwritten::Refused) {
        // The socket takes no message once its client has closed, and holds the answer to that close until it is
        // flushed.
        let _ = timeout(WRITE_MAX, sink.flush()).await;
    }
}

/// Writes the messages of the queue until it is told how the connection closes. Then the queue takes no more, and the
/// close follows its last message. The writing ends earlier when a message cannot be written.
async fn write_all<S: Sink<Message> + Unpin>(
    sink: &mut S,
    mut queue: mpsc::Receiver<Message>,
    mut closed: oneshot::Receiver<CloseFrame>,
) -> Result<(), Unwritten> {
    let close = loop {
        tokio::select! {
            close = &mut closed => break close,
            Some(message) = queue.recv() => write_one(sink, message).await?,
        }
    };
    queue.close();
    while let Some(message) = queue.recv().await {
        write_one(sink, message).await?;
    }
    match close {
        Ok(frame) => write_one(sink, Message::Close(Some(frame))).await,
        Err(_) => Ok(()),
    }
}

/// So long may a client take for a message.
const WRITE_MAX: Duration = Duration::from_millis(limits::WEBSOCKET_WRITE_MS_MAX);

/// Why a message is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unwritten {
    /// The socket takes no more messages: the client has closed it, or is gone.
    Refused,
    /// The client does not take it in time.
    TooSlow,
}

async fn write_one<S: Sink<Message> + Unpin>(sink: &mut S, message: Message) -> Result<(), Unwritten> {
    // A message is copied as it is sent: the clone keeps the room of a large one until it is written.
    let is_large = matches!(&message, Message::Text(text) if text.len() > limits::ANSWER_SMALL_BYTES_MAX);
    let _room = is_large.then(|| message.clone());
    match timeout(WRITE_MAX, sink.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Unwritten::Refused),
        Err(_) => Err(Unwritten::TooSlow),
    }
}

struct Connection<'a> {
    state: &'a Arc<WebState>,
    subscriptions: Subscriptions,
    outgoing: mpsc::Sender<Message>,
    from_header: Option<ShownToken>,
    /// The id that the client may quote to the operator.
    request_id: Option<RequestId>,
    /// The session, once the client is let in. A token that has expired or was revoked ends the connection.
    session: Option<LastingSession>,
    /// A place among the connections that are not acknowledged, and among all once the client is let in.
    held: OwnedSemaphorePermit,
    /// A place among the token's connections, once the client is let in.
    place: Option<Permit>,
    unanswered_pings: u32,
}

impl Connection<'_> {
    async fn run(&mut self, frames: &mut SplitStream<WebSocket>) -> Closing {
        let init_until = Instant::now() + self.state.limits.websocket_init_max;
        let stopping = self.state.stopping.clone();
        let outgoing = self.outgoing.clone();
        // A place among those that are not acknowledged is held no longer, whether the connection waits for its client
        // or for the look-up of its token.
        let begun = tokio::select! {
            begun = timeout_at(init_until, self.begin(frames)) => begun.unwrap_or(Err(Closing::InitTimeout)),
            () = stopping.cancelled() => Err(Closing::GoingAway),
            () = outgoing.closed() => Err(Closing::Normal),
        };
        if let Err(closing) = begun {
            return closing;
        }
        // A look-up is a task of its own: one that hangs does not make the connection deaf, and a connection that waits
        // for its client does not keep it from giving back what it holds of the database.
        let mut look_up: Option<AbortOnDropHandle<Result<Session, AuthError>>> = None;
        let mut pings = ticks(self.state.limits.websocket_ping);
        loop {
            let recheck_at = self.session.as_ref().map_or(init_until, |session| session.recheck_at);
            let step = tokio::select! {
                frame = frames.next() => self.take(frame).await,
                _ = pings.tick() => self.ping(),
                () = sleep_until(recheck_at), if look_up.is_none() => {
                    look_up = self.session.as_ref().map(|session| {
                        let (state, look_up) = (self.state.clone(), session.look_up(&self.state.auth));
                        AbortOnDropHandle::new(tokio::spawn(async move { look_up.run(&state.auth).await }))
                    });
                    Ok(())
                }
                Some(found) = OptionFuture::from(look_up.as_mut()) => {
                    look_up = None;
                    self.looked_up(found.unwrap_or_else(|error| Err(ended_early(&error))))
                }
                () = stopping.cancelled() => Err(Closing::GoingAway),
                () = outgoing.closed() => Err(Closing::Normal),
            };
            if let Err(closing) = step {
                return closing;
            }
        }
    }

    /// Takes the client's messages until the connection is acknowledged.
    async fn begin(&mut self, frames: &mut SplitStream<WebSocket>) -> Result<(), Closing> {
        while self.session.is_none() {
            let frame = frames.next().await;
            self.take(frame).await?;
        }
        Ok(())
    }

    async fn take(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Closing> {
        self.unanswered_pings = 0;
        match frame {
            Some(Ok(Message::Text(text)))
                if self.session.is_none() && text.as_str().len() > limits::UNACKNOWLEDGED_MESSAGE_BYTES_MAX =>
            {
                Err(Closing::BadMessage(format!(
                    "before connection_ack a message has {} bytes at most",
                    limits::UNACKNOWLEDGED_MESSAGE_BYTES_MAX
                )))
            }
            // A message that starts an operation is read no further before it may start, and there is room for it.
            Some(Ok(Message::Text(text))) => match protocol::operation_id(text.as_str()) {
                Some(id) => self.subscribe(id, text.as_str()).await,
                None => {
                    let message = Incoming::read(text.as_str())?;
                    // Answering may wait, and does not need the text any more.
                    drop(text);
                    self.answer(message).await
                }
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
                let token = shown(payload, self.from_header.take()).map_err(forbidden)?;
                let session = self.state.auth.session(&token).await.map_err(|error| {
                    self.state.refused(answer::auth_refusal(&error).code);
                    forbidden(error)
                })?;
                let Ok(held) = self.state.connections.clone().try_acquire_owned() else {
                    let message = "there are as many connections as there may be (websocket_connections_max)";
                    return Err(Closing::TryAgainLater(message.to_owned()));
                };
                self.held = held;
                let place = self.state.shares.take(session.holder, Place::Connection);
                self.place = Some(place.map_err(|exceeded| Closing::TryAgainLater(exceeded.refusal().message))?);
                self.session = Some(LastingSession::new(&self.state.auth, token, session));
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

    /// Starts the operation of that id. A large operation waits for its place, and the client's next messages wait with
    /// it.
    async fn subscribe(&mut self, id: String, text: &str) -> Result<(), Closing> {
        let Some(LastingSession { session, .. }) = &self.session else { return Err(Closing::Unauthorized) };
        if self.subscriptions.contains(&id) {
            return Err(Closing::DuplicateId(id));
        }
        if self.subscriptions.count() >= self.state.limits.websocket_subscriptions_max {
            let message = "this connection runs as many operations as it may (websocket_subscriptions_max)";
            return self.refuse(&id, &Refusal::new(RefusalCode::LimitExceeded, message)).await;
        }
        let place = match self.place_of_operation(session.holder) {
            Ok(place) => place,
            Err(exceeded) => return self.refuse(&id, &exceeded.refusal()).await,
        };
        if let Err(refusal) = parse::check_values("the message", text.as_bytes()) {
            return self.refuse(&id, &refusal).await;
        }
        let read = || operation_of(text, &self.state.documents);
        let is_known = |request: &Request| self.state.endpoints.management.is_known(request);
        let read = tokio::select! {
            read = self.state.large_requests.read(session.holder, text.len(), read, is_known) => read,
            () = self.state.stopping.cancelled() => return Err(Closing::GoingAway),
        };
        let (request, large) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(NoOperation::Message(closing))) => return Err(closing),
            // The operation's place is free again: a client that is slow to read the refusal keeps none.
            Ok(Err(NoOperation::Operation(refusal))) => return self.refuse(&id, &refusal).await,
            Err(too_many) => {
                let refusal = Refusal::new(RefusalCode::Unavailable, too_many.to_string());
                return self.refuse(&id, &refusal).await;
            }
        };
        let request = if self.state.introspection { request } else { request.disable_introspection() };
        let (of, state) = (id.clone(), self.state.clone());
        let written = move |response: Response, room: &AnswerShare| written(&state, room, &of, response);
        let responses = operation::responses(self.state, session.caller.clone(), request, large, written);
        self.subscriptions.start(id, responses, place);
        Ok(())
    }

    /// Refuses an operation before it begins.
    async fn refuse(&self, id: &str, refusal: &Refusal) -> Result<(), Closing> {
        self.state.refused(refusal.code);
        self.send(protocol::refused(id, refusal)).await
    }

    /// Counts the request, and takes a place for as long as the operation runs.
    fn place_of_operation(&self, holder: Holder) -> Result<Permit, Exceeded> {
        self.state.shares.request(holder)?;
        self.state.shares.take(holder, Place::Subscription)
    }

    fn ping(&mut self) -> Result<(), Closing> {
        self.unanswered_pings += 1;
        if self.unanswered_pings > limits::UNANSWERED_PINGS_MAX {
            return Err(Closing::Normal);
        }
        // A full queue means that the client is being written to: it is not quiet.
        let _ = self.outgoing.try_send(protocol::ping());
        Ok(())
    }

    fn looked_up(&mut self, found: Result<Session, AuthError>) -> Result<(), Closing> {
        let Some(session) = &mut self.session else { return Ok(()) };
        session.looked_up(&self.state.auth, found).map_err(forbidden)
    }

    async fn send(&self, message: Message) -> Result<(), Closing> {
        self.outgoing.send(message).await.map_err(|_| Closing::Normal)
    }
}

fn ended_early(error: &tokio::task::JoinError) -> AuthError {
    AuthError::Store(StoreError::Failed(format!("the look-up of a token ended early: {error}")))
}

/// Why a message starts no operation.
enum NoOperation {
    /// The message is of another kind: the connection ends.
    Message(Closing),
    /// The operation is refused.
    Operation(Refusal),
}

fn operation_of(text: &str, documents: &Documents) -> Result<Request, NoOperation> {
    let Incoming::Subscribe { parameters, .. } = Incoming::read(text).map_err(NoOperation::Message)? else {
        return Err(NoOperation::Message(Closing::BadMessage("the message starts no operation".into())));
    };
    parse::from_parameters(parameters, documents).map_err(NoOperation::Operation)
}

/// The message of an answer, which keeps its room until it is written, and whether it ends the operation, as it does
/// where there is no room for it. An answer by which the server says that it could not do what it was asked is counted.
fn written(state: &WebState, room: &AnswerShare, id: &str, response: Response) -> (Message, bool) {
    let refused = answer::refused_code(&response);
    let (message, is_end) = protocol::response(id, response);
    match room.hold_message(message) {
        Ok(message) => {
            if let Some(code) = refused {
                state.refused(code);
            }
            (message, is_end)
        }
        Err(no_room) => {
            let refusal = Refusal::from(no_room);
            state.refused(refusal.code);
            (protocol::refused(id, &refusal), true)
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The token of the init payload, or else the token of the upgrade's header. The rest of the payload is not kept while
/// the token is looked up.
fn shown(payload: Map<String, Value>, from_header: Option<ShownToken>) -> Result<ShownToken, AuthError> {
    let named = payload.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    match named.map(|(_, value)| value) {
        Some(Value::String(text)) => ShownToken::read(Some(text)),
        Some(Value::Null) | None => from_header.ok_or(AuthError::Missing),
        Some(_) => Err(AuthError::Malformed),
    }
}

fn forbidden(error: AuthError) -> Closing {
    match &error {
        AuthError::Store(error) if !error.is_retryable() => {
            Closing::Internal("the token could not be looked up".into())
        }
        AuthError::Store(_) | AuthError::Unavailable(_) => {
            Closing::TryAgainLater("the token could not be looked up: try again".into())
        }
        AuthError::Missing => Closing::Forbidden("put the authorization into the connection_init payload".into()),
        AuthError::Malformed | AuthError::Invalid => Closing::Forbidden(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that reads slowly fills the queue. An operation that has not heard yet of its end keeps the queue open.
    #[tokio::test]
    async fn a_connection_whose_queue_is_full_closes_with_its_code_after_what_is_queued() {
        let (sink, client) = futures::channel::mpsc::channel(0);
        let (outgoing, queue) = mpsc::channel(2);
        for text in ["first", "second"] {
            outgoing.try_send(Message::text(text)).unwrap();
        }
        assert!(outgoing.try_send(Message::text("third")).is_err());
        let (close, closed) = oneshot::channel();
        close.send(Closing::GoingAway.frame()).unwrap();
        let writer = tokio::spawn(write(sink, queue, closed));
        let read: Vec<Message> = client.collect().await;
        let told = Message::Close(Some(Closing::GoingAway.frame()));
        assert_eq!(read, [Message::text("first"), Message::text("second"), told]);
        assert!(outgoing.is_closed());
        writer.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (sink, _client) = futures::channel::mpsc::channel(0);
        let (outgoing, queue) = mpsc::channel(2);
        outgoing.try_send(Message::text("first")).unwrap();
        let (_close, closed) = oneshot::channel();
        let begin = Instant::now();
        write(sink, queue, closed).await;
        assert!(begin.elapsed() >= Duration::from_millis(limits::WEBSOCKET_WRITE_MS_MAX));
    }
}
