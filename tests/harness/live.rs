//! Subscriptions over graphql-transport-ws, by which tests wait for the server without sleeping.

use super::{Api, PATIENCE};
use anyhow::{Context, bail};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Whether a delivery in that state has ended.
pub fn is_final(state: &Value) -> bool {
    ["DELIVERED", "FAILED", "RENDER_FAILED", "CANCELLED", "EXPIRED"].iter().any(|final_state| state == final_state)
}

/// A subscription on a connection of its own.
pub struct Live {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Live {
    /// Connects and subscribes.
    pub async fn subscribe(api: &Api, query: &str, variables: Value) -> anyhow::Result<Self> {
        let url = format!("{}/graphql", api.base_url.replacen("http", "ws", 1));
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse()?);
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        let mut live = Self { socket };
        let authorization = format!("Bearer {}", api.token);
        live.send(json!({ "type": "connection_init", "payload": { "authorization": authorization } })).await?;
        let acknowledged = live.receive().await?;
        anyhow::ensure!(acknowledged["type"] == "connection_ack", "instead of an acknowledgement: {acknowledged}");
        let payload = json!({ "query": query, "variables": variables });
        live.send(json!({ "id": "1", "type": "subscribe", "payload": payload })).await?;
        Ok(live)
    }

    /// Follows every change of every delivery after a cursor.
    pub async fn deliveries(api: &Api, after: &str) -> anyhow::Result<Self> {
        let query = "subscription($after: String) { deliveryUpdated(after: $after) {
            cursor state attemptCount delivery { id state isTest webhook { id } event { id concern event } } } }";
        Self::subscribe(api, query, json!({ "after": after })).await
    }

    /// The `data` of the next result.
    pub async fn next(&mut self) -> anyhow::Result<Value> {
        let mut message = self.receive().await?;
        if message["type"] != "next" || message["payload"].get("errors").is_some() {
            bail!("instead of a result: {message}");
        }
        Ok(message["payload"]["data"].take())
    }

    /// The error of the first answer, where that is an error.
    pub async fn refused(&mut self) -> anyhow::Result<Option<Value>> {
        let mut message = self.receive().await?;
        let errors =
            if message["type"] == "error" { &mut message["payload"] } else { &mut message["payload"]["errors"] };
        Ok(errors.get_mut(0).map(Value::take))
    }

    /// Follows deliveries until `count` of them have come to a final state; answers those updates.
    pub async fn finished(&mut self, count: usize) -> anyhow::Result<Vec<Value>> {
        let mut finished = Vec::new();
        while finished.len() < count {
            let mut data = self.next().await.with_context(|| format!("after {finished:#?}"))?;
            let update = data["deliveryUpdated"].take();
            if is_final(&update["state"]) {
                finished.push(update);
            }
        }
        Ok(finished)
    }

    async fn send(&mut self, message: Value) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    async fn receive(&mut self) -> anyhow::Result<Value> {
        tokio::time::timeout(PATIENCE, self.receive_patiently()).await.context("nothing came")?
    }

    async fn receive_patiently(&mut self) -> anyhow::Result<Value> {
        loop {
            match self.socket.next().await.context("the connection ended")?? {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text)?;
                    if message["type"] == "ping" {
                        self.send(json!({ "type": "pong" })).await?;
                        continue;
                    }
                    return Ok(message);
                }
                Message::Close(frame) => bail!("the server closed: {frame:?}"),
                _ => {}
            }
        }
    }
}
