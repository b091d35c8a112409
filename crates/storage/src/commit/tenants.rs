//! Writes of tenants, their access tokens, audit log and copy tasks.

use super::Work;
use crate::batch::{IDS, Id, execute, ids, query};
use crate::entities::{access_token, audit_entry, copy_task, tenant};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::statements::{insert_all, insert_new, whole};
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::change::{CommitError, Expected, copy_task_label};
use hookgraph_domain::ids::{TenantId, TokenId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::tenant::{CopyTask, Tenant};
use hookgraph_domain::token::AccessToken;
use sea_orm::sea_query::{Expr, LockType, Value};
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, SqlErr};
use uuid::Uuid;

/// Notes the webhooks of the deleted tenant $1 that have due deliveries, which the flow loop removes
/// (`commit::stopping`).
pub const NOTE_DUE: &str = "INSERT INTO stopping (webhook_id, since_us) SELECT webhook.id, tenant.deleted_at_us \
     FROM webhook JOIN tenant ON tenant.id = webhook.tenant_id WHERE webhook.tenant_id = $1 \
     AND tenant.deleted_at_us IS NOT NULL AND EXISTS (SELECT 1 FROM due WHERE due.webhook_id = webhook.id) \
     ON CONFLICT DO NOTHING";

/// The statements that end running replays, which make rows, and access tokens with the tenant $1.
const END: [&str; 2] =
    ["DELETE FROM replay WHERE tenant_id = $1 AND state = 'RUNNING'", "DELETE FROM access_token WHERE tenant_id = $1"];

/// The statements for the tenants that running copies of the tenant $1 make: the first selects them, the second ends
/// the copies and selects also the tenant of one that was begun meanwhile. A batch of a copy locks the tenant that it
/// makes before its task, so a deletion does the same.
const COPIES: [&str; 2] = [
    "SELECT target_tenant_id AS id FROM copy_task WHERE source_tenant_id = $1 AND state = 'RUNNING'",
    "DELETE FROM copy_task WHERE source_tenant_id = $1 AND state = 'RUNNING' RETURNING target_tenant_id AS id",
];

#[derive(FromQueryResult)]
struct Target {
    id: Option<Uuid>,
}

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
            .filter(tenant::Column::DeletedAtUs.is_null())
            .exec(self.transaction)
            .await
            .map_err(|error| match error.sql_err() {
                Some(SqlErr::UniqueConstraintViolation(_)) => identifier_taken(tenant),
                _ => store_error(error).into(),
            })?;
        if updated.rows_affected == 0 { Err(CommitError::Conflict(label(tenant.id))) } else { Ok(()) }
    }

    /// Marks the tenant and its webhooks as deleted, so that nobody finds it and nothing is sent. Its rows are removed
    /// afterwards, in parts: due deliveries by the flow loop (`commit::stopping`), the others by retention
    /// (`retention::tenants`).
    ///
    /// A copy of the tenant that is still being made is deleted with it, because nobody would ever finish it.
    pub(super) async fn delete_tenant(&self, id: TenantId) -> Result<(), CommitError> {
        if !self.mark_deleted(id.0).await? {
            return Err(CommitError::Conflict(label(id)));
        }
        let mut marked = vec![id.0];
        while let Some(tenant_id) = marked.pop() {
            for sql in COPIES {
                let targets: Vec<Target> = query(self.transaction, sql, vec![tenant_id.into()]).await?;
                for copy in targets.into_iter().filter_map(|target| target.id) {
                    if self.mark_deleted(copy).await? {
                        marked.push(copy);
                    }
                }
            }
            self.end_what_it_owns(tenant_id).await?;
        }
        Ok(())
    }

    /// Marks a tenant as deleted, and returns whether there was one that was not deleted yet.
    async fn mark_deleted(&self, tenant_id: Uuid) -> Result<bool, StoreError> {
        let mark = "UPDATE tenant SET deleted_at_us = $2, updated_at_us = $2, version = version + 1 \
                    WHERE id = $1 AND deleted_at_us IS NULL";
        let values = vec![tenant_id.into(), from_time(self.at).into()];
        Ok(execute(self.transaction, mark, values).await? > 0)
    }

    /// Ends replays, tokens and webhooks of a deleted tenant. The order of locks, tenant, replays, webhooks, is that of
    /// a write of a webhook.
    async fn end_what_it_owns(&self, tenant_id: Uuid) -> Result<(), StoreError> {
        let (tenant_id, at_us) = (Value::from(tenant_id), Value::from(from_time(self.at)));
        for sql in END {
            execute(self.transaction, sql, vec![tenant_id.clone()]).await?;
        }
        let backend = self.store.backend();
        let lock = if backend == DbBackend::Postgres { " FOR NO KEY UPDATE" } else { "" };
        let live = format!("SELECT id FROM webhook WHERE tenant_id = $1 AND deleted_at_us IS NULL ORDER BY id{lock}");
        let live: Vec<Id> = query(self.transaction, &live, vec![tenant_id.clone()]).await?;
        let mark = format!(
            "UPDATE webhook SET deleted_at_us = $1, updated_at_us = $1, version = version + 1 \
             WHERE id IN (SELECT id FROM {} AS given)",
            IDS.source(backend, 2)
        );
        let mut values = vec![at_us];
        values.extend(ids(backend, live.into_iter().map(|row| row.id)));
        execute(self.transaction, &mark, values).await?;
        execute(self.transaction, NOTE_DUE, vec![tenant_id]).await.map(|_| ())
    }

    /// Locks a tenant against its deletion until this change is committed; refuses the change if there is no such
    /// tenant.
    pub(super) async fn require_tenant(&self, id: TenantId, lock: LockType) -> Result<(), CommitError> {
        let version: Option<i64> = tenant::Entity::find_by_id(id.0)
            .select_only()
            .column(tenant::Column::Version)
            .filter(tenant::Column::DeletedAtUs.is_null())
            .lock(lock)
            .into_tuple()
            .one(self.transaction)
            .await
            .map_err(store_error)?;
        if version.is_some() { Ok(()) } else { Err(CommitError::Refused(format!("there is no {}", label(id)))) }
    }

    pub(super) async fn insert_token(&self, token: &AccessToken) -> Result<(), CommitError> {
        // Without the lock, a token made while its tenant is being deleted would give access to the deleted tenant.
        self.require_tenant(token.tenant_id, LockType::Share).await?;
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
                // Without the lock, a deletion of the source could look for its copies too early, and half of this one
                // would stay.
                self.require_tenant(task.source_tenant_id, LockType::Share).await?;
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
