//! Writes of tenants, their access tokens, audit log and copy tasks.

use super::Work;
use crate::batch::execute;
use crate::entities::{access_token, audit_entry, copy_task, tenant};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::statements::{insert_all, insert_new, whole};
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::change::{CommitError, Expected, copy_task_label};
use hookgraph_domain::ids::{TenantId, TokenId};
use hookgraph_domain::tenant::{CopyTask, Tenant};
use hookgraph_domain::token::AccessToken;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, SqlErr};

/// What a tenant owns on the road, what others are found by last. What is due is found by its webhooks.
pub const OF_TENANT: [&str; 10] = [
    "DELETE FROM attempt WHERE webhook_id IN (SELECT id FROM webhook WHERE tenant_id = $1)",
    "DELETE FROM payload WHERE delivery_id IN (SELECT due.id FROM due JOIN webhook ON webhook.id = due.webhook_id \
     WHERE webhook.tenant_id = $1)",
    "DELETE FROM payload WHERE delivery_id IN (SELECT id FROM delivery WHERE tenant_id = $1)",
    "DELETE FROM due WHERE webhook_id IN (SELECT id FROM webhook WHERE tenant_id = $1)",
    "DELETE FROM delivery WHERE tenant_id = $1",
    "DELETE FROM event_skip WHERE event_id IN (SELECT id FROM event WHERE tenant_id = $1)",
    "DELETE FROM tombstone WHERE event_id IN (SELECT id FROM event WHERE tenant_id = $1)",
    "DELETE FROM event WHERE tenant_id = $1",
    "DELETE FROM feed WHERE tenant_id = $1",
    "DELETE FROM feed_pruned WHERE tenant_id = $1",
];

impl Work<'_> {
    pub(super) async fn insert_tenant(&self, tenant: &Tenant) -> Result<(), CommitError> {
        let row: tenant::ActiveModel = whole(rows::tenant::to_row(tenant, &*self.store.vault)?);
        if insert_new(self.transaction, row).await? { Ok(()) } else { Err(identifier_taken(tenant)) }
    }

    pub(super) async fn update_tenant(&self, tenant: &Tenant) -> Result<(), CommitError> {
        let row: tenant::ActiveModel = whole(rows::tenant::to_row(tenant, &*self.store.vault)?);
        let updated = tenant::Entity::update_many()
            .set(row)
            .filter(tenant::Column::Id.eq(tenant.id.0))
            .filter(tenant::Column::Version.eq(tenant.version - 1))
            .exec(self.transaction)
            .await
            .map_err(|error| match error.sql_err() {
                Some(SqlErr::UniqueConstraintViolation(_)) => identifier_taken(tenant),
                _ => store_error(error).into(),
            })?;
        if updated.rows_affected == 0 { Err(CommitError::Conflict(label(tenant.id))) } else { Ok(()) }
    }

    /// Records, webhooks, tokens and copy tasks go with it by the foreign keys; the tables of the road have none.
    pub(super) async fn delete_tenant(&self, id: TenantId) -> Result<(), CommitError> {
        for sql in OF_TENANT {
            execute(self.transaction, sql, vec![id.0.into()]).await?;
        }
        let deleted = tenant::Entity::delete_by_id(id.0).exec(self.transaction).await.map_err(store_error)?;
        if deleted.rows_affected == 0 { Err(CommitError::Conflict(label(id))) } else { Ok(()) }
    }

    pub(super) async fn insert_token(&self, token: &AccessToken) -> Result<(), CommitError> {
        let row: access_token::ActiveModel = whole(rows::tenant::token_to_row(token));
        if insert_new(self.transaction, row).await? {
            Ok(())
        } else {
            Err(CommitError::AlreadyExists("the access token".to_owned()))
        }
    }

    pub(super) async fn revoke_token(&self, id: TokenId) -> Result<(), CommitError> {
        access_token::Entity::update_many()
            .col_expr(access_token::Column::RevokedAtUs, Expr::value(from_time(self.at)))
            .filter(access_token::Column::Id.eq(id.0))
            .filter(access_token::Column::RevokedAtUs.is_null())
            .exec(self.transaction)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    pub(super) async fn mark_token_used(&self, id: TokenId) -> Result<(), CommitError> {
        access_token::Entity::update_many()
            .col_expr(access_token::Column::LastUsedAtUs, Expr::value(from_time(self.at)))
            .filter(access_token::Column::Id.eq(id.0))
            .exec(self.transaction)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    pub(super) async fn append_audit(&self, entry: AuditEntry) -> Result<(), CommitError> {
        let row: audit_entry::ActiveModel = whole(rows::audit::to_row(entry));
        Ok(insert_all(self.transaction, vec![row]).await?)
    }

    pub(super) async fn put_copy_task(&self, task: &CopyTask, expected: Expected) -> Result<(), CommitError> {
        let row: copy_task::ActiveModel = whole(rows::tenant::task_to_row(task));
        match expected {
            Expected::Absent => {
                if !insert_new(self.transaction, row).await? {
                    return Err(CommitError::AlreadyExists(copy_task_label(task.id)));
                }
            }
            Expected::Version(version) => {
                let updated = copy_task::Entity::update_many()
                    .set(row)
                    .filter(copy_task::Column::Id.eq(task.id.0))
                    .filter(copy_task::Column::Version.eq(version))
                    .exec(self.transaction)
                    .await
                    .map_err(store_error)?;
                if updated.rows_affected == 0 {
                    return Err(CommitError::Conflict(copy_task_label(task.id)));
                }
            }
        }
        Ok(())
    }
}

fn label(id: TenantId) -> String {
    format!("tenant {id}")
}

fn identifier_taken(tenant: &Tenant) -> CommitError {
    CommitError::AlreadyExists(format!("tenant {:?}", tenant.identifier))
}
