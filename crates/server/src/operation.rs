//! One operation of a connection or an event stream. A query or mutation has the places and the time that one over HTTP has.

use crate::http::WebState;
use async_graphql::parser::types::OperationType;
use async_graphql::{Pos, Request, Response};
use futures::StreamExt;
use futures::stream::{BoxStream, once};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_pim::{Caller, graphql_error};
use std::sync::Arc;

/// The answers of an operation: those of a subscription, or the one of a query or mutation.
pub fn responses(state: &Arc<WebState>, caller: Caller, request: Request) -> BoxStream<'static, Response> {
    let endpoint = &state.endpoints.management;
    match endpoint.operation_type(&request) {
        Some(OperationType::Query | OperationType::Mutation) => once(single(state.clone(), caller, request)).boxed(),
        Some(OperationType::Subscription) | None => endpoint.stream(caller, request),
    }
}

async fn single(state: Arc<WebState>, caller: Caller, request: Request) -> Response {
    let Ok(_permit) = state.requests.try_acquire() else {
        let message = "the server executes as many requests as it may (http_requests_max): try again";
        return refused(RefusalCode::Unavailable, message);
    };
    let execution = state.endpoints.management.execute(caller, request);
    match tokio::time::timeout(state.limits.http_request_max, execution).await {
        Ok(response) => response,
        Err(_) => {
            let message = "the request took longer than the server allows (http_request_ms_max)";
            refused(RefusalCode::LimitExceeded, message)
        }
    }
}

fn refused(code: RefusalCode, message: &str) -> Response {
    let error = graphql_error(&Refusal::new(code, message));
    Response::from_errors(vec![error.into_server_error(Pos::default())])
}
