//! Tenants, copy tasks and access tokens.

use super::{from_json, keys, labels};
use crate::entities::{access_token, copy_task, tenant};
use crate::error::corrupt;
use crate::micros::{from_time, to_optional_time, to_time};
use hookgraph_domain::ids::{CopyTaskId, TenantId, TokenId};
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::{SecretVault, StoreError};
use hookgraph_domain::tenant::{CopyState, CopyTask, Tenant};
use hookgraph_domain::token::AccessToken;

pub fn to_row(tenant: &Tenant, vault: &dyn SecretVault) -> Result<tenant::Model, StoreError> {
    Ok(tenant::Model {
        id: tenant.id.0,
        identifier: tenant.identifier.clone(),
        default_language: tenant.default_language.clone(),
        body: tenant.body.clone(),
        keys_sealed: keys::seal(&labels::tenant_keys(tenant.id.0), &tenant.keys, vault)?,
        version: tenant.version,
        created_at_us: from_time(tenant.created_at),
        updated_at_us: from_time(tenant.updated_at),
        deleted_at_us: None,
    })
}

pub fn from_row(row: tenant::Model, vault: &dyn SecretVault) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        id: TenantId(row.id),
        keys: keys::opened(&labels::tenant_keys(row.id), &row.keys_sealed, vault)?.keys,
        identifier: row.identifier,
        default_language: row.default_language,
        body: row.body,
        version: row.version,
        created_at: to_time(row.created_at_us)?,
        updated_at: to_time(row.updated_at_us)?,
    })
}

pub fn task_to_row(task: &CopyTask) -> copy_task::Model {
    copy_task::Model {
        id: task.id.0,
        source_tenant_id: task.source_tenant_id.0,
        target_identifier: task.target_identifier.clone(),
        target_tenant_id: task.target_tenant_id.map(|id| id.0),
        state: task.state.as_str().to_owned(),
        body: task.body.clone(),
        error: task.error.clone(),
        user_id: task.user_id.clone(),
        version: task.version,
        created_at_us: from_time(task.created_at),
        updated_at_us: from_time(task.updated_at),
    }
}

pub fn task_from_row(row: copy_task::Model) -> Result<CopyTask, StoreError> {
    Ok(CopyTask {
        id: CopyTaskId(row.id),
        source_tenant_id: TenantId(row.source_tenant_id),
        target_identifier: row.target_identifier,
        target_tenant_id: row.target_tenant_id.map(TenantId),
        state: CopyState::from_name(&row.state).ok_or_else(|| corrupt("copy state", &row.state))?,
        body: row.body,
        error: row.error,
        user_id: row.user_id,
        version: row.version,
        created_at: to_time(row.created_at_us)?,
        updated_at: to_time(row.updated_at_us)?,
    })
}

pub fn token_to_row(token: &AccessToken) -> access_token::Model {
    access_token::Model {
        id: token.id.0,
        tenant_id: token.tenant_id.0,
        name: token.name.clone(),
        secret_sha256: token.secret_sha256.to_vec(),
        permissions: serde_json::Value::from(token.permissions.names()).to_string(),
        created_at_us: from_time(token.created_at),
        expires_at_us: token.expires_at.map(from_time),
        last_used_at_us: token.last_used_at.map(from_time),
        revoked_at_us: token.revoked_at.map(from_time),
    }
}

pub fn token_from_row(row: access_token::Model) -> Result<AccessToken, StoreError> {
    let length = row.secret_sha256.len();
    let names: Vec<String> = from_json("token permissions", &row.permissions)?;
    let permissions = PermissionSet::from_names(names.iter().map(String::as_str));
    Ok(AccessToken {
        id: TokenId(row.id),
        tenant_id: TenantId(row.tenant_id),
        name: row.name,
        secret_sha256: row.secret_sha256.try_into().map_err(|_| corrupt("token hash length", length))?,
        permissions: permissions.map_err(|name| corrupt("token permission", name))?,
        created_at: to_time(row.created_at_us)?,
        expires_at: to_optional_time(row.expires_at_us)?,
        last_used_at: to_optional_time(row.last_used_at_us)?,
        revoked_at: to_optional_time(row.revoked_at_us)?,
    })
}
