//! Tenants: the owners of everything else. A caller sees its own tenant alone.

mod body;
mod mutations;
mod queries;

pub use body::new_tenant;
pub(crate) use body::{StoredTenant, check_identifier as check_tenant_identifier, copied_tenant};
pub(crate) use mutations::TenantMutations;
pub(crate) use queries::TenantQueries;

use crate::common::{KeyValuePair, property};
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::grid::{Grid, all_grids};
use crate::item::{TreeNode, child_nodes};
use crate::permission::{PermissionName, requires};
use crate::scalars::DateTime;
use crate::signature_key::SignatureKey;
use crate::topic::{Topic, topics_below};
use crate::version::{Edition, VersionLabel};
use async_graphql::{Context, ID, Object, SimpleObject};
use body::VatTypeBody;
use hookgraph_domain::signing::ActiveKeys;

/// A tenant.
#[derive(Clone)]
pub struct Tenant {
    stored: StoredTenant,
    shows_secret: bool,
}

impl From<StoredTenant> for Tenant {
    fn from(stored: StoredTenant) -> Self {
        Self { stored, shows_secret: false }
    }
}

impl Tenant {
    /// The caller's own tenant, for fields of types outside this crate.
    ///
    /// # Errors
    /// When the tenant is gone, or the store fails.
    pub async fn own(ctx: &Context<'_>) -> async_graphql::Result<Self> {
        PimContext::of(ctx)?.own_tenant().await.graphql().map(Self::from)
    }

    /// A tenant whose secret was just made: only this answer shows the secret.
    fn with_secret(stored: StoredTenant) -> Self {
        Self { stored, shows_secret: true }
    }
}

/// The owner of everything below it.
#[Object]
impl Tenant {
    /// The languages of its items.
    async fn available_languages(&self) -> Option<Vec<Language>> {
        let code = self.stored.row.default_language.clone();
        Some(vec![Language { name: code.clone(), code, system: true }])
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.stored.row.created_at)
    }

    /// What it uses where a mutation names none.
    async fn defaults(&self) -> TenantDefaults {
        let (currency, language) = (self.stored.body.currency.clone(), self.stored.row.default_language.clone());
        TenantDefaults { currency, language }
    }

    /// Its latest grids.
    #[graphql(directive = requires::apply(PermissionName::GridsRead))]
    async fn grids(
        &self,
        ctx: &Context<'_>,
        language: String,
        #[graphql(default_with = "VersionLabel::Current")] version_label: VersionLabel,
    ) -> async_graphql::Result<Option<Vec<Grid>>> {
        all_grids(PimContext::of(ctx)?, &Edition { language, label: version_label }).await.graphql().map(Some)
    }

    /// Its id.
    async fn id(&self) -> ID {
        ID(self.stored.row.id.to_string())
    }

    /// What identifies it on this server.
    async fn identifier(&self) -> &str {
        &self.stored.row.identifier
    }

    /// Whether it is in use.
    async fn is_active(&self) -> bool {
        self.stored.body.is_active
    }

    /// Whether it is on trial.
    async fn is_trial(&self) -> bool {
        self.stored.body.is_trial
    }

    /// Further properties.
    async fn meta(&self) -> Option<&[KeyValuePair]> {
        self.stored.body.meta.as_deref()
    }

    /// The value of one further property.
    async fn meta_property(&self, key: String) -> Option<&str> {
        property(self.stored.body.meta.as_deref(), &key)
    }

    /// What it is called.
    async fn name(&self) -> &str {
        self.stored.body.name.as_deref().unwrap_or(&self.stored.row.identifier)
    }

    /// The id of the root of its items: what items without a folder have as their parent.
    async fn root_item_id(&self) -> ID {
        ID(self.stored.row.id.to_string())
    }

    /// What requests are signed with. Shown once, in the answer that made it; empty everywhere else.
    async fn signature_secret(&self) -> &str {
        if self.shows_secret { self.stored.row.keys.secret.current.expose() } else { "" }
    }

    /// The public keys that verify what it signs asymmetrically, the newest first; more than one while overlaps of rotations
    /// last.
    async fn signature_keys(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<SignatureKey>> {
        let now = PimContext::of(ctx)?.now();
        Ok(SignatureKey::all(&ActiveKeys::at(now, &self.stored.row.keys, None)))
    }

    /// The roots of its topic maps.
    #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
    async fn topics(&self, ctx: &Context<'_>, language: String) -> async_graphql::Result<Option<Vec<Topic>>> {
        topics_below(PimContext::of(ctx)?, None, &language).await.graphql().map(Some)
    }

    /// The items at the top of its tree, in its default language.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn tree(
        &self,
        ctx: &Context<'_>,
        version_label: Option<VersionLabel>,
    ) -> async_graphql::Result<Option<Vec<TreeNode>>> {
        let language = self.stored.row.default_language.clone();
        let edition = Edition { language, label: version_label.unwrap_or_default() };
        child_nodes(PimContext::of(ctx)?, None, &edition).await.graphql().map(Some)
    }

    /// When it was last changed.
    async fn updated_at(&self) -> Option<DateTime> {
        Some(DateTime(self.stored.row.updated_at))
    }

    /// Its rates of value-added tax.
    async fn vat_types(&self) -> Option<Vec<VatType>> {
        Some(VatType::of(&self.stored))
    }
}

impl VatType {
    /// The VAT types of a tenant.
    pub(crate) fn of(tenant: &StoredTenant) -> Vec<Self> {
        let tenant_id = ID(tenant.row.id.to_string());
        let of_body = |body: &VatTypeBody| Self {
            created_at: DateTime(body.created_at),
            id: ID(body.id.clone()),
            name: body.name.clone(),
            percent: body.percent,
            tenant_id: tenant_id.clone(),
            updated_at: Some(DateTime(body.created_at)),
        };
        tenant.body.vat_types.iter().map(of_body).collect()
    }
}

/// What a tenant uses where a mutation names none.
#[derive(Clone, Debug, SimpleObject)]
pub struct TenantDefaults {
    /// The currency's code.
    pub currency: Option<String>,
    /// The language's code: events whose mutation names no language bear it.
    pub language: String,
}

/// A language.
#[derive(Clone, Debug, SimpleObject)]
pub struct Language {
    /// Its code, e.g. `en`.
    pub code: String,
    /// What it is called.
    pub name: String,
    /// Whether it is the tenant's default.
    pub system: bool,
}

/// A rate of value-added tax.
#[derive(Clone, Debug, SimpleObject)]
pub struct VatType {
    /// When it was created.
    pub created_at: DateTime,
    /// Its id.
    pub id: ID,
    /// What it is called.
    pub name: String,
    /// How much of a hundred.
    pub percent: f64,
    /// The owner's id.
    pub tenant_id: ID,
    /// When it was last changed.
    pub updated_at: Option<DateTime>,
}
