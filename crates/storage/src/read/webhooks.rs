//! Webhooks.

use super::{left, rows as page_rows};
use crate::entities::webhook;
use crate::error::store_error;
use crate::limits::PAGE_REFILLS_MAX;
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::ports::{RowKind, StoreError, WebhookReader};
use hookgraph_domain::webhook::Webhook;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

impl SqlStore {
    /// Those that can be read.
    pub(super) fn opened(&self, found: Vec<webhook::Model>) -> Vec<Webhook> {
        let open = |row: webhook::Model| {
            let id = row.id;
            self.unreadable.passed_over(RowKind::Webhook, id, rows::webhook::from_row(row, &*self.vault))
        };
        found.into_iter().filter_map(open).collect()
    }

    /// A page by id, whatever of it cannot be read.
    async fn page_after(
        &self,
        select: Select<webhook::Entity>,
        mut after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        let (mut page, mut rows) = (Vec::new(), limit);
        for _ in 0..=PAGE_REFILLS_MAX {
            let mut select = select.clone();
            if let Some(after) = after {
                select = select.filter(webhook::Column::Id.gt(after));
            }
            let select = select.order_by_asc(webhook::Column::Id).limit(page_rows(rows));
            let found = select.all(&self.reader).await.map_err(store_error)?;
            let is_last = (found.len() as u64) < page_rows(rows);
            after = found.last().map(|row| row.id).or(after);
            page.extend(self.opened(found));
            rows = left(limit, page.len());
            if is_last || rows == 0 {
                break;
            }
        }
        Ok(page)
    }
}

#[async_trait]
impl WebhookReader for SqlStore {
    async fn webhooks(&self, tenant_id: TenantId, ids: &[WebhookId]) -> Result<Vec<Webhook>, StoreError> {
        let found = webhook::Entity::find()
            .filter(webhook::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .filter(webhook::Column::TenantId.eq(tenant_id.0))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        Ok(self.opened(found))
    }

    async fn webhook_page(&self, query: &WebhookQuery) -> Result<Vec<Webhook>, StoreError> {
        let mut select = webhook::Entity::find()
            .filter(webhook::Column::TenantId.eq(query.tenant_id.0))
            .filter(webhook::Column::DeletedAtUs.is_null());
        if let Some(concern) = &query.concern {
            select = select.filter(webhook::Column::Concern.eq(concern.as_str()));
        }
        if let Some(event) = &query.event {
            select = select.filter(webhook::Column::Event.eq(event.as_str()));
        }
        self.page_after(select, query.after, query.limit).await
    }

    async fn webhooks_checked_otherwise(
        &self,
        schema_sha256: &str,
        after: Option<WebhookId>,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        let select = webhook::Entity::find()
            .filter(webhook::Column::DeletedAtUs.is_null())
            .filter(webhook::Column::DocumentSchemaSha256.ne(schema_sha256));
        self.page_after(select, after.map(|id| id.0), limit).await
    }
}
