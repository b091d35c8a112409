//! The answers of calls: their errors are bounded and reworded, and a panic becomes a refusal.

use crate::limits::ERRORS_MAX;
use async_graphql::{ErrorExtensionValues, Response, ServerError};
use futures::FutureExt;
use hookgraph_domain::refusal::RefusalCode;
use std::future::Future;
use std::panic::AssertUnwindSafe;

/// Runs the execution of a request. A panic becomes a refusal, and errors beyond the limit are left out.
pub(crate) async fn bounded(execution: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(execution).catch_unwind().await {
        Ok(mut response) => {
            response.errors.truncate(ERRORS_MAX);
            response.errors.iter_mut().for_each(tell_wrong_value);
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

/// Rewords the executor's error for a value that a scalar refuses, and gives it a code.
///
/// The executor says `Failed to parse "T": why (occurred while parsing "A") (occurred while parsing "B")`.
fn tell_wrong_value(error: &mut ServerError) {
    let Some(told) = error.message.strip_prefix("Failed to parse \"") else { return };
    let Some((scalar, told)) = told.split_once("\": ") else { return };
    let mut parts = told.split(" (occurred while parsing \"");
    let mut message = format!("not a value of {scalar}: {}", parts.next().unwrap_or_default());
    for place in parts.map(|part| part.trim_end_matches("\")")).filter(|place| !place.starts_with('[')) {
        message.push_str(" in ");
        message.push_str(place);
    }
    error.message = message;
    error.extensions.get_or_insert_default().set("code", RefusalCode::BadUserInput.as_str());
}

/// The answer to a request that was not executed.
pub(crate) fn refused(mut errors: Vec<ServerError>) -> Response {
    errors.truncate(ERRORS_MAX);
    Response::from_errors(errors)
}

#[cfg(test)]
mod tests {
    use super::tell_wrong_value;
    use async_graphql::{ServerError, Value};

    #[test]
    fn a_value_that_a_scalar_refuses_is_told_with_its_place_and_a_code() {
        let said = "Failed to parse \"NonNegativeInt\": -2 is no such number (occurred while parsing \"OrderItemInput\") \
                    (occurred while parsing \"[OrderItemInput!]\") (occurred while parsing \"CreateOrderInput\")";
        let mut error = ServerError::new(said, None);
        tell_wrong_value(&mut error);
        assert_eq!(
            error.message,
            "not a value of NonNegativeInt: -2 is no such number in OrderItemInput in CreateOrderInput"
        );
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        assert_eq!(code, Some(&Value::from("BAD_USER_INPUT")));
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        let mut error = ServerError::new("there is no order 7", None);
        tell_wrong_value(&mut error);
        assert_eq!((error.message.as_str(), error.extensions.is_none()), ("there is no order 7", true));
    }
}
