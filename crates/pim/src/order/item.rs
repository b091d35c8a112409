//! The lines of an order's cart.

use super::body::OrderItemBody;
use crate::common::KeyValuePair;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::item::{ProductVariant, ids_by_sku, variants_by_skus};
use crate::permission::{PermissionName, requires};
use crate::price::Price;
use crate::scalars::NonNegativeInt;
use crate::version::{Edition, VersionLabel};
use async_graphql::{Context, ID, Object};

/// One line of a cart.
pub struct OrderItem {
    body: OrderItemBody,
    order_id: ID,
}

impl OrderItem {
    pub(super) fn new(body: OrderItemBody, order_id: &str) -> Self {
        Self { body, order_id: ID(order_id.to_owned()) }
    }

    /// The product and variant that bear the stock keeping unit now.
    async fn ids(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<(String, String)>> {
        match &self.body.sku {
            Some(sku) => ids_by_sku(PimContext::of(ctx)?, sku).await.graphql(),
            None => Ok(None),
        }
    }
}

/// One line of a cart.
#[Object]
impl OrderItem {
    /// A picture.
    async fn image_url(&self) -> Option<&str> {
        self.body.image_url.as_deref()
    }

    /// Further properties.
    async fn meta(&self) -> Option<&[KeyValuePair]> {
        self.body.meta.as_deref()
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.body.name
    }

    /// The order.
    async fn order_id(&self) -> &ID {
        &self.order_id
    }

    /// The price of one.
    async fn price(&self) -> Option<&Price> {
        self.body.price.as_ref()
    }

    /// The product: what the order was made with, else the one that bears the stock keeping unit now.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn product_id(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<ID>> {
        match &self.body.product_id {
            Some(id) => Ok(Some(ID(id.clone()))),
            None => Ok(self.ids(ctx).await?.map(|(product_id, _)| ID(product_id))),
        }
    }

    /// The product's subscription.
    async fn product_subscription_id(&self) -> Option<ID> {
        self.body.product_subscription_id.clone().map(ID)
    }

    /// The product's variant that bears the stock keeping unit now, in the tenant's default language where none is named.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn product_variant(
        &self,
        ctx: &Context<'_>,
        language: Option<String>,
        #[graphql(default_with = "VersionLabel::Current")] version_label: VersionLabel,
    ) -> async_graphql::Result<Option<ProductVariant>> {
        let Some(sku) = self.body.sku.clone() else { return Ok(None) };
        let pim = PimContext::of(ctx)?;
        let language = match language {
            Some(language) => language,
            None => pim.default_language().await.graphql()?,
        };
        let edition = Edition { language, label: version_label };
        Ok(variants_by_skus(pim, &[sku], &edition).await.graphql()?.pop())
    }

    /// The product's variant: what the order was made with, else the one that bears the stock keeping unit now.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn product_variant_id(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<ID>> {
        match &self.body.product_variant_id {
            Some(id) => Ok(Some(ID(id.clone()))),
            None => Ok(self.ids(ctx).await?.map(|(_, variant_id)| ID(variant_id))),
        }
    }

    /// How many.
    async fn quantity(&self) -> NonNegativeInt {
        self.body.quantity
    }

    /// The variant's stock keeping unit.
    async fn sku(&self) -> Option<&str> {
        self.body.sku.as_deref()
    }

    /// The price of all.
    async fn sub_total(&self) -> Option<&Price> {
        self.body.sub_total.as_ref()
    }

    /// The subscription contract that it is for.
    async fn subscription_contract_id(&self) -> Option<ID> {
        self.body.subscription_contract_id.clone().map(ID)
    }
}
