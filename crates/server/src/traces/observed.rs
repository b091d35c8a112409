//! The transport as the dispatcher knows it, with a span for each attempt: the one that its `traceparent` names.

use super::{Traces, ids::with_ids, parent};
use async_trait::async_trait;
use hookgraph_domain::attempt::{Exchange, OutcomeCode, OutgoingRequest};
use hookgraph_domain::ports::Transport;
use hookgraph_domain::tls::TlsSettings;
use hookgraph_domain::trace::{TRACEPARENT_HEADER, TraceContext};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, SpanKind, Status, Tracer};
use opentelemetry_sdk::trace::Span as SdkSpan;
use std::sync::Arc;
use url::Url;

/// A transport whose attempts are traced.
pub struct ObservedTransport {
    /// The transport.
    pub transport: Arc<dyn Transport>,
    /// Where spans go.
    pub traces: Arc<Traces>,
}

impl ObservedTransport {
    /// The span of a request of ours. The URL's path and parameters may bear secrets: the host alone is told.
    fn span(&self, request: &OutgoingRequest) -> Option<SdkSpan> {
        let header = |name: &str| request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let attempt = TraceContext::parse(header(TRACEPARENT_HEADER)?)?;
        let mut attributes = vec![KeyValue::new("http.request.method", request.method.clone())];
        if let Some(host) = Url::parse(&request.url).ok().and_then(|url| url.host_str().map(str::to_owned)) {
            attributes.push(KeyValue::new("server.address", host));
        }
        attributes.extend(header("webhook-id").map(|id| KeyValue::new("hookgraph.delivery.id", id.clone())));
        let tracer = &self.traces.tracer;
        let builder = tracer.span_builder("attempt").with_kind(SpanKind::Client).with_attributes(attributes);
        let event = parent(TraceContext::of_event(attempt.event_id()));
        Some(with_ids(attempt, || builder.start_with_context(tracer, &event)))
    }
}

#[async_trait]
impl Transport for ObservedTransport {
    async fn send(&self, request: &OutgoingRequest, timeout_ms: u32) -> Exchange {
        self.send_under(request, timeout_ms, None).await
    }

    async fn send_under(&self, request: &OutgoingRequest, timeout_ms: u32, tls: Option<&TlsSettings>) -> Exchange {
        let span = self.span(request);
        let exchange = self.transport.send_under(request, timeout_ms, tls).await;
        if let Some(mut span) = span {
            span.set_attribute(KeyValue::new("hookgraph.outcome", exchange.code.as_str()));
            if let Some(head) = &exchange.response {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(head.status)));
            }
            if exchange.code != OutcomeCode::Delivered {
                span.set_status(Status::error(exchange.code.as_str()));
            }
            span.end();
        }
        exchange
    }
}
