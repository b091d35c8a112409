//! Webhooks.

use super::rows as page_rows;
use crate::entities::webhook;
use crate::error::store_error;
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::ports::{StoreError, WebhookReader};
use hookgraph_domain::webhook::Webhook;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

impl SqlStore {
    pub(super) fn opened(&self, found: Vec<webhook::Model>) -> Result<Vec<Webhook>, StoreError> {
        found.into_iter().map(|row| rows::webhook::from_row(row, &*self.vault)).collect()
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
        self.opened(found)
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
        if let Some(after) = query.after {
            select = select.filter(webhook::Column::Id.gt(after));
        }
        let found = select
            .order_by_asc(webhook::Column::Id)
            .limit(page_rows(query.limit))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        self.opened(found)
    }

    async fn webhooks_checked_otherwise(
        &self,
        schema_sha256: &str,
        after: Option<WebhookId>,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        let mut select = webhook::Entity::find()
            .filter(webhook::Column::DeletedAtUs.is_null())
            .filter(webhook::Column::DocumentSchemaSha256.ne(schema_sha256));
        if let Some(after) = after {
            select = select.filter(webhook::Column::Id.gt(after.0));
        }
        let found = select
            .order_by_asc(webhook::Column::Id)
            .limit(page_rows(limit))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        self.opened(found)
    }
}
