//! Tenants, their copy tasks and access tokens.

use super::rows as page_rows;
use crate::entities::{access_token, copy_task, tenant};
use crate::error::store_error;
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::ids::{CopyTaskId, TenantId, TokenId};
use hookgraph_domain::ports::{RowKind, StoreError, TenantReader, TokenReader};
use hookgraph_domain::tenant::{CopyState, CopyTask, Tenant};
use hookgraph_domain::token::AccessToken;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select};

/// Those that are not deleted.
fn live() -> Select<tenant::Entity> {
    tenant::Entity::find().filter(tenant::Column::DeletedAtUs.is_null())
}

#[async_trait]
impl TenantReader for SqlStore {
    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let row = live().filter(tenant::Column::Id.eq(id.0)).one(&self.reader).await.map_err(store_error)?;
        row.map(|row| rows::tenant::from_row(row, &*self.vault)).transpose()
    }

    async fn tenant_by_identifier(&self, identifier: &str) -> Result<Option<Tenant>, StoreError> {
        let row =
            live().filter(tenant::Column::Identifier.eq(identifier)).one(&self.reader).await.map_err(store_error)?;
        row.map(|row| rows::tenant::from_row(row, &*self.vault)).transpose()
    }

    async fn tenant_count(&self) -> Result<u64, StoreError> {
        live().count(&self.reader).await.map_err(store_error)
    }

    async fn copy_task(&self, id: CopyTaskId) -> Result<Option<CopyTask>, StoreError> {
        let row = copy_task::Entity::find_by_id(id.0).one(&self.reader).await.map_err(store_error)?;
        row.map(rows::tenant::task_from_row).transpose()
    }

    async fn running_copy_tasks(&self, limit: u32) -> Result<Vec<CopyTask>, StoreError> {
        let found = copy_task::Entity::find()
            .filter(copy_task::Column::State.eq(CopyState::Running.as_str()))
            .order_by_asc(copy_task::Column::CreatedAtUs)
            .order_by_asc(copy_task::Column::Id)
            .limit(page_rows(limit))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        let task = |row: copy_task::Model| {
            let id = row.id;
            self.unreadable.passed_over(RowKind::CopyTask, id, rows::tenant::task_from_row(row))
        };
        Ok(found.into_iter().filter_map(task).collect())
    }
}

#[async_trait]
impl TokenReader for SqlStore {
    async fn token_by_sha256(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
        let row = access_token::Entity::find()
            .filter(access_token::Column::SecretSha256.eq(secret_sha256.to_vec()))
            .filter(access_token::Column::RevokedAtUs.is_null())
            .one(&self.reader)
            .await
            .map_err(store_error)?;
        row.map(rows::tenant::token_from_row).transpose()
    }

    async fn tokens(&self, tenant_id: Option<TenantId>) -> Result<Vec<AccessToken>, StoreError> {
        let mut select = access_token::Entity::find();
        if let Some(tenant_id) = tenant_id {
            select = select.filter(access_token::Column::TenantId.eq(tenant_id.0));
        }
        let found = select
            .order_by_asc(access_token::Column::CreatedAtUs)
            .order_by_asc(access_token::Column::Id)
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::tenant::token_from_row).collect()
    }

    async fn token(&self, id: TokenId) -> Result<Option<AccessToken>, StoreError> {
        let row = access_token::Entity::find_by_id(id.0).one(&self.reader).await.map_err(store_error)?;
        row.map(rows::tenant::token_from_row).transpose()
    }
}
