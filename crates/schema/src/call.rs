//! Calls over the API: counted and bounded on the way out, and never able to end the process.

use crate::limits::ERRORS_MAX;
use async_graphql::{ErrorExtensionValues, Response, ServerError};
use futures::FutureExt;
use hookgraph_domain::refusal::RefusalCode;
use std::future::Future;
use std::panic::AssertUnwindSafe;

/// Runs what executes a request; a panic becomes a refusal, and errors beyond the limit are left out.
pub(crate) async fn bounded(execution: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(execution).catch_unwind().await {
        Ok(mut response) => {
            response.errors.truncate(ERRORS_MAX);
            response
        }
        Err(_panic) => {
            tracing::error!("a resolver panicked");
            let mut error = ServerError::new("the server failed: its log says why", None);
            let mut extensions = ErrorExtensionValues::default();
            extensions.set("code", RefusalCode::Internal.as_str());
            error.extensions = Some(extensions);
            Response::from_errors(vec![error])
        }
    }
}

/// The answer to a request that was not executed.
pub(crate) fn refused(mut errors: Vec<ServerError>) -> Response {
    errors.truncate(ERRORS_MAX);
    Response::from_errors(errors)
}
