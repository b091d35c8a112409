//! Applies inputs to the variants of a product.

use super::body::{AttributeBody, ItemBody, PriceBody, SharedVariant, StockBody, Texts};
use super::variant::DEFAULT;
use super::variant_inputs::{
    PriceVariantReferenceInput, ProductVariantAttributeInput, StockLocationReferenceInput, VariantPatch,
};
use crate::common::converted;
use crate::component::component_bodies;
use crate::image::ImageBody;
use crate::limits::{IDENTIFIER_CHARS_MAX, INPUT_LIST_MAX, VARIANTS_MAX};
use hookgraph_domain::refusal::Refusal;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Replaces the variants. A new variant with the id or stock keeping unit of an old one keeps the fields it does not
/// give.
pub(super) fn replace_variants(
    body: &mut ItemBody,
    texts: &mut Texts,
    patches: Vec<VariantPatch>,
    mut new_id: impl FnMut() -> Uuid,
) -> Result<(), Refusal> {
    let mut before = std::mem::take(&mut body.shared.variants);
    for (index, patch) in patches.into_iter().enumerate() {
        let path = format!("input.variants.{index}");
        let at = before.iter().position(|variant| match &patch.id {
            Some(id) => variant.id == *id,
            None => patch.sku.as_ref() == Some(&variant.sku),
        });
        let mut variant = match (at, &patch.id) {
            (Some(at), _) => before.remove(at),
            (None, Some(id)) => return Err(Refusal::not_found("variant", id)),
            (None, None) => new_variant(new_id().to_string()),
        };
        // The list as a whole decides which variant is the default.
        variant.is_default &= patch.is_default.is_none();
        apply(body, texts, &mut variant, patch, &path)?;
        body.shared.variants.push(variant);
    }
    check_variants(body)
}

/// Adds a variant.
pub(super) fn add_variant(
    body: &mut ItemBody,
    texts: &mut Texts,
    patch: VariantPatch,
    id: Uuid,
) -> Result<(), Refusal> {
    let mut variant = new_variant(id.to_string());
    let is_default = patch.is_default == Some(true);
    apply(body, texts, &mut variant, patch, "input")?;
    if is_default {
        body.shared.variants.iter_mut().for_each(|other| other.is_default = false);
    }
    body.shared.variants.push(variant);
    check_variants(body)
}

/// Changes one variant: the one of the stock keeping unit, or the default one where none is named.
pub(super) fn change_variant(
    body: &mut ItemBody,
    texts: &mut Texts,
    sku: Option<&str>,
    patch: VariantPatch,
) -> Result<(), Refusal> {
    let at = variant_index(body, sku)?;
    let mut variant = body.shared.variants[at].clone();
    apply(body, texts, &mut variant, patch, "input")?;
    body.shared.variants[at] = variant;
    check_variants(body)
}

/// The index of the variant of the stock keeping unit, or of the default one where none is named.
pub(super) fn variant_index(body: &ItemBody, sku: Option<&str>) -> Result<usize, Refusal> {
    let is_meant = |variant: &SharedVariant| sku.map_or(variant.is_default, |sku| variant.sku == sku);
    let at = body.shared.variants.iter().position(is_meant);
    at.ok_or_else(|| Refusal::not_found("variant", sku.unwrap_or("default")))
}

/// Sets the stock at one location.
pub(super) fn set_stock(stock: &mut Vec<StockBody>, identifier: &str, count: i32) {
    match stock.iter_mut().find(|stock| stock.identifier == identifier) {
        Some(stock) => stock.stock = Some(count),
        None => stock.push(StockBody { identifier: identifier.to_owned(), meta: None, stock: Some(count) }),
    }
}

fn new_variant(id: String) -> SharedVariant {
    SharedVariant { id, sku: String::new(), is_default: false, external_reference: None, prices: Vec::new() }
}

fn apply(
    body: &mut ItemBody,
    texts: &mut Texts,
    variant: &mut SharedVariant,
    patch: VariantPatch,
    path: &str,
) -> Result<(), Refusal> {
    check_list(&format!("{path}.attributes"), patch.attributes.as_ref().map_or(0, Vec::len))?;
    check_list(&format!("{path}.images"), patch.images.as_ref().map_or(0, Vec::len))?;
    if let Some(sku) = patch.sku {
        variant.sku = sku;
    }
    check_sku(&variant.sku, &format!("{path}.sku"))?;
    variant.is_default |= patch.is_default == Some(true);
    variant.external_reference = patch.external_reference.or(variant.external_reference.take());
    if let Some(prices) = patch.price_variants {
        let path = format!("{path}.priceVariants");
        check_identifiers(&path, prices.iter().map(|price| price.identifier.as_str()))?;
        let price = |input: PriceVariantReferenceInput| PriceBody { identifier: input.identifier, price: input.price };
        variant.prices = prices.into_iter().map(price).collect();
    }
    if let Some(price) = patch.price {
        match variant.prices.iter_mut().find(|body| body.identifier == DEFAULT) {
            Some(body) => body.price = Some(price),
            None => variant.prices.insert(0, PriceBody { identifier: DEFAULT.to_owned(), price: Some(price) }),
        }
    }
    let stock = body.stock.entry(variant.id.clone()).or_default();
    if let Some(locations) = patch.stock_locations {
        let path = format!("{path}.stockLocations");
        check_identifiers(&path, locations.iter().map(|location| location.identifier.as_str()))?;
        let location = |input: StockLocationReferenceInput| StockBody {
            identifier: input.identifier,
            meta: converted(input.meta),
            stock: input.stock,
        };
        *stock = locations.into_iter().map(location).collect();
    }
    if let Some(count) = patch.stock {
        set_stock(stock, DEFAULT, count);
    }
    let said = texts.variants.entry(variant.id.clone()).or_default();
    said.name = patch.name.or(said.name.take());
    if let Some(attributes) = patch.attributes {
        let attribute =
            |input: ProductVariantAttributeInput| AttributeBody { attribute: input.attribute, value: input.value };
        said.attributes = Some(attributes.into_iter().map(attribute).collect());
    }
    if let Some(components) = patch.components {
        said.components = component_bodies(components, &format!("{path}.components"))?;
    }
    if let Some(images) = patch.images {
        said.images = Some(images.into_iter().map(ImageBody::from).collect());
    }
    Ok(())
}

/// Refuses variants that no product can have. Without a default variant, the first becomes the default. Drops the stock
/// of variants that are gone.
fn check_variants(body: &mut ItemBody) -> Result<(), Refusal> {
    let variants = &mut body.shared.variants;
    let refused = |code: &str, message: String| Err(Refusal::invalid_at("input.variants", code, message));
    if variants.len() > VARIANTS_MAX {
        return refused("TOO_MANY", format!("{} variants, {VARIANTS_MAX} are allowed", variants.len()));
    }
    let skus: BTreeSet<_> = variants.iter().map(|variant| &variant.sku).collect();
    if skus.len() < variants.len() {
        return refused("DUPLICATE", "two variants have the same sku".to_owned());
    }
    match variants.iter().filter(|variant| variant.is_default).count() {
        0 => match variants.first_mut() {
            Some(first) => first.is_default = true,
            None => return refused("TOO_FEW", "a product has at least one variant".to_owned()),
        },
        1 => {}
        many => return refused("ONE_DEFAULT", format!("one variant is the default, not {many}")),
    }
    let ids: BTreeSet<_> = body.shared.variants.iter().map(|variant| variant.id.clone()).collect();
    body.stock.retain(|id, stock| ids.contains(id) && !stock.is_empty());
    Ok(())
}

fn check_sku(sku: &str, path: &str) -> Result<(), Refusal> {
    let chars = sku.chars().count();
    if (1..=IDENTIFIER_CHARS_MAX).contains(&chars) && !sku.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("a sku has 1 to {IDENTIFIER_CHARS_MAX} characters and no control characters");
    Err(Refusal::invalid_at(path, "IDENTIFIER", message))
}

fn check_identifiers<'a>(path: &str, identifiers: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for identifier in identifiers {
        if !seen.insert(identifier) {
            return Err(Refusal::invalid_at(path, "DUPLICATE", format!("{identifier:?} is given twice")));
        }
        check_list(path, seen.len())?;
    }
    Ok(())
}

fn check_list(path: &str, len: usize) -> Result<(), Refusal> {
    if len <= INPUT_LIST_MAX {
        return Ok(());
    }
    Err(Refusal::invalid_at(path, "TOO_MANY", format!("{len} elements, {INPUT_LIST_MAX} are allowed")))
}
