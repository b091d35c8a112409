//! Price lists: kept by identifier.

mod body;
mod inputs;
mod mutations;
mod queries;

pub(crate) use body::PriceListBody;
pub(crate) use mutations::PriceListMutations;
pub(crate) use queries::PriceListQueries;

use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::paging::connection;
use crate::permission::{PermissionName, requires};
use crate::scalars::DateTime;
use crate::stored::Stored;
use crate::tenant::Tenant;
use async_graphql::{Context, ID, Object, SimpleObject};
use body::{
    PriceListModifierType, PriceListPriceVariant, PriceListProductSelectionType, PriceListTargetAudience,
    SelectedVariant,
};

/// A price list.
#[derive(Clone)]
pub struct PriceList {
    stored: Stored<PriceListBody>,
}

impl From<Stored<PriceListBody>> for PriceList {
    fn from(stored: Stored<PriceListBody>) -> Self {
        Self { stored }
    }
}

/// Which products a list is about.
#[derive(Clone, SimpleObject)]
pub struct PriceListSelectedProductVariants {
    /// All, or those that it names.
    #[graphql(name = "type")]
    selection: Option<PriceListProductSelectionType>,
    /// Those that it names.
    variants: Vec<SelectedVariant>,
}

/// What changes the prices of some products for some customers.
#[Object]
impl PriceList {
    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.stored.created_at)
    }

    /// When it ends.
    async fn end_date(&self) -> Option<DateTime> {
        self.stored.body.end_date.map(DateTime)
    }

    /// What identifies it within its tenant.
    async fn identifier(&self) -> &str {
        &self.stored.key
    }

    /// What its modifiers do to a price.
    async fn modifier_type(&self) -> PriceListModifierType {
        self.stored.body.modifier_type
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.stored.body.name
    }

    /// Its modifier of one price variant.
    async fn price(&self, #[graphql(default = "default")] identifier: String) -> Option<f64> {
        let mut variants = self.stored.body.price_variants.iter().flatten();
        variants.find(|variant| variant.identifier == identifier).map(|variant| variant.modifier)
    }

    /// What it does to the prices of each price variant.
    async fn price_variants(&self) -> Option<&[PriceListPriceVariant]> {
        self.stored.body.price_variants.as_deref()
    }

    /// Which products it is about.
    async fn selected_product_variants(&self) -> PriceListSelectedProductVariants {
        let selected = self.stored.body.selected_product_variants.clone();
        PriceListSelectedProductVariants { selection: Some(selected.selection), variants: selected.variants }
    }

    /// When it starts.
    async fn start_date(&self) -> Option<DateTime> {
        self.stored.body.start_date.map(DateTime)
    }

    /// Whom it is for.
    async fn target_audience(&self) -> &PriceListTargetAudience {
        &self.stored.body.target_audience
    }

    /// The owner.
    #[graphql(directive = requires::apply(PermissionName::TenantsRead))]
    async fn tenant(&self, ctx: &Context<'_>) -> async_graphql::Result<Tenant> {
        PimContext::of(ctx)?.own_tenant().await.graphql().map(Tenant::from)
    }

    /// The owner's id.
    async fn tenant_id(&self) -> ID {
        ID(self.stored.tenant_id.to_string())
    }

    /// When it was last changed.
    async fn updated_at(&self) -> Option<DateTime> {
        Some(DateTime(self.stored.updated_at))
    }
}

connection!(PriceListConnection, PriceListConnectionEdge, PriceList, PriceListBody);
