//! What the routes need of a GraphQL schema, and the two that there are.

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response};
use async_trait::async_trait;
use futures::stream::BoxStream;
use hookgraph_pim::Caller;
use hookgraph_schema::Api;

/// A schema that can be asked in a caller's name.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// The type of the operation that would run; none where the request is going to be refused.
    fn operation_type(&self, request: &Request) -> Option<OperationType>;

    /// Whether the verdict on its document is remembered: to run it takes no more than its values do.
    fn is_known(&self, request: &Request) -> bool;

    /// Runs a query or mutation.
    async fn execute(&self, caller: Caller, request: Request) -> Response;

    /// Runs any operation: one answer for a query or mutation, one an event for a subscription. It is read no further
    /// than its answers are taken.
    fn stream(&self, caller: Caller, request: Request) -> BoxStream<'static, Response>;
}

/// Whether a response is a request error of the GraphQL specification: nothing was executed, so it has no `data`.
/// An execution that failed as a whole has `data: null` and errors with paths.
pub fn is_request_error(response: &Response) -> bool {
    matches!(response.data, async_graphql::Value::Null)
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// The management API.
pub struct Management(pub Api);

#[async_trait]
impl Endpoint for Management {
    fn operation_type(&self, request: &Request) -> Option<OperationType> {
        self.0.operation_type(request)
    }

    fn is_known(&self, request: &Request) -> bool {
        self.0.is_known(request)
    }

    async fn execute(&self, caller: Caller, request: Request) -> Response {
        self.0.execute(caller, request).await
    }

    fn stream(&self, caller: Caller, request: Request) -> BoxStream<'static, Response> {
        self.0.subscribe(caller, request)
    }
}

/// The payload schema.
pub struct Payload(pub Api);

#[async_trait]
impl Endpoint for Payload {
    fn operation_type(&self, request: &Request) -> Option<OperationType> {
        self.0.payload_operation_type(request)
    }

    fn is_known(&self, request: &Request) -> bool {
        self.0.payload_is_known(request)
    }

    async fn execute(&self, caller: Caller, request: Request) -> Response {
        self.0.execute_payload(caller, request).await
    }

    fn stream(&self, caller: Caller, request: Request) -> BoxStream<'static, Response> {
        let api = self.0.clone();
        Box::pin(futures::stream::once(async move { api.execute_payload(caller, request).await }))
    }
}
