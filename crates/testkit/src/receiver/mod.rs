//! A receiver under control: a real HTTP server on 127.0.0.1 that keeps the requests that it gets and answers by
//! script.

mod signatures;

pub use signatures::{JwtClaims, SignatureError, jwt_claims, standard_webhook};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// The method in upper case.
    pub method: String,
    /// Path and query, as sent.
    pub uri: String,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    /// The raw body.
    pub body: Vec<u8>,
}

impl ReceivedRequest {
    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is no UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

/// An answer of the receiver.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    gate: Option<Gate>,
}

impl Answer {
    /// An answer of that status with an empty body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), gate: None }
    }

    /// The answer with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The answer with that body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The answer, given only once the test opens the gate; the request is recorded at once.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }
}

/// Holds answers back until the test opens it, for good.
#[derive(Clone, Debug)]
pub struct Gate(tokio::sync::watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(tokio::sync::watch::Sender::new(false))
    }

    /// Lets all answers through from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(&self) {
        let mut state = self.0.subscribe();
        // `self` holds a sender, so the channel stays open while this waits.
        let _ = state.wait_for(|is_open| *is_open).await;
    }
}

struct Inner {
    requests: Mutex<Vec<ReceivedRequest>>,
    script: Mutex<VecDeque<Answer>>,
    arrived: Notify,
}

/// A receiver on a free port; dropping it ends it.
pub struct ScriptedReceiver {
    address: SocketAddr,
    inner: Arc<Inner>,
    stop: Option<oneshot::Sender<()>>,
}

impl ScriptedReceiver {
    /// Listens, and answers 200 to everything.
    ///
    /// # Panics
    /// When there is no port to listen on.
    pub async fn start() -> Self {
        let inner = Arc::new(Inner { requests: Mutex::default(), script: Mutex::default(), arrived: Notify::new() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let app = Router::new().fallback(receive).with_state(inner.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, app) => {}
                _ = stopped => {}
            }
        });
        Self { address, inner, stop: Some(stop) }
    }

    /// The receiver's URL with that path, e.g. `/hook`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The address on which the receiver listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Appends an answer to the script, of which each request takes one in order. Once the script has ended the
    /// receiver answers 200.
    pub fn answer_next(&self, answer: Answer) {
        self.inner.script.lock().push_back(answer);
    }

    /// All requests so far, in the order in which their bodies had arrived.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.inner.requests.lock().clone()
    }

    /// Waits until `request_count` requests have arrived, and returns all of them. A test that may wait in vain puts
    /// its own limit on it.
    pub async fn wait_for(&self, request_count: usize) -> Vec<ReceivedRequest> {
        loop {
            let arrived = self.inner.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let requests = self.requests();
            if requests.len() >= request_count {
                return requests;
            }
            arrived.await;
        }
    }
}

impl Drop for ScriptedReceiver {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended already.
            let _ = stop.send(());
        }
    }
}

async fn receive(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.map(|bytes| bytes.to_vec()).unwrap_or_default();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let received = ReceivedRequest {
        method: parts.method.as_str().to_owned(),
        uri: parts.uri.to_string(),
        headers: headers.collect(),
        body,
    };
    let scripted = inner.script.lock().pop_front();
    let answer = scripted.unwrap_or_else(|| Answer::status(200));
    inner.requests.lock().push(received);
    inner.arrived.notify_waiters();
    if let Some(gate) = &answer.gate {
        gate.passed().await;
    }
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).expect("the script's answer is valid HTTP")
}
