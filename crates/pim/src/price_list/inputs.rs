//! Inputs of price list mutations, and the bodies that they make.

use super::body::{
    PriceListBody, PriceListModifierType, PriceListPriceVariant, PriceListProductSelectionType,
    PriceListTargetAudience, PriceListTargetAudienceType, SelectedPriceVariant, SelectedVariant, SelectedVariantsBody,
};
use crate::scalars::DateTime;
use async_graphql::{ID, InputObject};
use hookgraph_domain::refusal::Refusal;

/// A new price list.
#[derive(Clone, Debug, InputObject)]
pub struct CreatePriceListInput {
    /// When it ends.
    pub end_date: Option<DateTime>,
    /// What identifies it within its tenant.
    pub identifier: String,
    /// What its modifiers do to a price.
    pub modifier_type: PriceListModifierType,
    /// What it is called.
    pub name: String,
    /// What it does to the prices of each price variant.
    pub price_variants: Option<Vec<PriceListPriceVariant>>,
    /// Which products it is about.
    pub selected_product_variants: CreatePriceListSelectedProductVariantsInput,
    /// When it starts.
    pub start_date: Option<DateTime>,
    /// Whom it is for.
    pub target_audience: CreatePriceListTargetAudienceInput,
    /// The owner.
    pub tenant_id: ID,
}

/// What shall change of a price list: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdatePriceListInput {
    /// When it ends.
    pub end_date: Option<DateTime>,
    /// What its modifiers do to a price.
    pub modifier_type: Option<PriceListModifierType>,
    /// What it is called.
    pub name: Option<String>,
    /// What it does to the prices of each price variant: they replace those before.
    pub price_variants: Option<Vec<PriceListPriceVariant>>,
    /// Which products it is about: they replace those before.
    pub selected_product_variants: Option<CreatePriceListSelectedProductVariantsInput>,
    /// When it starts.
    pub start_date: Option<DateTime>,
    /// Whom it is for.
    pub target_audience: Option<CreatePriceListTargetAudienceInput>,
}

/// A product variant that a list names.
#[derive(Clone, Debug, InputObject)]
pub struct CreatePriceListProductVariant {
    /// What the list does to its prices, where that differs from the list's own modifiers.
    pub price_variants: Option<Vec<SelectedPriceVariant>>,
    /// Its stock keeping unit.
    pub sku: String,
}

/// Which products a list is about.
#[derive(Clone, Debug, InputObject)]
pub struct CreatePriceListSelectedProductVariantsInput {
    /// All, or those that it names.
    #[graphql(name = "type")]
    pub selection: PriceListProductSelectionType,
    /// Those that it names.
    pub variants: Option<Vec<CreatePriceListProductVariant>>,
}

/// Whom a list is for.
#[derive(Clone, Debug, InputObject)]
pub struct CreatePriceListTargetAudienceInput {
    /// With `SOME`: the markets.
    pub market_identifiers: Option<Vec<Option<String>>>,
    /// Everyone, or some markets.
    #[graphql(name = "type")]
    pub audience: PriceListTargetAudienceType,
}

impl From<CreatePriceListProductVariant> for SelectedVariant {
    fn from(input: CreatePriceListProductVariant) -> Self {
        Self { price_variants: input.price_variants, sku: input.sku }
    }
}

impl From<CreatePriceListSelectedProductVariantsInput> for SelectedVariantsBody {
    fn from(input: CreatePriceListSelectedProductVariantsInput) -> Self {
        let variants = input.variants.unwrap_or_default();
        Self { selection: input.selection, variants: upserted(Vec::new(), variants) }
    }
}

impl From<CreatePriceListTargetAudienceInput> for PriceListTargetAudience {
    fn from(input: CreatePriceListTargetAudienceInput) -> Self {
        let market_identifiers = input.market_identifiers.map(|markets| markets.into_iter().flatten().collect());
        Self { market_identifiers, audience: input.audience }
    }
}

/// The variants with the given ones added; a given one replaces the variant of the same stock keeping unit.
pub(super) fn upserted(
    mut variants: Vec<SelectedVariant>,
    given: Vec<CreatePriceListProductVariant>,
) -> Vec<SelectedVariant> {
    for variant in given {
        match variants.iter_mut().find(|old| old.sku == variant.sku) {
            Some(old) => *old = variant.into(),
            None => variants.push(variant.into()),
        }
    }
    variants
}

/// The body of a new price list.
pub(super) fn new_body(input: CreatePriceListInput) -> PriceListBody {
    PriceListBody {
        end_date: input.end_date.map(Into::into),
        modifier_type: input.modifier_type,
        name: input.name,
        price_variants: input.price_variants,
        selected_product_variants: input.selected_product_variants.into(),
        start_date: input.start_date.map(Into::into),
        target_audience: input.target_audience.into(),
    }
}

/// The old body with the given fields replaced.
pub(super) fn updated_body(old: &PriceListBody, input: UpdatePriceListInput) -> PriceListBody {
    let old = old.clone();
    PriceListBody {
        end_date: input.end_date.map(Into::into).or(old.end_date),
        modifier_type: input.modifier_type.unwrap_or(old.modifier_type),
        name: input.name.unwrap_or(old.name),
        price_variants: input.price_variants.or(old.price_variants),
        selected_product_variants: input
            .selected_product_variants
            .map_or(old.selected_product_variants, SelectedVariantsBody::from),
        start_date: input.start_date.map(Into::into).or(old.start_date),
        target_audience: input.target_audience.map_or(old.target_audience, PriceListTargetAudience::from),
    }
}

/// Refuses a list that could never apply.
pub(super) fn check(body: &PriceListBody) -> Result<(), Refusal> {
    if let (Some(start), Some(end)) = (body.start_date, body.end_date)
        && end < start
    {
        return Err(Refusal::invalid_at("input.endDate", "DATE_ORDER", "the end is before the start"));
    }
    Ok(())
}
