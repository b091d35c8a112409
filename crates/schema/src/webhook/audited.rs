//! A webhook as the audit log keeps it.

use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::signing::OwnKeys;
use hookgraph_domain::tls::TlsSettings;
use hookgraph_domain::webhook::Webhook;
use serde_json::{Value, json};

/// The subject of an entry of the audit log about a webhook.
pub(super) fn subject(id: WebhookId) -> String {
    format!("webhook:{id}")
}

/// The TLS settings as the audit log keeps them: the certificates, and no key.
fn audited_tls(tls: &TlsSettings) -> Value {
    let identity = tls.identity.as_ref();
    json!({
        "clientCertificate": identity.map(|identity| &identity.certificate),
        "caCertificates": tls.ca_certificates,
    })
}

/// A webhook as the audit log keeps it. The values of its headers and the query of its URL are left out: each may be a
/// secret.
pub(super) fn audited(webhook: &Webhook) -> Value {
    let headers: Vec<_> = webhook.headers.iter().map(|header| header.name.as_str()).collect();
    let secret = webhook.headers.iter().filter(|header| header.is_secret);
    let secret_headers: Vec<_> = secret.map(|header| header.name.as_str()).collect();
    let url = webhook.url.split_once('?').map_or(webhook.url.clone(), |(before, _)| format!("{before}?[redacted]"));
    json!({
        "name": webhook.name,
        "concern": webhook.event_type.concern,
        "event": webhook.event_type.event,
        "method": webhook.method.as_str(),
        "url": url,
        "headers": headers,
        "secretHeaders": secret_headers,
        "graphqlQuery": webhook.graphql_query,
        "preserveDefaultPayload": webhook.preserve_default_payload,
        "signing": webhook.signing.as_str(),
        "hasOwnSecrets": webhook.own_keys.as_ref().is_some_and(OwnKeys::are_in_use),
        "tls": webhook.tls.as_deref().map(audited_tls),
        "permissions": webhook.document.as_ref().map(|document| &document.permissions),
        "status": webhook.status.as_str(),
        "timeoutMs": webhook.timeout_ms,
        "retryDelaysS": webhook.retry_delays_s,
        "concurrency": webhook.flow.concurrency,
        "ratePerSecond": webhook.flow.rate_per_second,
        "ordering": webhook.flow.ordering.as_str(),
    })
}
