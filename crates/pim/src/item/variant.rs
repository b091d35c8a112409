//! Variants of products: each has a stock keeping unit, prices and stock.

use super::Product;
use super::body::{SharedVariant, StockBody, VariantTexts};
use super::view::ItemView;
use crate::common::{KeyValuePair, property};
use crate::component::{Component, components};
use crate::image::Image;
use async_graphql::{ComplexObject, ID, Object, SimpleObject};
use serde::{Deserialize, Serialize};

/// The identifier of prices and stock locations where none is given.
pub(crate) const DEFAULT: &str = "default";

/// A variant of a product.
#[derive(Clone)]
pub struct ProductVariant {
    product: ItemView,
    shared: SharedVariant,
    texts: VariantTexts,
}

impl ProductVariant {
    /// The variants of a product in its edition.
    pub(super) fn all(product: &ItemView) -> Vec<Self> {
        product.content.shared.variants.iter().map(|shared| Self::of(product, shared)).collect()
    }

    /// The first variant that fits.
    pub(super) fn find(product: &ItemView, fits: impl Fn(&SharedVariant) -> bool) -> Option<Self> {
        product.content.shared.variants.iter().find(|shared| fits(shared)).map(|shared| Self::of(product, shared))
    }

    fn of(product: &ItemView, shared: &SharedVariant) -> Self {
        let texts = product.content.texts.variants.get(&shared.id).cloned().unwrap_or_default();
        Self { product: product.clone(), shared: shared.clone(), texts }
    }

    fn stock_bodies(&self) -> &[StockBody] {
        self.product.stored.body.stock.get(&self.shared.id).map_or(&[], Vec::as_slice)
    }
}

/// A variant of a product.
#[Object]
impl ProductVariant {
    /// What sets it apart from its siblings.
    async fn attributes(&self) -> Option<Vec<ProductVariantAttribute>> {
        let attributes = self.texts.attributes.as_ref()?.iter();
        let attribute = |body: &super::body::AttributeBody| ProductVariantAttribute {
            attribute: body.attribute.clone(),
            value: body.value.clone(),
        };
        Some(attributes.map(attribute).collect())
    }

    /// Its components.
    async fn components(&self) -> Option<Vec<Component>> {
        Some(components(&self.texts.components, &self.product.edition))
    }

    /// Its id in another system.
    async fn external_reference(&self) -> Option<&str> {
        self.shared.external_reference.as_deref()
    }

    /// Its id within its product.
    async fn id(&self) -> ID {
        ID(self.shared.id.clone())
    }

    /// Its images.
    async fn images(&self) -> Option<Vec<Image>> {
        Some(self.texts.images.as_ref()?.iter().cloned().map(Image).collect())
    }

    /// Whether it stands for its product.
    async fn is_default(&self) -> bool {
        self.shared.is_default
    }

    /// Its name; null where the language has none.
    async fn name(&self) -> Option<&str> {
        self.texts.name.as_deref()
    }

    /// One of its prices.
    async fn price(&self, #[graphql(default_with = "DEFAULT.to_owned()")] identifier: String) -> Option<f64> {
        self.shared.prices.iter().find(|price| price.identifier == identifier)?.price
    }

    /// Its prices.
    async fn price_variants(&self) -> Option<Vec<ProductPriceVariant>> {
        let prices = self.shared.prices.iter();
        let price_variant = |body: &super::body::PriceBody| ProductPriceVariant {
            currency: None,
            identifier: body.identifier.clone(),
            name: Some(body.identifier.clone()),
            price: body.price,
        };
        Some(prices.map(price_variant).collect())
    }

    /// What it is a variant of.
    async fn product(&self) -> Product {
        Product(self.product.clone())
    }

    /// What it is a variant of.
    async fn product_id(&self) -> ID {
        ID(self.product.stored.key.clone())
    }

    /// Its stock keeping unit: no other variant of the tenant has it.
    async fn sku(&self) -> &str {
        &self.shared.sku
    }

    /// How many there are at one of its stock locations.
    async fn stock(&self, #[graphql(default_with = "DEFAULT.to_owned()")] identifier: String) -> Option<i32> {
        self.stock_bodies().iter().find(|stock| stock.identifier == identifier)?.stock
    }

    /// Where it is kept. Stock has no versions: it holds at once.
    async fn stock_locations(&self) -> Option<Vec<ProductStockLocation>> {
        Some(self.stock_bodies().iter().cloned().map(ProductStockLocation::from).collect())
    }
}

/// What sets a variant apart.
#[derive(Clone, Debug, SimpleObject)]
pub struct ProductVariantAttribute {
    /// What about it.
    pub attribute: String,
    /// What it is.
    pub value: String,
}

/// A price of a variant.
#[derive(Clone, Debug, SimpleObject)]
pub struct ProductPriceVariant {
    /// Its currency, where the tenant says so.
    pub currency: Option<String>,
    /// Which price.
    pub identifier: String,
    /// Its name.
    pub name: Option<String>,
    /// The price.
    pub price: Option<f64>,
}

/// Where a variant is kept, and how many.
#[derive(Clone, Debug, SimpleObject, Serialize, Deserialize)]
#[graphql(complex)]
pub struct ProductStockLocation {
    /// Which location.
    pub identifier: String,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePair>>,
    /// Its name.
    pub name: String,
    /// How many.
    pub stock: Option<i32>,
}

#[ComplexObject]
impl ProductStockLocation {
    /// The value of one further property.
    async fn meta_property(&self, key: String) -> Option<&str> {
        property(self.meta.as_deref(), &key)
    }
}

impl From<StockBody> for ProductStockLocation {
    fn from(body: StockBody) -> Self {
        Self { name: body.identifier.clone(), identifier: body.identifier, meta: body.meta, stock: body.stock }
    }
}
