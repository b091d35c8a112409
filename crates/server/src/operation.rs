//! One operation of a connection or an event stream. A query or mutation has the same places and the same time as one
//! over HTTP.

use crate::answer_room::AnswerShare;
use crate::http::{LargePlace, WebState};
use crate::panics;
use async_graphql::parser::types::OperationType;
use async_graphql::{Pos, Request, Response};
use futures::StreamExt;
use futures::stream::{BoxStream, once};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_pim::{Caller, graphql_error};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// The answers of an operation: those of a subscription, or the one of a query or mutation. Where the operation panics,
/// the last answer says so.
///
/// A large query or mutation keeps its place while it is executed. A subscription, which may go on for long, gives its
/// place back once it is read.
///
/// Each answer is `written` where it is made, so that it has its room before a client is slow to take it. The answer of
/// a mutation always has its room; a mutation whose caller's answers hold too much already is refused before it begins.
pub fn responses<T, W>(
    state: &Arc<WebState>,
    caller: Caller,
    request: Request,
    large: Option<LargePlace>,
    written: W,
) -> BoxStream<'static, T>
where
    T: Send + 'static,
    W: Fn(Response, &AnswerShare) -> T + Clone + Send + 'static,
{
    let endpoint = &state.endpoints.management;
    let answers = state.shares.answers().of(&caller);
    let operation_type = endpoint.operation_type(&request);
    match operation_type {
        Some(OperationType::Subscription) => {
            let responses = AssertUnwindSafe(endpoint.stream(caller, request)).catch_unwind();
            let answered = |response: Result<_, Box<dyn Any + Send>>| {
                response.unwrap_or_else(|panic| failed(panics::reason(panic.as_ref())))
            };
            responses.map(move |response| written(answered(response), &answers)).boxed()
        }
        // An operation without a type is going to be refused.
        Some(OperationType::Query | OperationType::Mutation) | None => {
            let answers = match answers.clone().of_operation(operation_type) {
                Ok(answers) => answers,
                Err(no_room) => {
                    let refused = refused(RefusalCode::Unavailable, &no_room.to_string());
                    return once(async move { written(refused, &answers) }).boxed();
                }
            };
            // The execution is a task of its own, until nobody wants the answer: a client that is slow to take it, or
            // never does, must not hold the permit for which others wait.
            let response = single(state.clone(), caller, request, large);
            let (write, room) = (written.clone(), answers.clone());
            let execution = async move {
                let response = response.await;
                write(response, &room)
            };
            let execution = execution.in_current_span();
            let execution = AbortOnDropHandle::new(tokio::spawn(execution));
            let panicked = move |reason: &str| written(failed(Some(reason)), &answers);
            let answered = async move { execution.await.unwrap_or_else(|error| panicked(&error.to_string())) };
            once(answered).boxed()
        }
    }
}

async fn single(state: Arc<WebState>, caller: Caller, request: Request, _large: Option<LargePlace>) -> Response {
    let Ok(_permit) = state.requests.try_acquire() else {
        let message = "the server executes as many requests as it may (http_requests_max): try again";
        return refused(RefusalCode::Unavailable, message);
    };
    let execution = state.endpoints.management.execute(caller, request);
    match tokio::time::timeout(state.limits.http_request_max, execution).await {
        Ok(response) => response,
        Err(_) => {
            // Counted here, because refusals of the schema's own limits have the same code and are not counted.
            state.refused(RefusalCode::LimitExceeded);
            let message = "the request took longer than the server allows (http_request_ms_max)";
            refused(RefusalCode::LimitExceeded, message)
        }
    }
}

/// The answer of an operation that panicked.
fn failed(reason: Option<&str>) -> Response {
    tracing::error!(reason, "an operation panicked");
    refused(RefusalCode::Internal, "the server failed: its log says why")
}

fn refused(code: RefusalCode, message: &str) -> Response {
    let error = graphql_error(&Refusal::new(code, message));
    Response::from_errors(vec![error.into_server_error(Pos::default())])
}
