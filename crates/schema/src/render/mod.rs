//! The payload renderer runs proven documents against the resolver tree, each once for all deliveries that share it.
//!
//! A batch is cut by tenant. The renders of one tenant have one set of loaders, and requests with the same document and
//! the same values of its used variables are run once. The render of a `delete` event has loaders of its own, in which
//! the deleted record reads as it was. Any GraphQL error refuses the whole payload: an error is never delivered as
//! data.

mod assemble;
mod key;
mod prepared;

#[cfg(test)]
mod tests;

use crate::document::DocumentChecker;
use crate::limits::RenderLimits;
use crate::roots::PayloadSchema;
use assemble::assemble;
use async_graphql::{Request, Response, Value, Variables};
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::join_all;
use hookgraph_domain::event::Event;
use hookgraph_domain::ids::{EventId, TenantId};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::{PayloadRenderer, RenderError, RenderRequest};
use hookgraph_domain::time::Timestamp;
use hookgraph_pim::{Caller, PimContext, PimServices, RoomShare};
use key::{RenderKey, variable_values};
use prepared::{Prepared, PreparedDocuments};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// Renders payloads.
pub struct Renderer {
    schema: PayloadSchema,
    documents: PreparedDocuments,
    services: PimServices,
    limits: RenderLimits,
}

/// The data of a document's run and the time that it was read at, for every request that shares the run.
type Run = Result<(Arc<serde_json::Map<String, serde_json::Value>>, Timestamp), RenderError>;

impl Renderer {
    /// A renderer on a schema that runs documents without judging them again.
    pub(crate) fn new(
        schema: PayloadSchema,
        checker: Arc<DocumentChecker>,
        services: PimServices,
        limits: RenderLimits,
    ) -> Self {
        Self { schema, documents: PreparedDocuments::new(checker), services, limits }
    }

    /// The payload that a webhook would send, for a caller to look at. Its reads take the bytes of the room that all
    /// callers share.
    pub(crate) async fn preview(&self, request: RenderRequest, room: &RoomShare) -> Result<FrozenPayload, RenderError> {
        let rendered = self.render_within(&[request], Some(room)).await.pop();
        rendered.unwrap_or_else(|| Err(RenderError::Unavailable("the payload was not rendered".to_owned())))
    }

    async fn render_within(
        &self,
        requests: &[RenderRequest],
        room: Option<&RoomShare>,
    ) -> Vec<Result<FrozenPayload, RenderError>> {
        let runs = self.run_all(requests, room).await;
        let now = self.services.clock.now();
        let answers = requests.iter().map(|request| match RenderKey::of(request) {
            None => assemble(request, None, now),
            Some(key) => match runs.get(&key) {
                Some(Ok((data, rendered_at))) => assemble(request, Some(data), *rendered_at),
                Some(Err(error)) => Err(error.clone()),
                None => Err(RenderError::Unavailable("the payload was not rendered".to_owned())),
            },
        });
        answers.collect()
    }

    /// Runs each distinct document once, and returns the runs by key.
    async fn run_all(&self, requests: &[RenderRequest], room: Option<&RoomShare>) -> HashMap<RenderKey, Run> {
        let mut contexts: HashMap<(TenantId, PermissionSet, Option<EventId>), Arc<PimContext>> = HashMap::new();
        let mut runs = HashMap::new();
        for request in requests {
            let Some(key) = RenderKey::of(request) else { continue };
            let context =
                contexts.entry((request.event.tenant_id, key.permissions, key.tombstone_of)).or_insert_with(|| {
                    let caller =
                        Caller { tenant_id: request.event.tenant_id, user_id: None, permissions: key.permissions };
                    let tombstone_of = key.tombstone_of.map(|_| request.event.clone());
                    let context = PimContext::new(caller, self.services.clone(), tombstone_of);
                    Arc::new(if let Some(room) = room { context.within(room.clone()) } else { context })
                });
            let context = Arc::new(context.sharing());
            runs.entry(key).or_insert_with(|| self.run(request, context));
        }
        let (keys, runs): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        keys.into_iter().zip(join_all(runs).await).collect()
    }

    /// Runs one document within the time of a render.
    async fn run(&self, request: &RenderRequest, context: Arc<PimContext>) -> Run {
        self.within_time(self.run_proven(request, context.clone()), request, &context).await
    }

    /// Ends a run that takes too long, and catches panics of libraries and resolvers.
    async fn within_time(&self, run: impl Future<Output = Run>, request: &RenderRequest, context: &PimContext) -> Run {
        let render_ms_max = self.limits.render_ms_max;
        // The run is kept beyond its time: the context then tells whether it waits for the store.
        let mut run = std::pin::pin!(AssertUnwindSafe(run).catch_unwind());
        match tokio::time::timeout(Duration::from_millis(render_ms_max), run.as_mut()).await {
            Ok(Ok(run)) => run,
            Ok(Err(_panic)) => {
                tracing::error!(webhook_id = %request.webhook.id, event_id = %request.event.id, "a render panicked");
                Err(RenderError::Unavailable("the server failed: its log says why".to_owned()))
            }
            Err(_elapsed) if context.is_waiting_for_store() => {
                Err(RenderError::Unavailable(format!("the database did not answer within {render_ms_max} ms")))
            }
            Err(_elapsed) => {
                Err(RenderError::BudgetExceeded(format!("the payload took longer than {render_ms_max} ms")))
            }
        }
    }

    async fn run_proven(&self, request: &RenderRequest, context: Arc<PimContext>) -> Run {
        let text = request.webhook.graphql_query.as_deref().unwrap_or_default();
        let prepared = self.documents.prepared(text).map_err(RenderError::Refused)?;
        let values = variable_values(&prepared, &request.event, request.webhook.id);
        prepared.check_values(&self.documents, &values).map_err(RenderError::Refused)?;
        let rendered_at = self.services.clock.now();
        let response = self.execute(&prepared, values, context).await;
        Ok((Arc::new(data_of(response)?), rendered_at))
    }

    async fn execute(&self, prepared: &Prepared, values: Variables, context: Arc<PimContext>) -> Response {
        let mut request = Request::new("").variables(values).data(context).disable_introspection();
        request.set_parsed_query(prepared.document.clone());
        self.schema.execute(request).await
    }
}

#[async_trait]
impl PayloadRenderer for Renderer {
    /// Renders for delivery without a room: bytes that callers hold must refuse no delivery. The dispatcher bounds how
    /// many renders run at one time.
    async fn render(&self, requests: &[RenderRequest]) -> Vec<Result<FrozenPayload, RenderError>> {
        self.render_within(requests, None).await
    }
}

/// The data of a response without errors.
fn data_of(response: Response) -> Result<serde_json::Map<String, serde_json::Value>, RenderError> {
    if !response.errors.is_empty() {
        return Err(refusal_of(&response.errors));
    }
    match response.data.into_json() {
        Ok(serde_json::Value::Object(data)) => Ok(data),
        Ok(_) => Err(RenderError::Refused("the payload query yielded no object".to_owned())),
        Err(error) => Err(RenderError::Refused(format!("the payload is no JSON: {error}"))),
    }
}

/// The error of a render with these GraphQL errors: a fault of ours among them lets the render be tried again, else
/// they refuse the document.
fn refusal_of(errors: &[async_graphql::ServerError]) -> RenderError {
    const ERRORS_SHOWN_MAX: usize = 10;
    let code = |error: &async_graphql::ServerError| match error.extensions.as_ref()?.get("code") {
        Some(Value::String(code)) => Some(code.clone()),
        _ => None,
    };
    let is_ours =
        |error: &&async_graphql::ServerError| matches!(code(error).as_deref(), Some("UNAVAILABLE" | "INTERNAL"));
    if let Some(fault) = errors.iter().find(is_ours) {
        return RenderError::Unavailable(fault.message.clone());
    }
    let shown = errors.iter().take(ERRORS_SHOWN_MAX).map(|error| {
        let path: Vec<_> = error.path.iter().map(path_segment).collect();
        if path.is_empty() { error.message.clone() } else { format!("{}: {}", path.join("."), error.message) }
    });
    RenderError::Refused(shown.collect::<Vec<_>>().join("; "))
}

fn path_segment(segment: &async_graphql::PathSegment) -> String {
    match segment {
        async_graphql::PathSegment::Field(name) => name.clone(),
        async_graphql::PathSegment::Index(index) => index.to_string(),
    }
}

/// Whether the renders of an event read its record as it was before.
fn is_delete(event: &Event) -> bool {
    event.event_type.event == "delete"
}
