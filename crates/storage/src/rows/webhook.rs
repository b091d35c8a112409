//! Webhooks.

use super::{from_json, keys, labels, number, open, to_json};
use crate::entities::webhook::Model;
use crate::error::corrupt;
use crate::micros::{from_time, to_optional_time, to_time};
use hookgraph_domain::breaker::Breaker;
use hookgraph_domain::drain::Drain;
use hookgraph_domain::event::EventTypeKey;
use hookgraph_domain::flow::{FlowSettings, Ordering};
use hookgraph_domain::ids::{DeliveryId, TenantId, WebhookId};
use hookgraph_domain::ports::{SecretVault, StoreError};
use hookgraph_domain::signing::SigningScheme;
use hookgraph_domain::webhook::{CheckedDocument, Header, HttpMethod, Webhook, WebhookStatus};

pub fn to_row(webhook: &Webhook, vault: &dyn SecretVault) -> Result<Model, StoreError> {
    let headers = to_json("webhook headers", &webhook.headers)?;
    let document = webhook.document.as_ref();
    let (tenant_id, id) = (webhook.tenant_id.0, webhook.id.0);
    let keys_label = labels::webhook_keys(tenant_id, id);
    Ok(Model {
        id: webhook.id.0,
        tenant_id: webhook.tenant_id.0,
        name: webhook.name.clone(),
        concern: webhook.event_type.concern.clone(),
        event: webhook.event_type.event.clone(),
        method: webhook.method.as_str().to_owned(),
        url: webhook.url.clone(),
        headers_sealed: vault.seal(&labels::webhook_headers(tenant_id, id), headers.as_bytes()),
        graphql_query: webhook.graphql_query.clone(),
        preserve_default_payload: webhook.preserve_default_payload,
        document: document.map(|document| to_json("webhook document", document)).transpose()?,
        document_schema_sha256: document.map(|document| document.schema_sha256.clone()),
        signing: webhook.signing.as_str().to_owned(),
        keys_sealed: webhook.own_keys.as_ref().map(|own| keys::seal_own(&keys_label, own, vault)).transpose()?,
        status: webhook.status.as_str().to_owned(),
        status_reason: webhook.status_reason.clone(),
        status_since_us: from_time(webhook.status_since),
        timeout_ms: i64::from(webhook.timeout_ms),
        retry_delays_s: to_json("retry delays", &webhook.retry_delays_s)?,
        concurrency: i64::from(webhook.flow.concurrency),
        rate_per_second: webhook.flow.rate_per_second.map(i64::from),
        ordering: webhook.flow.ordering.as_str().to_owned(),
        probe_at_us: webhook.breaker.probe_at.map(from_time),
        probes_failed: i64::from(webhook.breaker.probes_failed),
        probe_id: webhook.breaker.probe_id.map(|id| id.0),
        draining_since_us: webhook.draining.map(|drain| from_time(drain.since)),
        drain_at_us: webhook.draining.map(|drain| from_time(drain.next_at)),
        subscribed_at_us: from_time(webhook.subscribed_at),
        failing_since_us: webhook.failing_since.map(from_time),
        version: webhook.version,
        created_at_us: from_time(webhook.created_at),
        updated_at_us: from_time(webhook.updated_at),
        deleted_at_us: webhook.deleted_at.map(from_time),
    })
}

fn flow_from_row(row: &Model) -> Result<FlowSettings, StoreError> {
    Ok(FlowSettings {
        concurrency: number("concurrency", row.concurrency)?,
        rate_per_second: row.rate_per_second.map(|rate| number("rate", rate)).transpose()?,
        ordering: ordering(&row.ordering)?,
    })
}

pub fn ordering(name: &str) -> Result<Ordering, StoreError> {
    Ordering::from_name(name).ok_or_else(|| corrupt("ordering", name))
}

fn breaker_from_row(row: &Model) -> Result<Breaker, StoreError> {
    Ok(Breaker {
        probe_at: to_optional_time(row.probe_at_us)?,
        probes_failed: number("failed probes", row.probes_failed)?,
        probe_id: row.probe_id.map(DeliveryId),
    })
}

fn drain_from_row(row: &Model) -> Result<Option<Drain>, StoreError> {
    let (Some(since_us), Some(next_us)) = (row.draining_since_us, row.drain_at_us) else { return Ok(None) };
    Ok(Some(Drain { since: to_time(since_us)?, next_at: to_time(next_us)? }))
}

pub fn from_row(row: Model, vault: &dyn SecretVault) -> Result<Webhook, StoreError> {
    let (flow, breaker, draining) = (flow_from_row(&row)?, breaker_from_row(&row)?, drain_from_row(&row)?);
    let label = labels::webhook_headers(row.tenant_id, row.id);
    let opened = open(vault, &label, &row.headers_sealed)?;
    let headers: Vec<Header> = serde_json::from_slice(&opened).map_err(|_| corrupt(&label, "not a list of headers"))?;
    let document: Option<CheckedDocument> =
        row.document.map(|text| from_json("webhook document", &text)).transpose()?;
    let keys_label = labels::webhook_keys(row.tenant_id, row.id);
    let own_keys = row.keys_sealed.as_deref().map(|sealed| keys::opened(&keys_label, sealed, vault)).transpose()?;
    Ok(Webhook {
        id: WebhookId(row.id),
        tenant_id: TenantId(row.tenant_id),
        name: row.name,
        event_type: EventTypeKey::new(row.concern, row.event),
        method: HttpMethod::from_name(&row.method).ok_or_else(|| corrupt("method", &row.method))?,
        url: row.url,
        headers,
        graphql_query: row.graphql_query,
        preserve_default_payload: row.preserve_default_payload,
        document,
        signing: SigningScheme::from_name(&row.signing).ok_or_else(|| corrupt("signing", &row.signing))?,
        own_keys,
        status: WebhookStatus::from_name(&row.status).ok_or_else(|| corrupt("webhook status", &row.status))?,
        status_reason: row.status_reason,
        status_since: to_time(row.status_since_us)?,
        timeout_ms: number("timeout", row.timeout_ms)?,
        retry_delays_s: from_json("retry delays", &row.retry_delays_s)?,
        flow,
        breaker,
        draining,
        subscribed_at: to_time(row.subscribed_at_us)?,
        failing_since: to_optional_time(row.failing_since_us)?,
        version: row.version,
        created_at: to_time(row.created_at_us)?,
        updated_at: to_time(row.updated_at_us)?,
        deleted_at: to_optional_time(row.deleted_at_us)?,
    })
}
