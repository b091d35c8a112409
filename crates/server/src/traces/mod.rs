//! Traces over OTLP: one per event, from its recording to every attempt, on whichever process.
//!
//! Ids are derived from the event's (`domain::trace`), so a span's parent is known without being stored anywhere.

mod collector;
mod ids;
mod observed;

pub use observed::ObservedTransport;

use crate::limits::TRACES_FLUSH_MS_MAX;
use anyhow::Context as _;
use collector::Collector;
use hookgraph_domain::ids::EventId;
use hookgraph_domain::ports::Entropy;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::trace::TraceContext;
use ids::{EventIds, ShareOfTraces, with_ids};
use opentelemetry::trace::{
    Link, Span, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Makes spans and sends them in batches, from a thread of its own; what does not fit its queue is dropped.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Sends to the collector at that address, e.g. `http://127.0.0.1:4318`. Called within the runtime.
    ///
    /// # Errors
    /// An address that cannot be one.
    pub fn start(endpoint: &str, sample_percent: u32, entropy: Arc<dyn Entropy>) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new()?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()
            .context("otlp_endpoint")?;
        let resource = Resource::builder()
            .with_service_name("hookgraph")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_id_generator(EventIds { entropy })
            .with_sampler(ShareOfTraces::of_percent(sample_percent))
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("hookgraph");
        Ok(Self { provider, tracer })
    }

    /// What the tracing layer makes its spans with.
    pub fn tracer(&self) -> SdkTracer {
        self.tracer.clone()
    }

    /// The root of an event's trace, linked to the request that recorded it.
    pub fn recorded(&self, event_id: EventId, at: Timestamp) {
        let root = TraceContext::of_event(event_id);
        let mut builder = self.tracer.span_builder("event").with_start_time(SystemTime::from(at));
        builder = builder.with_attributes([KeyValue::new("hookgraph.event.id", event_id.to_string())]);
        let request = Context::current().span().span_context().clone();
        if request.is_valid() {
            builder = builder.with_links(vec![Link::with_context(request)]);
        }
        let mut span = with_ids(root, || builder.start_with_context(&self.tracer, &Context::new()));
        span.end_with_timestamp(SystemTime::from(at));
    }

    /// Sends what is left, for so long at most.
    pub async fn stop(self: Arc<Self>) {
        let flushed = tokio::task::spawn_blocking(move || {
            self.provider.shutdown_with_timeout(Duration::from_millis(TRACES_FLUSH_MS_MAX))
        });
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// A span of another process, or of this one at another time, as a parent.
pub fn parent(context: TraceContext) -> Context {
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    ))
}
