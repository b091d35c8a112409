//! Mutations of single variants.

use super::body::{ItemBody, ItemType};
use super::edit::{self, existing};
use super::variant::ProductStockLocation;
use super::variant_edit::{add_variant, change_variant, set_stock as set_stock_at, variant_index};
use super::variant_inputs::VariantPatch;
use crate::component::{ComponentInput, component_bodies};
use crate::context::PimContext;
use crate::draft::mutate;
use crate::limits::{COMPONENTS_MAX, IDENTIFIER_CHARS_MAX, INPUT_LIST_MAX};
use crate::stored::Stored;
use hookgraph_domain::refusal::{Refusal, RefusalCode};

/// Adds a variant.
pub(super) async fn add(
    pim: &PimContext,
    product_id: &str,
    language: &str,
    patch: VariantPatch,
) -> Result<Stored<ItemBody>, Refusal> {
    edit::change(pim, ItemType::Product, product_id, language, |body, texts| {
        add_variant(body, texts, patch.clone(), pim.new_id())
    })
    .await
}

/// Changes one variant.
pub(super) async fn change(
    pim: &PimContext,
    product_id: &str,
    language: &str,
    sku: Option<&str>,
    patch: VariantPatch,
) -> Result<Stored<ItemBody>, Refusal> {
    edit::change(pim, ItemType::Product, product_id, language, |body, texts| {
        change_variant(body, texts, sku, patch.clone())
    })
    .await
}

/// Makes one variant the default.
pub(super) async fn set_default(
    pim: &PimContext,
    product_id: &str,
    language: &str,
    sku: Option<&str>,
) -> Result<Stored<ItemBody>, Refusal> {
    edit::change(pim, ItemType::Product, product_id, language, |body, _| {
        let default = variant_index(body, sku)?;
        let variants = body.shared.variants.iter_mut().enumerate();
        variants.for_each(|(at, variant)| variant.is_default = at == default);
        Ok(())
    })
    .await
}

/// Sets one component of a variant.
pub(super) async fn set_component(
    pim: &PimContext,
    product_id: &str,
    language: &str,
    sku: &str,
    input: ComponentInput,
) -> Result<Stored<ItemBody>, Refusal> {
    let component = component_bodies(vec![input], "input")?;
    edit::change(pim, ItemType::Product, product_id, language, |body, texts| {
        let at = variant_index(body, Some(sku))?;
        let said = texts.variants.entry(body.shared.variants[at].id.clone()).or_default();
        for component in component.clone() {
            match said.components.iter().position(|other| other.component_id == component.component_id) {
                Some(at) => said.components[at] = component,
                None if said.components.len() < COMPONENTS_MAX => said.components.push(component),
                None => {
                    let message = format!("a variant has at most {COMPONENTS_MAX} components");
                    return Err(Refusal::new(RefusalCode::LimitExceeded, message));
                }
            }
        }
        Ok(())
    })
    .await
}

/// Sets the stock of a variant at one location.
pub(super) async fn set_stock(
    pim: &PimContext,
    product_id: &str,
    sku: &str,
    location: &str,
    count: i32,
) -> Result<ProductStockLocation, Refusal> {
    edit::check_text("stockLocationIdentifier", location, IDENTIFIER_CHARS_MAX)?;
    let language = pim.default_language().await?;
    mutate(pim, async |mut draft| {
        let old = existing(pim, ItemType::Product, product_id).await?;
        let mut body = old.body.clone();
        let variant_id = body.shared.variants[variant_index(&body, Some(sku))?].id.clone();
        let stock = body.stock.entry(variant_id).or_default();
        set_stock_at(stock, location, count);
        if stock.len() > INPUT_LIST_MAX {
            let message = format!("a variant has at most {INPUT_LIST_MAX} stock locations");
            return Err(Refusal::new(RefusalCode::LimitExceeded, message));
        }
        let set = stock.iter().find(|stock| stock.identifier == location).cloned();
        let set = set.ok_or_else(|| Refusal::not_found("stock location", location))?;
        edit::save(&mut draft, &old, body, &language)?;
        Ok((draft, ProductStockLocation::from(set)))
    })
    .await
}
