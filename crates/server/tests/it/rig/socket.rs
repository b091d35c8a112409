//! A client of graphql-transport-ws that says and hears single messages.

use super::{PATIENCE, Rig, TOKEN, within};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub async fn open(rig: &Rig, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let mut request = format!("ws://{}/graphql", rig.address).into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

pub const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

pub async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

pub async fn hear(socket: &mut Socket) -> Value {
    match within(PATIENCE, "a message over a WebSocket connection", socket.next()).await.unwrap().unwrap() {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        Message::Close(Some(frame)) => json!({ "close": u16::from(frame.code), "reason": frame.reason.as_str() }),
        other => panic!("{other:?}"),
    }
}

/// The close, whatever messages come before it.
pub async fn hear_close(socket: &mut Socket) -> Value {
    let closed = async {
        loop {
            let heard = hear(socket).await;
            if heard.get("close").is_some() {
                return heard;
            }
        }
    };
    within(PATIENCE, "the close of a WebSocket connection", closed).await
}

/// Hears answers until the operation ends.
pub async fn hear_answers(socket: &mut Socket) {
    let heard = async { while hear(socket).await["type"] == "next" {} };
    within(PATIENCE, "the end of an operation", heard).await;
}

pub async fn initialised(rig: &Rig) -> Socket {
    let mut socket = open(rig, &[PROTOCOL]).await.unwrap();
    say(&mut socket, json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {TOKEN}") } }))
        .await;
    let ack = hear(&mut socket).await;
    assert_eq!(ack["type"], "connection_ack");
    assert_eq!(ack["payload"]["requestId"].as_str().map(str::len), Some(36), "an id to quote to the operator");
    socket
}

pub fn subscribe(id: &str, query: &str) -> Value {
    json!({ "id": id, "type": "subscribe", "payload": { "query": query } })
}
