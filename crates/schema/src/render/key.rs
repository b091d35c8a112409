//! The key of a render: renders of one tenant, document, and values of the used variables are the same.

use super::is_delete;
use super::prepared::Prepared;
use crate::document::sha256_hex;
use async_graphql::{Name, Value, Variables};
use hookgraph_domain::event::Event;
use hookgraph_domain::ids::{EventId, TenantId, WebhookId};
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::RenderRequest;
use hookgraph_domain::webhook::CheckedDocument;

/// Equal keys render to equal data within one batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RenderKey {
    tenant_id: TenantId,
    document_sha256: String,
    /// The permissions of the document: those that it needed when it was saved, which its author had.
    pub permissions: PermissionSet,
    values: Vec<(String, String)>,
    /// The `delete` event whose record reads as it was.
    pub tombstone_of: Option<EventId>,
}

impl RenderKey {
    /// The key of a request; none where there is no document to run.
    pub fn of(request: &RenderRequest) -> Option<Self> {
        let text = request.webhook.graphql_query.as_deref().filter(|text| !text.trim().is_empty())?;
        let document = request.webhook.document.as_ref();
        let value = |name: &String| (name.clone(), supplied(&request.event, request.webhook.id, name).to_string());
        let values = match document {
            Some(document) => document.used_variables.iter().map(value).collect(),
            // An unchecked document counts as using every variable of its event.
            None => vec![value(&"webhookId".to_owned()), ("event".to_owned(), request.event.id.to_string())],
        };
        Some(Self {
            tenant_id: request.event.tenant_id,
            document_sha256: document.map_or_else(|| sha256_hex(text), |document| document.document_sha256.clone()),
            permissions: document.map(CheckedDocument::needed).unwrap_or_default(),
            values,
            tombstone_of: is_delete(&request.event).then_some(request.event.id),
        })
    }
}

/// The values of the variables that a document declares. A variable that the event leaves null is left out where the
/// document has a default for it.
pub(super) fn variable_values(prepared: &Prepared, event: &Event, webhook_id: WebhookId) -> Variables {
    let mut values = Variables::default();
    for variable in &prepared.operation.variables {
        let value = supplied(event, webhook_id, &variable.name);
        if !(value.is_null() && variable.default_value.is_some()) {
            let value = Value::from_json(value).unwrap_or_default();
            values.insert(Name::new(variable.name.as_str()), value);
        }
    }
    values
}

fn supplied(event: &Event, webhook_id: WebhookId, name: &str) -> serde_json::Value {
    match name {
        "webhookId" => serde_json::Value::from(webhook_id.to_string()),
        name => event.variables.get(name).cloned().unwrap_or_default(),
    }
}
