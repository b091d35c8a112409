//! The protocol's messages and close codes.

use crate::endpoint::is_request_error;
use crate::http::{RequestId, answer, parse};
use crate::limits;
use axum::extract::ws::{CloseFrame, Message};
use hookgraph_domain::refusal::Refusal;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};
use std::fmt;

/// The only subprotocol that is spoken.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// 1000: the client goes.
    Normal,
    /// 1001: the server stops.
    GoingAway,
    /// 1013: the token, or all tokens together, have as many connections as they may, or the token could not be looked
    /// up. Clients take the code for something that passes, other than 4429 and 4500.
    TryAgainLater(String),
    /// 4400: a message that the protocol does not know.
    BadMessage(String),
    /// 4401: an operation before the connection was acknowledged.
    Unauthorized,
    /// 4403: no valid token.
    Forbidden(String),
    /// 4406: another subprotocol.
    SubprotocolNotAcceptable,
    /// 4408: no `connection_init` in time.
    InitTimeout,
    /// 4409: an operation of that id is running.
    DuplicateId(String),
    /// 4429: a second `connection_init`.
    TooManyInits,
    /// 4500: the server failed.
    Internal(String),
}

impl Closing {
    /// The frame that tells the client.
    pub fn frame(&self) -> CloseFrame {
        let (code, reason) = match self {
            Closing::Normal => (1000, String::new()),
            Closing::GoingAway => (1001, "the server stops".into()),
            Closing::TryAgainLater(reason) => (1013, reason.clone()),
            Closing::BadMessage(reason) => (4400, reason.clone()),
            Closing::Unauthorized => (4401, "Unauthorized".into()),
            Closing::Forbidden(reason) => (4403, format!("Forbidden: {reason}")),
            Closing::SubprotocolNotAcceptable => (4406, "Subprotocol not acceptable".into()),
            Closing::InitTimeout => (4408, "Connection initialisation timeout".into()),
            Closing::DuplicateId(id) => (4409, format!("Subscriber for {id} already exists")),
            Closing::TooManyInits => (4429, "Too many initialisation requests".into()),
            Closing::Internal(reason) => (4500, reason.clone()),
        };
        CloseFrame { code, reason: cut(reason).into() }
    }
}

fn cut(mut reason: String) -> String {
    let end = (0..=limits::CLOSE_REASON_BYTES_MAX.min(reason.len())).rev().find(|at| reason.is_char_boundary(*at));
    reason.truncate(end.unwrap_or(0));
    reason
}

/// A message of the client.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// `connection_init`, with its payload.
    Init(Map<String, Value>),
    /// `ping`.
    Ping,
    /// `pong`.
    Pong,
    /// `subscribe`.
    Subscribe {
        /// The operation's id.
        id: String,
        /// The request's parameters.
        parameters: Map<String, Value>,
    },
    /// `complete`: the client wants no more of the operation.
    Complete {
        /// The operation's id.
        id: String,
    },
}

impl Incoming {
    /// Reads a text frame.
    ///
    /// # Errors
    /// [`Closing::BadMessage`], which names what is wrong.
    pub fn read(text: &str) -> Result<Self, Closing> {
        let bad = |reason: &str| Closing::BadMessage(reason.to_owned());
        parse::check_values("the message", text.as_bytes()).map_err(|refusal| bad(&refusal.message))?;
        if let Some(beat) = heartbeat(text) {
            return Ok(beat);
        }
        let message: Value = serde_json::from_str(text).map_err(|_| bad("the message is not well-formed JSON"))?;
        let Value::Object(mut message) = message else { return Err(bad("the message is not a JSON object")) };
        let payload = |message: &mut Map<String, Value>| match message.remove("payload") {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(payload)) => Ok(payload),
            Some(_) => Err(bad("the message's payload is not an object")),
        };
        let id = |message: &mut Map<String, Value>| match message.remove("id") {
            Some(Value::String(id)) if is_id(&id) => Ok(id),
            _ => Err(bad("the message's id is not a text of 1 to 256 bytes")),
        };
        match message.remove("type").as_ref().and_then(Value::as_str) {
            Some("connection_init") => payload(&mut message).map(Incoming::Init),
            Some("ping" | "pong") => payload(&mut message).and(Err(bad("the message has a key twice"))),
            Some("subscribe") => {
                let (id, parameters) = (id(&mut message)?, payload(&mut message)?);
                wrong_parameter(&parameters).map_or(Ok(Incoming::Subscribe { id, parameters }), |wrong| Err(bad(wrong)))
            }
            Some("complete") => id(&mut message).map(|id| Incoming::Complete { id }),
            Some(_) => Err(bad("the message's type is not one of a client's")),
            None => Err(bad("the message has no type")),
        }
    }
}

/// A ping or pong, read without making values of its payload, which is not echoed. [`Incoming::read`] tells the fault
/// of other messages.
fn heartbeat(text: &str) -> Option<Incoming> {
    #[derive(Deserialize)]
    struct Heartbeat {
        r#type: String,
        #[serde(rename = "payload")]
        _payload: Option<PassedOver>,
    }
    let heartbeat: Heartbeat = serde_json::from_str(text).ok()?;
    match heartbeat.r#type.as_str() {
        "ping" => Some(Incoming::Ping),
        "pong" => Some(Incoming::Pong),
        _ => None,
    }
}

/// An object of which no value is made.
struct PassedOver;

impl<'de> Deserialize<'de> for PassedOver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = PassedOver;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<PassedOver, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(PassedOver)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The id of the operation that a text frame starts, read without making values of its payload. Other messages have
/// none, and neither have faulty ones: [`Incoming::read`] tells their fault.
pub fn operation_id(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Head {
        r#type: String,
        id: String,
    }
    let head: Head = serde_json::from_str(text).ok()?;
    (head.r#type == "subscribe" && is_id(&head.id)).then_some(head.id)
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= limits::OPERATION_ID_BYTES_MAX
}

/// The fault in the payload of a `subscribe`, by the protocol's form. A document may be named instead of sent.
fn wrong_parameter(parameters: &Map<String, Value>) -> Option<&'static str> {
    let is =
        |name: &str, fits: fn(&Value) -> bool| parameters.get(name).is_none_or(|value| value.is_null() || fits(value));
    let is_given = |name: &str| parameters.get(name).is_some_and(|value| !value.is_null());
    let is_asked = ["query", "documentId", "extensions"].into_iter().any(is_given);
    let checks = [
        (is_asked, "the payload has no query"),
        (is("query", Value::is_string), "the payload's query is not a text"),
        (is("operationName", Value::is_string), "the payload's operationName is not a text"),
        (is("variables", Value::is_object), "the payload's variables are not an object"),
        (is("extensions", Value::is_object), "the payload's extensions are not an object"),
    ];
    checks.into_iter().find(|(fits, _)| !fits).map(|(_, wrong)| wrong)
}

/// `connection_ack`, with the id of the request from which the connection came, whose headers a client of WebSockets
/// does not see.
pub fn ack(request_id: Option<&RequestId>) -> Message {
    let id = request_id.and_then(|id| id.0.to_str().ok());
    match id {
        Some(id) => text(&json!({ "type": "connection_ack", "payload": { "requestId": id } })),
        None => text(&json!({ "type": "connection_ack" })),
    }
}

/// `ping`.
pub fn ping() -> Message {
    text(&json!({ "type": "ping" }))
}

/// `pong`.
pub fn pong() -> Message {
    text(&json!({ "type": "pong" }))
}

/// `complete`.
pub fn complete(id: &str) -> Message {
    text(&json!({ "id": id, "type": "complete" }))
}

/// `error`, with a refusal.
pub fn refused(id: &str, refusal: &Refusal) -> Message {
    text(&json!({ "id": id, "type": "error", "payload": [answer::error_json(refusal)] }))
}

/// `next`, or `error` for a request error, which ends the operation; the flag tells whether it does.
pub fn response(id: &str, response: async_graphql::Response) -> (Message, bool) {
    let response = answer::bounded(response);
    if is_request_error(&response) {
        return (text(&json!({ "id": id, "type": "error", "payload": response.errors })), true);
    }
    (text(&json!({ "id": id, "type": "next", "payload": response })), false)
}

fn text(message: &Value) -> Message {
    Message::Text(message.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_told_by_its_id_alone_and_what_is_no_operation_has_none() {
        let long = format!(r#"{{"id":"{}","type":"subscribe"}}"#, "x".repeat(limits::OPERATION_ID_BYTES_MAX + 1));
        for (text, id) in [
            (r#"{"id":"a","type":"subscribe","payload":{"query":"{ hello }"}}"#, Some("a")),
            (r#"{"payload":[{"id":"b","type":"ping"}],"type":"subscribe","\u0069d":"a"}"#, Some("a")),
            (r#"{"id":"a","type":"subscribe","payload":{"query":"{ hello }"}"#, None),
            (r#"{"id":"a","type":"complete"}"#, None),
            (r#"{"id":"","type":"subscribe","payload":{"query":"{ hello }"}}"#, None),
            (r#"{"id":1,"type":"subscribe","payload":{"query":"{ hello }"}}"#, None),
            (r#"{"type":"ping"}"#, None),
            (r#"{"id":"a","id":"b","type":"subscribe","payload":{"query":"{ hello }"}}"#, None),
            (long.as_str(), None),
        ] {
            assert_eq!(operation_id(text).as_deref(), id, "{text}");
        }
    }

    #[test]
    fn nothing_is_made_of_the_payload_of_a_ping_or_pong() {
        // The payload is too deep to be made a value.
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
        for payload in [deep.as_str(), "{}", "null"] {
            for (kind, expected) in [("ping", Incoming::Ping), ("pong", Incoming::Pong)] {
                let text = format!(r#"{{"type":"{kind}","payload":{payload}}}"#);
                assert_eq!(Incoming::read(&text), Ok(expected.clone()), "{text}");
                assert_eq!(Incoming::read(&format!(r#"{{"type":"{kind}"}}"#)), Ok(expected));
            }
        }
        for payload in ["1", "[]", "\"text\"", "{},\"payload\":{}", "{"] {
            let text = format!(r#"{{"type":"ping","payload":{payload}}}"#);
            assert!(matches!(Incoming::read(&text), Err(Closing::BadMessage(_))), "{text}");
        }
    }
}
