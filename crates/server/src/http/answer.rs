//! Answers: GraphQL responses and refusals, in the negotiated type and with the status that belongs to them.

use crate::auth::AuthError;
use crate::endpoint::is_request_error;
use crate::shares::Exceeded;
use crate::{limits, panics};
use async_graphql_axum::GraphQLResponse;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use serde_json::json;

/// The two types of a GraphQL answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`: the status says little, because every GraphQL response has 200.
    Json,
    /// `application/graphql-response+json`: request errors have 400.
    GraphqlResponse,
}

impl MediaType {
    /// The value of `content-type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            MediaType::Json => "application/json; charset=utf-8",
            MediaType::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }
}

/// A refusal as the GraphQL error that shows it.
pub fn error_json(refusal: &Refusal) -> serde_json::Value {
    let mut extensions = json!({ "code": refusal.code.as_str() });
    if !refusal.problems.is_empty() {
        extensions["problems"] = json!(refusal.problems);
    }
    json!({ "message": refusal.message, "extensions": extensions })
}

/// The mark of an answer by which the server says that it could not do what it was asked, for the metrics that count
/// such answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub RefusalCode);

/// The response with [`limits::ERRORS_MAX`] errors at most.
pub fn bounded(mut response: async_graphql::Response) -> async_graphql::Response {
    response.errors.truncate(limits::ERRORS_MAX);
    response
}

/// The answer that shows a response of the schema.
pub fn graphql(response: async_graphql::Response, media_type: MediaType) -> Response {
    let is_busy = codes_of(&response).any(|code| code == RefusalCode::Unavailable);
    let refused = refused_code(&response);
    let answer = in_its_type(bounded(response), media_type);
    let answer = if let Some(code) = refused { marked(answer, code) } else { answer };
    if is_busy { to_be_retried(answer) } else { answer }
}

fn in_its_type(response: async_graphql::Response, media_type: MediaType) -> Response {
    if is_request_error(&response) {
        let status = match (codes_of(&response).next(), media_type) {
            (Some(RefusalCode::Internal), _) => StatusCode::INTERNAL_SERVER_ERROR,
            (Some(RefusalCode::Unavailable), _) => StatusCode::SERVICE_UNAVAILABLE,
            (_, MediaType::Json) => StatusCode::OK,
            (_, MediaType::GraphqlResponse) => StatusCode::BAD_REQUEST,
        };
        return json_body(status, &json!({ "errors": response.errors }), media_type);
    }
    let mut answer = GraphQLResponse::from(response).into_response();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type.as_str()));
    answer
}

/// The response as its event shows it.
pub fn event_json(response: async_graphql::Response) -> serde_json::Value {
    let response = bounded(response);
    if is_request_error(&response) { json!({ "errors": response.errors }) } else { json!(response) }
}

/// The codes of the response's errors, in their order.
fn codes_of(response: &async_graphql::Response) -> impl Iterator<Item = RefusalCode> {
    response.errors.iter().filter_map(|error| {
        let code = error.extensions.as_ref()?.get("code")?;
        let async_graphql::Value::String(code) = code else { return None };
        RefusalCode::ALL.into_iter().find(|known| known.as_str() == code)
    })
}

/// The first of the response's codes by which the server says that it could not do what it was asked. A limit of the
/// schema is no such code: its client has to ask for less.
pub fn refused_code(response: &async_graphql::Response) -> Option<RefusalCode> {
    codes_of(response).find(|code| is_ours(*code))
}

const fn is_ours(code: RefusalCode) -> bool {
    matches!(code, RefusalCode::Unavailable | RefusalCode::Internal)
}

fn marked(mut answer: Response, code: RefusalCode) -> Response {
    answer.extensions_mut().insert(Refused(code));
    answer
}

/// Says when to ask again.
fn to_be_retried(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER_S));
    answer
}

/// A refusal before the schema is asked, which has a status of its own whatever the type.
pub fn refusal(status: StatusCode, refusal: &Refusal, media_type: MediaType) -> Response {
    let answer = json_body(status, &json!({ "errors": [error_json(refusal)] }), media_type);
    let answer = if is_ours(refusal.code) { marked(answer, refusal.code) } else { answer };
    if refusal.code == RefusalCode::Unavailable { to_be_retried(answer) } else { answer }
}

/// The answer to a request that yields no document which may run. Clients act on the answer that a document is not
/// known, and read it from `application/json` with 200 alone.
pub fn not_asked(refused: &Refusal, media_type: MediaType) -> Response {
    let is_of_documents = refused.code != RefusalCode::BadUserInput;
    let status = match media_type {
        MediaType::Json if is_of_documents => StatusCode::OK,
        MediaType::Json | MediaType::GraphqlResponse => StatusCode::BAD_REQUEST,
    };
    refusal(status, refused, media_type)
}

/// The answer to a token that has taken all that it may: 429, and when it is worth to try again.
pub fn exceeded(exceeded: &Exceeded, media_type: MediaType) -> Response {
    let refused = exceeded.refusal();
    let mut answer = marked(refusal(StatusCode::TOO_MANY_REQUESTS, &refused, media_type), refused.code);
    let wait_s = exceeded.retry_after.as_millis().div_ceil(1_000).max(1);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(wait_s).unwrap_or(u64::MAX)));
    answer
}

/// The answer of a server that has as much to do as it may: 503, and when it is worth to try again.
pub fn busy(message: &str, media_type: MediaType) -> Response {
    let refused = Refusal::new(RefusalCode::Unavailable, message);
    let mut answer = refusal(StatusCode::SERVICE_UNAVAILABLE, &refused, media_type);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(limits::PLACE_RETRY_AFTER.as_secs()));
    answer
}

/// The answer to a request that took longer than it may: 503. The cause, mostly a database that stalls, may be over
/// soon.
pub fn overdue(media_type: MediaType) -> Response {
    let message = "the request took longer than the server allows (http_request_ms_max)";
    let refused = Refusal::new(RefusalCode::LimitExceeded, message);
    marked(to_be_retried(refusal(StatusCode::SERVICE_UNAVAILABLE, &refused, media_type)), refused.code)
}

/// The answer to a wrong request.
pub fn bad_request(status: StatusCode, message: impl Into<String>, media_type: MediaType) -> Response {
    refusal(status, &Refusal::new(RefusalCode::BadUserInput, message), media_type)
}

/// The answer to a caller who is not let in: 401, or 503 where the token could not be looked up.
pub fn unauthenticated(error: &AuthError, media_type: MediaType) -> Response {
    let refused = auth_refusal(error);
    let status = match error {
        AuthError::Store(_) | AuthError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        AuthError::Missing | AuthError::Malformed | AuthError::Invalid => StatusCode::UNAUTHORIZED,
    };
    let mut answer = refusal(status, &refused, media_type);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = match error {
            AuthError::Missing => r#"Bearer realm="hookgraph""#,
            _ => r#"Bearer realm="hookgraph", error="invalid_token""#,
        };
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    answer
}

/// The refusal that shows an authentication error.
pub fn auth_refusal(error: &AuthError) -> Refusal {
    match error {
        AuthError::Store(error) => error.clone().into(),
        AuthError::Unavailable(message) => Refusal::new(RefusalCode::Unavailable, message.clone()),
        AuthError::Missing | AuthError::Malformed | AuthError::Invalid => {
            Refusal::new(RefusalCode::Unauthenticated, error.to_string())
        }
    }
}

/// The answer to a request whose handler panicked: the connection lives on, and the caller learns only that the fault
/// is the server's.
pub fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let reason = panics::reason(panic.as_ref());
    tracing::error!(reason, "a request panicked");
    let refused = Refusal::new(RefusalCode::Internal, "the server failed: its log says why");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, &refused, MediaType::Json)
}

fn json_body(status: StatusCode, body: &serde_json::Value, media_type: MediaType) -> Response {
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type.as_str()));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::{ErrorExtensionValues, PathSegment, ServerError};

    fn failed_with(code: RefusalCode) -> async_graphql::Response {
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", code.as_str());
        let mut error = ServerError::new("refused", None);
        (error.extensions, error.path) = (Some(extensions), vec![PathSegment::Field("order".to_owned())]);
        async_graphql::Response::from_errors(vec![error])
    }

    #[test]
    fn what_is_unavailable_says_when_to_ask_again_and_nothing_else_does() {
        for code in RefusalCode::ALL {
            let expected = (code == RefusalCode::Unavailable).then(|| HeaderValue::from(limits::RETRY_AFTER_S));
            let refused = Refusal::new(code, "refused");
            for answer in [
                graphql(failed_with(code), MediaType::Json),
                refusal(StatusCode::SERVICE_UNAVAILABLE, &refused, MediaType::Json),
            ] {
                assert_eq!(answer.headers().get(header::RETRY_AFTER), expected.as_ref(), "{code:?}");
            }
        }
    }

    #[test]
    fn what_the_server_could_not_do_is_marked_and_what_its_client_did_wrong_is_not() {
        for code in RefusalCode::ALL {
            let expected = [RefusalCode::Unavailable, RefusalCode::Internal].contains(&code).then_some(Refused(code));
            let refused = Refusal::new(code, "refused");
            for answer in [
                graphql(failed_with(code), MediaType::GraphqlResponse),
                refusal(StatusCode::BAD_REQUEST, &refused, MediaType::Json),
            ] {
                assert_eq!(answer.extensions().get::<Refused>(), expected.as_ref(), "{code:?}");
            }
        }
        let limit = Exceeded { limit: "token_connections_max", retry_after: limits::PLACE_RETRY_AFTER };
        for answer in [exceeded(&limit, MediaType::Json), overdue(MediaType::Json)] {
            assert_eq!(answer.extensions().get::<Refused>(), Some(&Refused(RefusalCode::LimitExceeded)));
        }
    }
}
