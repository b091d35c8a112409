//! `tenant { create update delete regenerateSecrets createCopyTask }`.

use super::Tenant;
use super::body::{LANGUAGE_DEFAULT, StoredTenant, TenantBody, VatTypeBody, body_text, fresh_secret, new_row};
use crate::common::{KeyValuePairInput, converted};
use crate::context::PimContext;
use crate::copy::{CopyRequest, TenantCopyExcludeableTypes, start};
use crate::draft::mutate_unkept;
use crate::error::IntoGraphql;
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use hookgraph_domain::change::Write;
use hookgraph_domain::refusal::Refusal;

/// A new tenant.
#[derive(Clone, Debug, InputObject)]
pub struct CreateTenantInput {
    /// What it uses where a mutation names none.
    pub defaults: Option<TenantDefaultsInput>,
    /// What identifies it on this server: lower-case letters, digits and dashes.
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

/// Which secrets to make anew: all where nothing is said.
#[derive(Clone, Debug, InputObject)]
pub struct RegenerateSecretsInput {
    /// What requests are signed with.
    pub signature_secret: Option<bool>,
    /// Not kept here: access tokens are made and revoked on the command line.
    pub static_auth_token: Option<bool>,
}

/// Mutations of tenants.
pub struct TenantMutations;

#[Object(serial)]
impl TenantMutations {
    /// Creates a tenant. Its signature secret is shown in this answer alone.
    async fn create(&self, ctx: &Context<'_>, input: CreateTenantInput) -> async_graphql::Result<Tenant> {
        let pim = PimContext::of(ctx)?;
        let created = mutate_unkept(pim, async |mut draft| {
            let stored = new_tenant(pim, input.clone())?;
            draft.write(Write::InsertTenant(stored.row.clone()));
            Ok((draft, stored))
        });
        Ok(Tenant::with_secret(created.await.graphql()?))
    }

    /// Changes the caller's tenant.
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
                draft.write(Write::UpdateTenant(new.row.clone()));
            }
            Ok((draft, new))
        });
        Ok(updated.await.graphql()?.into())
    }

    /// Deletes the caller's tenant with all that it owns, and answers how many that were.
    async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<i32> {
        let pim = PimContext::of(ctx)?;
        let tenant_id = pim.tenant(Some(&id)).graphql()?;
        let deleted = mutate_unkept(pim, async |mut draft| {
            draft.write(Write::DeleteTenant(tenant_id));
            Ok((draft, 1))
        });
        deleted.await.graphql()
    }

    /// Makes the signature secret of the caller's tenant anew: it is shown in this answer alone, and signs from now on.
    async fn regenerate_secrets(
        &self,
        ctx: &Context<'_>,
        input: Option<RegenerateSecretsInput>,
        tenant_id: ID,
    ) -> async_graphql::Result<Tenant> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        if input.as_ref().is_some_and(|input| input.static_auth_token == Some(true)) {
            let message = "tenants have no static token here: make access tokens on the command line";
            return Err(Refusal::invalid_at("input.staticAuthToken", "UNSUPPORTED", message)).graphql();
        }
        if input.is_some_and(|input| input.signature_secret != Some(true)) {
            return Ok(pim.own_tenant().await.graphql()?.into());
        }
        let regenerated = mutate_unkept(pim, async |mut draft| {
            let mut stored = pim.own_tenant().await?;
            stored.row.signing_secret = fresh_secret(pim.services.entropy.as_ref());
            stored.row.version += 1;
            stored.row.updated_at = draft.at();
            draft.write(Write::UpdateTenant(stored.row.clone()));
            Ok((draft, stored))
        });
        Ok(Tenant::with_secret(regenerated.await.graphql()?))
    }

    /// Copies the caller's tenant into a new one, in the background. Raises `tenants/copyStarted`, later
    /// `tenants/copyFinished` or `tenants/copyFailed`. Webhooks are copied switched off; no event is raised for what is
    /// copied. With `overwrite`, an earlier copy of the same tenant is deleted to make room.
    #[allow(clippy::too_many_arguments, reason = "the PIM API's arguments")]
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
    let row = new_row(&input.identifier, &language, &body, now, pim.services.entropy.as_ref())?;
    Ok(StoredTenant { row, body })
}

fn check_language(language: &str) -> Result<(), Refusal> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (2..=35).contains(&language.len()) && language.chars().all(is_plain) {
        return Ok(());
    }
    Err(Refusal::invalid_at("input.defaults.language", "LANGUAGE", format!("{language:?} is no language like en-GB")))
}
