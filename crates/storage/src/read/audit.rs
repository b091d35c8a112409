//! The audit log, newest first.

use super::rows as page_rows;
use crate::entities::audit_entry::{Column, Entity, Model};
use crate::error::store_error;
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::audit::{AuditEntry, AuditQuery};
use hookgraph_domain::ports::{AuditReader, RowKind, StoreError};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

#[async_trait]
impl AuditReader for SqlStore {
    async fn audit_page(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        let mut select = Entity::find().filter(Column::TenantId.eq(query.tenant_id.0));
        if let Some(subject) = &query.subject {
            select = select.filter(Column::Subject.eq(subject.as_str()));
        }
        if let Some(before) = query.before {
            select = select.filter(Column::Id.lt(before));
        }
        let select = select.order_by_desc(Column::Id).limit(page_rows(query.limit));
        let found = select.all(&self.reader).await.map_err(store_error)?;
        let entry = |row: Model| {
            let id = row.id;
            self.unreadable.passed_over(RowKind::AuditEntry, id, rows::audit::from_row(row))
        };
        Ok(found.into_iter().filter_map(entry).collect())
    }
}
