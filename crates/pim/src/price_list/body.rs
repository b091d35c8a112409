//! The stored body of a price list, and its links.

use crate::stored::{RecordBody, link};
use async_graphql::{Enum, InputObject, SimpleObject};
use hookgraph_domain::record::{Link, RecordKind};
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The stored body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceListBody {
    pub end_date: Option<Timestamp>,
    pub modifier_type: PriceListModifierType,
    pub name: String,
    pub price_variants: Option<Vec<PriceListPriceVariant>>,
    pub selected_product_variants: SelectedVariantsBody,
    pub start_date: Option<Timestamp>,
    pub target_audience: PriceListTargetAudience,
}

/// What a modifier does to a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
pub enum PriceListModifierType {
    /// It is the price.
    Absolute,
    /// The price becomes that much of a hundred of what it was.
    Percentage,
    /// It is added to the price.
    Relative,
}

/// What a list does to the prices of one price variant.
#[derive(Clone, Debug, PartialEq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(input_name = "PriceListPriceVariantReferenceInput")]
#[serde(rename_all = "camelCase")]
pub struct PriceListPriceVariant {
    /// To how many decimal places the result is rounded.
    pub decimal_places: Option<i32>,
    /// The price variant.
    pub identifier: String,
    /// How much.
    pub modifier: f64,
}

/// Whom a list is for.
#[derive(Clone, Debug, PartialEq, SimpleObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceListTargetAudience {
    /// With `SOME`: the markets.
    pub market_identifiers: Option<Vec<String>>,
    /// Everyone, or some markets.
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub audience: PriceListTargetAudienceType,
}

/// Whom a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
pub enum PriceListTargetAudienceType {
    /// Everyone.
    Everyone,
    /// The customers of some markets.
    Some,
}

/// Which products a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
pub enum PriceListProductSelectionType {
    /// All.
    AllSkus,
    /// Those that it names.
    SomeSkus,
}

/// Which products a list is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelectedVariantsBody {
    pub selection: PriceListProductSelectionType,
    pub variants: Vec<SelectedVariant>,
}

/// A product variant that a list names.
#[derive(Clone, Debug, PartialEq, SimpleObject, Serialize, Deserialize)]
#[graphql(name = "PriceListSelectedProductVariant")]
#[serde(rename_all = "camelCase")]
pub struct SelectedVariant {
    /// What the list does to its prices, where that differs from the list's own modifiers.
    pub price_variants: Option<Vec<SelectedPriceVariant>>,
    /// Its stock keeping unit.
    pub sku: String,
}

/// What a list does to one price of one product variant.
#[derive(Clone, Debug, PartialEq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(name = "PriceListSelectedPriceVariant", input_name = "PriceListProductPriceVariantReference")]
pub struct SelectedPriceVariant {
    /// The price variant.
    pub identifier: String,
    /// How much; none means as the list says.
    pub modifier: Option<f64>,
}

/// The relation to each stock keeping unit that a list names.
pub(crate) const SKU: &str = "sku";
/// The relation that finds the lists about all products; its target is [`YES`].
pub(crate) const ALL_SKUS: &str = "allSkus";
/// The target of [`ALL_SKUS`].
pub(crate) const YES: &str = "yes";

impl RecordBody for PriceListBody {
    const KIND: RecordKind = RecordKind::PriceList;

    fn links(&self) -> Vec<Link> {
        match self.selected_product_variants.selection {
            PriceListProductSelectionType::AllSkus => vec![link(ALL_SKUS, YES)],
            PriceListProductSelectionType::SomeSkus => {
                let variants = self.selected_product_variants.variants.iter();
                variants.map(|variant| link(SKU, variant.sku.as_str())).collect()
            }
        }
    }
}
