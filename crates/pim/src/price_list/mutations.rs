//! `priceList { create update delete upsertSelectedProductVariants removeSelectedProductVariants }`.

use super::inputs::{
    CreatePriceListInput, CreatePriceListProductVariant, UpdatePriceListInput, check, new_body, updated_body, upserted,
};
use super::{PriceList, PriceListBody};
use crate::common::check_identifier;
use crate::context::PimContext;
use crate::draft::{ChangedFields, Draft, Raised, mutate};
use crate::error::IntoGraphql;
use crate::permission::{PermissionName, requires};
use crate::stored::Stored;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::record::Record;
use hookgraph_domain::refusal::Refusal;
use serde_json::json;

/// Mutations of price lists.
pub struct PriceListMutations;

#[Object(serial)]
impl PriceListMutations {
    /// Creates a price list. Raises `priceLists/create`.
    #[graphql(directive = requires::apply(PermissionName::PriceListsWrite))]
    async fn create(&self, ctx: &Context<'_>, input: CreatePriceListInput) -> async_graphql::Result<PriceList> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&input.tenant_id)).graphql()?;
        let created = mutate(pim, async |mut draft| {
            check_identifier(&input.identifier)?;
            let body = new_body(input.clone());
            check(&body)?;
            let stored = draft.create(input.identifier.as_str(), body)?;
            raise(&mut draft, "create", &stored, Vec::new(), None)?;
            Ok((draft, stored))
        });
        Ok(created.await.graphql()?.into())
    }

    /// Changes a price list. Raises `priceLists/update` if anything changed.
    #[graphql(directive = requires::apply(PermissionName::PriceListsWrite))]
    async fn update(
        &self,
        ctx: &Context<'_>,
        identifier: String,
        input: UpdatePriceListInput,
        tenant_id: ID,
    ) -> async_graphql::Result<PriceList> {
        let edit = |old: &PriceListBody| updated_body(old, input.clone());
        change(PimContext::of(ctx)?, &tenant_id, &identifier, edit).await
    }

    /// Adds product variants to a price list, or replaces what it says of them. Raises `priceLists/update` if anything
    /// changed.
    #[graphql(directive = requires::apply(PermissionName::PriceListsWrite))]
    async fn upsert_selected_product_variants(
        &self,
        ctx: &Context<'_>,
        identifier: String,
        tenant_id: ID,
        variants: Vec<CreatePriceListProductVariant>,
    ) -> async_graphql::Result<PriceList> {
        let edit = |old: &PriceListBody| {
            let mut body = old.clone();
            let selected = &mut body.selected_product_variants;
            selected.variants = upserted(std::mem::take(&mut selected.variants), variants.clone());
            body
        };
        change(PimContext::of(ctx)?, &tenant_id, &identifier, edit).await
    }

    /// Takes product variants out of a price list, by their stock keeping units. Raises `priceLists/update` if anything
    /// changed.
    #[graphql(directive = requires::apply(PermissionName::PriceListsWrite))]
    async fn remove_selected_product_variants(
        &self,
        ctx: &Context<'_>,
        identifier: String,
        tenant_id: ID,
        variants: Vec<String>,
    ) -> async_graphql::Result<PriceList> {
        let edit = |old: &PriceListBody| {
            let mut body = old.clone();
            body.selected_product_variants.variants.retain(|variant| !variants.contains(&variant.sku));
            body
        };
        change(PimContext::of(ctx)?, &tenant_id, &identifier, edit).await
    }

    /// Deletes a price list, and answers how many that were. Raises `priceLists/delete`.
    #[graphql(directive = requires::apply(PermissionName::PriceListsWrite))]
    async fn delete(&self, ctx: &Context<'_>, identifier: String, tenant_id: ID) -> async_graphql::Result<i32> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let deleted = mutate(pim, async |mut draft| {
            let Some(stored) = pim.read::<PriceListBody>()?.one(&identifier).await? else { return Ok((draft, 0)) };
            let tombstone = draft.delete(&stored)?;
            raise(&mut draft, "delete", &stored, Vec::new(), Some(tombstone))?;
            Ok((draft, 1))
        });
        deleted.await.graphql()
    }
}

/// Replaces a price list's body; raises `priceLists/update` if the body changed.
async fn change(
    pim: &PimContext,
    tenant_id: &ID,
    identifier: &str,
    edit: impl Fn(&PriceListBody) -> PriceListBody + Sync,
) -> async_graphql::Result<PriceList> {
    pim.tenant(Some(tenant_id)).graphql()?;
    let updated = mutate(pim, async |mut draft| {
        let old = pim.read::<PriceListBody>()?.existing(identifier).await?;
        let body = edit(&old.body);
        check(&body)?;
        let (stored, changed) = draft.update(&old, body)?;
        if !changed.is_empty() {
            raise(&mut draft, "update", &stored, changed, None)?;
        }
        Ok((draft, stored))
    });
    Ok(updated.await.graphql()?.into())
}

fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    stored: &Stored<PriceListBody>,
    changed_fields: ChangedFields,
    tombstone: Option<Record>,
) -> Result<(), Refusal> {
    let variables = vec![("identifier", json!(stored.key))];
    draft.raise(Raised { variables, changed_fields, tombstone, ..Raised::of("priceLists", event, stored) })
}
