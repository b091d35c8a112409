//! Request ids: every request has one, in its answer and in every log line that it causes.

use super::WebState;
use super::answer::Refused;
use crate::{limits, traces};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use hookgraph_domain::ports::{Clock, Entropy};
use hookgraph_domain::trace::{TRACEPARENT_HEADER, TraceContext};
use std::sync::Arc;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes request ids.
pub struct RequestIds {
    /// The time of the ids.
    pub clock: Arc<dyn Clock>,
    /// The randomness of the ids.
    pub entropy: Arc<dyn Entropy>,
}

/// The id of a request, for protocols that show it later than in the answer's head.
#[derive(Clone, Debug)]
pub struct RequestId(pub HeaderValue);

/// Gives the request an id: the caller's own, where it sent a plain one.
pub async fn identify(State(state): State<Arc<WebState>>, mut request: Request, next: Next) -> Response {
    let sent = request.headers().get(&X_REQUEST_ID).filter(|id| {
        !id.is_empty() && id.len() <= limits::REQUEST_ID_BYTES_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    let id = sent.cloned().unwrap_or_else(|| {
        let ids = &state.request_ids;
        HeaderValue::from_str(&ids.entropy.uuid(ids.clock.now()).to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("-"))
    });
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
    );
    // Where no traces are sent the parent is refused, which is as good.
    let _ = callers_trace(&request).map(|caller| span.set_parent(traces::parent(caller)));
    let mut answer = async {
        let answer = next.run(request).await;
        tracing::debug!(status = answer.status().as_u16(), "answered");
        // The answer to a panic passes here as well.
        if let Some(Refused(code)) = answer.extensions().get::<Refused>() {
            state.refused(*code);
        }
        answer
    }
    .instrument(span)
    .await;
    answer.headers_mut().insert(X_REQUEST_ID.clone(), id);
    answer
}

/// The trace that the caller is in.
fn callers_trace(request: &Request) -> Option<TraceContext> {
    TraceContext::parse(request.headers().get(TRACEPARENT_HEADER)?.to_str().ok()?)
}
