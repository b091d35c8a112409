//! Labels of sealed columns: authenticated with what is sealed, so that it opens in its row, and in its tenant, alone.

use uuid::Uuid;

/// `tenant.keys_sealed`.
pub fn tenant_keys(tenant_id: Uuid) -> String {
    format!("tenant/{tenant_id}/keys")
}

/// `webhook.headers_sealed`.
pub fn webhook_headers(tenant_id: Uuid, id: Uuid) -> String {
    format!("tenant/{tenant_id}/webhook/{id}/headers")
}

/// `webhook.keys_sealed`.
pub fn webhook_keys(tenant_id: Uuid, id: Uuid) -> String {
    format!("tenant/{tenant_id}/webhook/{id}/keys")
}
