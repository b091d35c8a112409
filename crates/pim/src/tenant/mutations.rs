//! `tenant { create update delete regenerateSecrets createCopyTask }`.

use super::Tenant;
use super::body::{LANGUAGE_DEFAULT, StoredTenant, TenantBody, VatTypeBody, body_text, new_row};
use crate::common::{KeyValuePairInput, converted};
use crate::context::PimContext;
use crate::copy::{CopyRequest, TenantCopyExcludeableTypes, start};
use crate::draft::mutate_unkept;
use crate::error::IntoGraphql;
use crate::permission::{PermissionName, requires};
use crate::signature_key::rotation;
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use hookgraph_domain::change::Write;
use hookgraph_domain::permission::Permission;
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::signing::Rotation;

/// A new tenant.
#[derive(Clone, Debug, InputObject)]
pub struct CreateTenantInput {
    /// What it uses where a mutation names none.
    pub defaults: Option<TenantDefaultsInput>,
    /// What identifies it on this server: lower-case letters, digits and dashes, but no UUID.
    pub identifier: String,
    /// Whether it is in use; it is where nothing is said.
    pub is_active: Option<bool>,
    /// Whether it is on trial.
    pub is_trial: Option<bool>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// What it is called.
    pub name: String,
    /// Rates of value-added tax.
    pub vat_types: Option<Vec<BulkCreateVatTypeInput>>,
}

/// What shall change of a tenant: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateTenantInput {
    /// What it uses where a mutation names none.
    pub defaults: Option<TenantDefaultsInput>,
    /// Whether it is in use.
    pub is_active: Option<bool>,
    /// Whether it is on trial.
    pub is_trial: Option<bool>,
    /// What it is called.
    pub name: Option<String>,
}

/// What a tenant uses where a mutation names none.
#[derive(Clone, Debug, Default, InputObject)]
pub struct TenantDefaultsInput {
    /// The currency's code.
    pub currency: Option<String>,
    /// The language's code.
    pub language: Option<String>,
}

/// A rate of value-added tax.
#[derive(Clone, Debug, InputObject)]
pub struct BulkCreateVatTypeInput {
    /// What it is called.
    pub name: String,
    /// How much of a hundred.
    pub percent: f64,
    /// Ignored: the rate belongs to the tenant that is made.
    pub tenant_id: Option<ID>,
}

/// Which secrets to make anew: both where nothing is said of either, else what is said to be; to choose neither is refused.
#[derive(Clone, Debug, InputObject)]
pub struct RegenerateSecretsInput {
    /// For how many seconds the one before goes on signing beside the new one, up to a week; a day where nothing is said.
    /// What was replaced earlier signs until its own overlap ends, and the JWT is signed with the oldest alone. 0 ends all at
    /// once, for what has leaked.
    pub overlap_s: Option<i32>,
    /// The key pair that signs asymmetrically.
    pub signature_key: Option<bool>,
    /// The secret that signs symmetrically.
    pub signature_secret: Option<bool>,
    /// Not kept here: access tokens are made and revoked by `accessToken { create revoke }`, or on the command line.
    pub static_auth_token: Option<bool>,
}

/// Mutations of tenants.
pub struct TenantMutations;

#[Object(serial)]
impl TenantMutations {
    /// Creates a tenant. Its signature secret is shown in this answer alone.
    #[graphql(directive = requires::apply(PermissionName::TenantsWrite))]
    async fn create(&self, ctx: &Context<'_>, input: CreateTenantInput) -> async_graphql::Result<Tenant> {
        let pim = PimContext::of(ctx)?;
        let created = mutate_unkept(pim, async |mut draft| {
            let stored = new_tenant(pim, input.clone())?;
            draft.write(pim.caller().permit(Permission::TenantsWrite)?, Write::InsertTenant(stored.row.clone()));
            draft.audit("tenant.create", stored.row.id, None, Some(audited(&stored)));
            Ok((draft, stored))
        });
        Ok(Tenant::with_secret(created.await.graphql()?))
    }

    /// Changes the caller's tenant.
    #[graphql(directive = requires::apply(PermissionName::TenantsWrite))]
    async fn update(&self, ctx: &Context<'_>, id: ID, input: UpdateTenantInput) -> async_graphql::Result<Tenant> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&id)).graphql()?;
        let updated = mutate_unkept(pim, async |mut draft| {
            let old = pim.own_tenant().await?;
            let mut new = old.clone();
            let defaults = input.defaults.clone().unwrap_or_default();
            new.body = TenantBody {
                currency: defaults.currency.or(old.body.currency.clone()),
                is_active: input.is_active.unwrap_or(old.body.is_active),
                is_trial: input.is_trial.unwrap_or(old.body.is_trial),
                name: input.name.clone().or(old.body.name.clone()),
                ..old.body.clone()
            };
            if let Some(language) = defaults.language {
                check_language(&language)?;
                new.row.default_language = language;
            }
            if new.body != old.body || new.row.default_language != old.row.default_language {
                new.row.body = body_text(&new.body)?;
                new.row.version += 1;
                new.row.updated_at = draft.at();
                draft.write(pim.caller().permit(Permission::TenantsWrite)?, Write::UpdateTenant(new.row.clone()));
                draft.audit("tenant.update", new.row.id, Some(audited(&old)), Some(audited(&new)));
            }
            Ok((draft, new))
        });
        Ok(updated.await.graphql()?.into())
    }

    /// Deletes the caller's tenant with all that it owns, and answers how many tenants that were. From then on its tokens open
    /// nothing, nothing is sent for its webhooks, and its identifier is free; its rows are removed in the background.
    #[graphql(directive = requires::apply(PermissionName::TenantsWrite))]
    async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<i32> {
        let pim = PimContext::of(ctx)?;
        let tenant_id = pim.tenant(Some(&id)).graphql()?;
        let deleted = mutate_unkept(pim, async |mut draft| {
            draft.write(pim.caller().permit(Permission::TenantsWrite)?, Write::DeleteTenant(tenant_id));
            Ok((draft, 1))
        });
        deleted.await.graphql()
    }

    /// Makes the signature secret and key of the caller's tenant anew: they sign from now on, beside those before while the
    /// overlap lasts. A new secret is shown in this answer alone; where the key alone is made, `signatureSecret` is empty.
    #[graphql(
        directive = requires::apply(PermissionName::SecretsWrite),
        directive = requires::apply(PermissionName::TenantsRead)
    )]
    async fn regenerate_secrets(
        &self,
        ctx: &Context<'_>,
        input: Option<RegenerateSecretsInput>,
        tenant_id: ID,
    ) -> async_graphql::Result<Tenant> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        if input.as_ref().is_some_and(|input| input.static_auth_token == Some(true)) {
            let message = "tenants have no static token here: make access tokens by accessToken { create }";
            return Err(Refusal::invalid_at("input.staticAuthToken", "UNSUPPORTED", message)).graphql();
        }
        let asked = input.map(|input| (input.signature_secret, input.signature_key, input.overlap_s));
        let (secret, key, overlap_s) = asked.unwrap_or_default();
        let rotation = rotation(secret, key, overlap_s).graphql()?;
        let regenerated = mutate_unkept(pim, async |mut draft| {
            let mut stored = pim.own_tenant().await?;
            stored.row.keys = stored.row.keys.rotated(rotation, draft.at(), pim.entropy())?;
            stored.row.version += 1;
            stored.row.updated_at = draft.at();
            draft.write(pim.caller().permit(Permission::SecretsWrite)?, Write::UpdateTenant(stored.row.clone()));
            let Rotation { secret, key, overlap_s } = rotation;
            let after = serde_json::json!({ "signatureSecret": secret, "signatureKey": key, "overlapS": overlap_s });
            draft.audit("tenant.regenerateSecrets", stored.row.id, None, Some(after));
            Ok((draft, stored))
        });
        let stored = regenerated.await.graphql()?;
        Ok(if rotation.secret { Tenant::with_secret(stored) } else { stored.into() })
    }

    /// Copies the caller's tenant into a new one, in the background. Raises `tenants/copyStarted`, later
    /// `tenants/copyFinished` or `tenants/copyFailed`. Webhooks are copied switched off; no event is raised for what is
    /// copied. With `overwrite`, an earlier copy of the same tenant is deleted to make room, however it has lived since.
    /// Needs `CUSTOMERS_READ`, `ORDERS_READ`, `SUBSCRIPTION_CONTRACTS_READ` and `WEBHOOKS_WRITE` too, each but where what it is
    /// about is excluded.
    #[allow(clippy::too_many_arguments, reason = "the PIM API's arguments")]
    #[graphql(
        directive = requires::apply(PermissionName::TenantsWrite),
        directive = requires::apply(PermissionName::ItemsRead),
        directive = requires::apply(PermissionName::TopicsRead),
        directive = requires::apply(PermissionName::GridsRead),
        directive = requires::apply(PermissionName::PipelinesRead),
        directive = requires::apply(PermissionName::FlowsRead),
        directive = requires::apply(PermissionName::PriceListsRead),
        directive = requires::apply(PermissionName::MarketsRead)
    )]
    async fn create_copy_task(
        &self,
        ctx: &Context<'_>,
        desired_identifier: String,
        desired_name: Option<String>,
        exclude: Option<Vec<TenantCopyExcludeableTypes>>,
        #[graphql(default_with = "Some(false)")] overwrite: Option<bool>,
        tenant_id: ID,
    ) -> async_graphql::Result<BulkTaskTenantCopyInfo> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let (exclude, overwrite) = (exclude.unwrap_or_default(), overwrite == Some(true));
        let request = CopyRequest { desired_identifier, desired_name, exclude, overwrite };
        let id = start(pim, request).await.graphql()?;
        Ok(BulkTaskTenantCopyInfo { id: ID(id.to_string()) })
    }
}

/// A tenant copy that was asked for.
#[derive(Clone, Debug, SimpleObject)]
pub struct BulkTaskTenantCopyInfo {
    /// The id of the task, which its events bear as `taskId`.
    pub id: ID,
}

fn new_tenant(pim: &PimContext, input: CreateTenantInput) -> Result<StoredTenant, Refusal> {
    let now = pim.now();
    let defaults = input.defaults.unwrap_or_default();
    let language = defaults.language.unwrap_or_else(|| LANGUAGE_DEFAULT.to_owned());
    check_language(&language)?;
    let vat_types = input.vat_types.unwrap_or_default().into_iter().map(|vat_type| VatTypeBody {
        created_at: now,
        id: pim.new_id().to_string(),
        name: vat_type.name,
        percent: vat_type.percent,
    });
    let body = TenantBody {
        copied_from: None,
        currency: defaults.currency,
        is_active: input.is_active.unwrap_or(true),
        is_trial: input.is_trial.unwrap_or(false),
        meta: converted(input.meta),
        name: Some(input.name),
        vat_types: vat_types.collect(),
    };
    let row = new_row(&input.identifier, &language, &body, now, pim.entropy())?;
    Ok(StoredTenant { row, body })
}

fn check_language(language: &str) -> Result<(), Refusal> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (2..=35).contains(&language.len()) && language.chars().all(is_plain) {
        return Ok(());
    }
    Err(Refusal::invalid_at("input.defaults.language", "LANGUAGE", format!("{language:?} is no language like en-GB")))
}

/// A tenant as the audit log keeps it: without its secret.
fn audited(tenant: &StoredTenant) -> serde_json::Value {
    serde_json::json!({
        "identifier": tenant.row.identifier,
        "name": tenant.body.name,
        "defaultLanguage": tenant.row.default_language,
        "currency": tenant.body.currency,
        "isActive": tenant.body.is_active,
        "isTrial": tenant.body.is_trial,
    })
}
