//! Attempts and payloads.

use super::{from_json, number, to_json};
use crate::batch::{Cell, Kind, Table};
use crate::entities::{attempt, payload};
use crate::error::corrupt;
use crate::micros::{from_time, to_time};
use hookgraph_domain::attempt::{Attempt, OutcomeCode, OutgoingRequest, ResponseHead};
use hookgraph_domain::ids::{AttemptId, DeliveryId, WebhookId};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::StoreError;

/// The table of attempts, to write to.
pub const ATTEMPTS: Table = Table {
    name: "attempt",
    columns: &[
        ("webhook_id", Kind::Uuid),
        ("id", Kind::Uuid),
        ("delivery_id", Kind::Uuid),
        ("number", Kind::Int),
        ("code", Kind::Text),
        ("detail", Kind::TextOrNull),
        ("request_method", Kind::TextOrNull),
        ("request_url", Kind::TextOrNull),
        ("request_headers", Kind::TextOrNull),
        ("request_body", Kind::TextOrNull),
        ("response_status", Kind::IntOrNull),
        ("response_headers", Kind::TextOrNull),
        ("response_body", Kind::TextOrNull),
        ("response_truncated", Kind::Bool),
        ("remote_address", Kind::TextOrNull),
        ("started_at_us", Kind::Int),
        ("ended_at_us", Kind::Int),
    ],
};

/// An attempt as a row of [`ATTEMPTS`].
pub fn cells(attempt: &Attempt, webhook_id: WebhookId) -> Result<Vec<Cell>, StoreError> {
    let request = attempt.request.as_ref();
    let response = attempt.response.as_ref();
    Ok(vec![
        Cell::Uuid(webhook_id.0),
        Cell::Uuid(attempt.id.0),
        Cell::Uuid(attempt.delivery_id.0),
        Cell::Int(i64::from(attempt.number)),
        Cell::Text(attempt.code.as_str().to_owned()),
        Cell::TextOrNull(attempt.detail.clone()),
        Cell::TextOrNull(request.map(|request| request.method.clone())),
        Cell::TextOrNull(request.map(|request| request.url.clone())),
        Cell::TextOrNull(request.map(|request| to_json("request headers", &request.headers)).transpose()?),
        Cell::TextOrNull(request.and_then(|request| request.body.as_deref()).map(str::to_owned)),
        Cell::IntOrNull(response.map(|response| i64::from(response.status))),
        Cell::TextOrNull(response.map(|response| to_json("response headers", &response.headers)).transpose()?),
        Cell::TextOrNull(attempt.response_body.clone()),
        Cell::Bool(attempt.response_truncated),
        Cell::TextOrNull(attempt.remote_address.clone()),
        Cell::Int(from_time(attempt.started_at)),
        Cell::Int(from_time(attempt.ended_at)),
    ])
}

pub fn from_row(row: attempt::Model) -> Result<Attempt, StoreError> {
    let request = match (row.request_method, row.request_url) {
        (Some(method), Some(url)) => Some(OutgoingRequest {
            method,
            url,
            headers: from_json("request headers", row.request_headers.as_deref().unwrap_or("[]"))?,
            body: row.request_body.map(Into::into),
        }),
        _ => None,
    };
    let response = match row.response_status {
        Some(status) => Some(ResponseHead {
            status: number("response status", status)?,
            headers: from_json("response headers", row.response_headers.as_deref().unwrap_or("[]"))?,
        }),
        None => None,
    };
    Ok(Attempt {
        id: AttemptId(row.id),
        delivery_id: DeliveryId(row.delivery_id),
        number: number("attempt number", row.number)?,
        code: OutcomeCode::from_name(&row.code).ok_or_else(|| corrupt("attempt code", &row.code))?,
        detail: row.detail,
        request,
        response,
        response_body: row.response_body,
        response_truncated: row.response_truncated,
        remote_address: row.remote_address,
        started_at: to_time(row.started_at_us)?,
        ended_at: to_time(row.ended_at_us)?,
    })
}

pub fn payload_from_row(row: payload::Model) -> Result<(DeliveryId, FrozenPayload), StoreError> {
    let frozen = FrozenPayload { json: row.json.into(), rendered_at: to_time(row.rendered_at_us)? };
    Ok((DeliveryId(row.delivery_id), frozen))
}
