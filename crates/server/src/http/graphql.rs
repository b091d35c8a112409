//! GraphQL over HTTP: <https://graphql.github.io/graphql-over-http/draft/>, all of its audits.

use super::answer::{self, MediaType};
use super::{LargePlace, WebState, negotiate, parse, unread};
use crate::answer_room::AnswerShare;
use crate::auth::{AuthError, Session, ShownToken};
use crate::endpoint::Endpoint;
use crate::limits::ANSWER_SMALL_BYTES_MAX;
use crate::shares::Holder;
use async_graphql::Request;
use async_graphql::parser::types::OperationType;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::FromRequest;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hookgraph_domain::refusal::Refusal;
use hookgraph_schema::IDEMPOTENCY_EXTENSION;
use std::sync::Arc;

/// The header that bears a request's idempotency key.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// Answers one request with that schema.
pub async fn serve(state: &WebState, endpoint: Arc<dyn Endpoint>, request: axum::extract::Request) -> Response {
    let Some(media_type) = negotiate::answer_type(request.headers()) else {
        let message = "answers are application/graphql-response+json or application/json: accept one of them";
        return answer::bad_request(StatusCode::NOT_ACCEPTABLE, message, MediaType::Json);
    };
    let Session { caller, holder, .. } = match admit(state, request.headers(), media_type).await {
        Ok((_, session)) => session,
        Err(refused) => return *refused,
    };
    let answers = state.shares.answers().of(&caller);
    // The request is read before a permit is taken: a client that sends slowly keeps nobody else from being served.
    let read = read_in_time(state, endpoint.as_ref(), holder, request, media_type, &[OperationType::Query]).await;
    let (asked, _place) = match read {
        Ok(read) => read,
        Err(refused) => return *refused,
    };
    let Ok(_permit) = state.requests.try_acquire() else {
        let message = "the server executes as many requests as it may (http_requests_max): try again";
        return answer::busy(message, media_type);
    };
    let answers = match answers.of_operation(endpoint.operation_type(&asked)) {
        Ok(answers) => answers,
        Err(no_room) => return answer::busy(&no_room.to_string(), media_type),
    };
    let execution = endpoint.execute(caller, asked);
    match tokio::time::timeout(state.limits.http_request_max, execution).await {
        Ok(response) => held(&answers, answer::graphql(response, media_type), media_type).await,
        Err(_) => answer::overdue(media_type),
    }
}

/// The answer, which has its room until its client has taken it, or the refusal where there is no room for it. The
/// answer of a mutation always has its room.
async fn held(answers: &AnswerShare, answer: Response, media_type: MediaType) -> Response {
    if answer.body().size_hint().exact().is_some_and(|bytes| bytes <= ANSWER_SMALL_BYTES_MAX as u64) {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    // The answer is whole already, so it has no other bound.
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return answer::busy("the answer could not be put together: try again", media_type);
    };
    match answers.hold(bytes) {
        Ok(bytes) => Response::from_parts(parts, Body::from(bytes)),
        Err(no_room) => answer::busy(&no_room.to_string(), media_type),
    }
}

/// The session that the request's `authorization` header opens, unless its holder has asked too often.
///
/// # Errors
/// The answer to who is not let in.
pub async fn admit(
    state: &WebState,
    headers: &HeaderMap,
    media_type: MediaType,
) -> Result<(ShownToken, Session), Box<Response>> {
    let let_in = async {
        let shown = shown_token(headers)?;
        let session = state.auth.session(&shown).await?;
        Ok((shown, session))
    };
    let (shown, session) = let_in.await.map_err(|error| Box::new(answer::unauthenticated(&error, media_type)))?;
    state.shares.request(session.holder).map_err(|exceeded| Box::new(answer::exceeded(&exceeded, media_type)))?;
    Ok((shown, session))
}

/// The token of the request's `authorization` header.
fn shown_token(headers: &HeaderMap) -> Result<ShownToken, AuthError> {
    let authorization =
        headers.get(header::AUTHORIZATION).map(|value| value.to_str().map_err(|_| AuthError::Malformed));
    ShownToken::read(authorization.transpose()?)
}

/// Reads the request, without introspection where the operator has disabled it, and answers it with the place of a
/// large one, which is to be kept while the request is executed. `by_get` names the operations that may be sent by GET.
///
/// # Errors
/// The answer that says what is wrong with it.
pub async fn read_in_time(
    state: &WebState,
    endpoint: &dyn Endpoint,
    holder: Holder,
    request: axum::extract::Request,
    media_type: MediaType,
    by_get: &[OperationType],
) -> Result<(Request, Option<LargePlace>), Box<Response>> {
    let by_get = if state.limits.queries_by_get { by_get } else { &[] };
    let version = request.version();
    let mut idempotency_keys = request.headers().get_all(IDEMPOTENCY_HEADER).iter();
    let idempotency_key = idempotency_keys.next().cloned();
    if idempotency_keys.any(|other| Some(other) != idempotency_key.as_ref()) {
        let message = "two idempotency keys: the headers idempotency-key differ";
        return Err(Box::new(answer::bad_request(StatusCode::BAD_REQUEST, message, media_type)));
    }
    let reading = read(state, endpoint, holder, request, media_type, by_get);
    let Ok(read) = tokio::time::timeout(state.limits.http_request_max, reading).await else {
        let message = "the request did not arrive in time (http_request_ms_max)";
        let mut answer = answer::bad_request(StatusCode::REQUEST_TIMEOUT, message, media_type);
        if version <= Version::HTTP_11 {
            answer.headers_mut().insert(header::CONNECTION, unread::CLOSE);
        }
        return Err(Box::new(answer));
    };
    let (mut asked, place) = read?;
    if let Some(key) = idempotency_key {
        let key = async_graphql::Value::String(String::from_utf8_lossy(key.as_bytes()).into_owned());
        if asked
            .extensions
            .get(IDEMPOTENCY_EXTENSION)
            .is_some_and(|other| !matches!(other, async_graphql::Value::Null) && *other != key)
        {
            let message = "two idempotency keys: the header idempotency-key and extensions.idempotencyKey differ";
            return Err(Box::new(answer::bad_request(StatusCode::BAD_REQUEST, message, media_type)));
        }
        asked.extensions.insert(IDEMPOTENCY_EXTENSION.to_owned(), key);
    }
    let asked = if state.introspection { asked } else { asked.disable_introspection() };
    Ok((asked, place))
}

async fn read(
    state: &WebState,
    endpoint: &dyn Endpoint,
    holder: Holder,
    request: axum::extract::Request,
    media_type: MediaType,
    by_get: &[OperationType],
) -> Result<(Request, Option<LargePlace>), Box<Response>> {
    let documents = &state.documents;
    let refused = |status, message: &str| Box::new(answer::bad_request(status, message, media_type));
    match *request.method() {
        Method::GET if by_get.is_empty() => {
            let mut answer = refused(StatusCode::METHOD_NOT_ALLOWED, "send GraphQL requests with POST");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            Err(answer)
        }
        Method::GET => {
            let uri = request.uri().clone();
            let query = uri.query().unwrap_or_default();
            let parsed = || parse::query_string(query, documents);
            let (asked, place) = in_its_place(state, endpoint, holder, query.len(), media_type, parsed).await?;
            if endpoint.operation_type(&asked).is_some_and(|operation| !by_get.contains(&operation)) {
                let mut answer = refused(StatusCode::METHOD_NOT_ALLOWED, "GET is for queries: send this with POST");
                answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                return Err(answer);
            }
            Ok((asked, place))
        }
        Method::POST => {
            if !negotiate::is_json_body(request.headers()) {
                let message = "send the request as JSON in UTF-8, with `content-type: application/json`";
                return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
            }
            if !negotiate::is_plain_body(request.headers()) {
                let message = "send the request as it is: a body with a `content-encoding` is not taken";
                return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
            }
            let bytes = Bytes::from_request(request, &()).await.map_err(|rejection| {
                let status = rejection.into_response().status();
                if status == StatusCode::PAYLOAD_TOO_LARGE {
                    let bytes_max = state.limits.http_body_bytes_max;
                    refused(status, &format!("the body is larger than {bytes_max} bytes (http_body_bytes_max)"))
                } else {
                    refused(status, "the body could not be read to its end")
                }
            })?;
            let parsed = || parse::body(&bytes, documents);
            in_its_place(state, endpoint, holder, bytes.len(), media_type, parsed).await
        }
        _ => {
            let mut answer =
                refused(StatusCode::METHOD_NOT_ALLOWED, "send GraphQL requests with POST, or queries with GET");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
            Err(answer)
        }
    }
}

/// Parses a request of `bytes` bytes in its place; a small one needs none.
async fn in_its_place(
    state: &WebState,
    endpoint: &dyn Endpoint,
    holder: Holder,
    bytes: usize,
    media_type: MediaType,
    parsed: impl Fn() -> Result<Request, Refusal>,
) -> Result<(Request, Option<LargePlace>), Box<Response>> {
    let is_known = |request: &Request| endpoint.is_known(request);
    match state.large_requests.read(holder, bytes, parsed, is_known).await {
        Ok(read) => read.map_err(|refusal| Box::new(answer::not_asked(&refusal, media_type))),
        Err(too_many) => Err(Box::new(answer::busy(&too_many.to_string(), media_type))),
    }
}
