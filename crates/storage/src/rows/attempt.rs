//! Attempts and payloads.

use super::{from_json, number, to_json};
use crate::entities::{attempt, payload};
use crate::error::corrupt;
use crate::micros::{from_time, to_time};
use hookgraph_domain::attempt::{Attempt, OutcomeCode, OutgoingRequest, ResponseHead};
use hookgraph_domain::ids::{AttemptId, DeliveryId, WebhookId};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::StoreError;

pub fn to_row(attempt: &Attempt, webhook_id: WebhookId) -> Result<attempt::Model, StoreError> {
    let request = attempt.request.as_ref();
    let response = attempt.response.as_ref();
    Ok(attempt::Model {
        id: attempt.id.0,
        delivery_id: attempt.delivery_id.0,
        webhook_id: webhook_id.0,
        number: i64::from(attempt.number),
        code: attempt.code.as_str().to_owned(),
        detail: attempt.detail.clone(),
        request_method: request.map(|request| request.method.clone()),
        request_url: request.map(|request| request.url.clone()),
        request_headers: request.map(|request| to_json("request headers", &request.headers)).transpose()?,
        request_body: request.and_then(|request| request.body.clone()),
        response_status: response.map(|response| i64::from(response.status)),
        response_headers: response.map(|response| to_json("response headers", &response.headers)).transpose()?,
        response_body: attempt.response_body.clone(),
        response_truncated: attempt.response_truncated,
        remote_address: attempt.remote_address.clone(),
        started_at_us: from_time(attempt.started_at),
        ended_at_us: from_time(attempt.ended_at),
    })
}

pub fn from_row(row: attempt::Model) -> Result<Attempt, StoreError> {
    let request = match (row.request_method, row.request_url) {
        (Some(method), Some(url)) => Some(OutgoingRequest {
            method,
            url,
            headers: from_json("request headers", row.request_headers.as_deref().unwrap_or("[]"))?,
            body: row.request_body,
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

pub fn payload_to_row(delivery_id: DeliveryId, frozen: &FrozenPayload) -> payload::Model {
    payload::Model {
        delivery_id: delivery_id.0,
        json: frozen.json.to_string(),
        rendered_at_us: from_time(frozen.rendered_at),
    }
}

pub fn payload_from_row(row: payload::Model) -> Result<(DeliveryId, FrozenPayload), StoreError> {
    let frozen = FrozenPayload { json: row.json.into(), rendered_at: to_time(row.rendered_at_us)? };
    Ok((DeliveryId(row.delivery_id), frozen))
}
