//! Entries of the audit log.

use crate::entities::audit_entry::Model;
use crate::micros::{from_time, to_time};
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::ids::{AuditEntryId, TenantId};
use hookgraph_domain::ports::StoreError;

pub fn to_row(entry: AuditEntry) -> Model {
    Model {
        id: entry.id.0,
        tenant_id: entry.tenant_id.0,
        at_us: from_time(entry.at),
        user_id: entry.user_id,
        action: entry.action,
        subject: entry.subject,
        before: entry.before,
        after: entry.after,
    }
}

pub fn from_row(row: Model) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: AuditEntryId(row.id),
        tenant_id: TenantId(row.tenant_id),
        at: to_time(row.at_us)?,
        user_id: row.user_id,
        action: row.action,
        subject: row.subject,
        before: row.before,
        after: row.after,
    })
}
