//! The lines of an order's cart.

use super::body::OrderItemBody;
use crate::common::KeyValuePair;
use crate::price::Price;
use crate::scalars::NonNegativeInt;
use async_graphql::{ID, Object};

/// One line of a cart.
pub struct OrderItem {
    body: OrderItemBody,
    order_id: ID,
}

impl OrderItem {
    pub(super) fn new(body: OrderItemBody, order_id: &str) -> Self {
        Self { body, order_id: ID(order_id.to_owned()) }
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

    /// The product.
    async fn product_id(&self) -> Option<ID> {
        self.body.product_id.clone().map(ID)
    }

    /// The product's subscription.
    async fn product_subscription_id(&self) -> Option<ID> {
        self.body.product_subscription_id.clone().map(ID)
    }

    /// The product's variant.
    async fn product_variant_id(&self) -> Option<ID> {
        self.body.product_variant_id.clone().map(ID)
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
