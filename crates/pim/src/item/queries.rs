//! `item`, `product`, `document` and `folder { get … }`.

use super::body::{ItemBody, ItemType, VARIANT_EXTERNAL_REFERENCE};
use super::variant::ProductVariant;
use super::view::{ItemView, items_by_external_references, variants_by_skus, view_by_id, views_by_ids};
use super::{Document, Folder, Item, Product};
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::limits::INPUT_LIST_MAX;
use crate::paging::latest;
use crate::permission::{PermissionName, requires};
use crate::version::{Edition, VersionLabel};
use async_graphql::{Context, ID, Object};
use futures::future::try_join_all;
use hookgraph_domain::refusal::Refusal;

/// Queries on items of any type.
pub struct ItemQueries;

#[Object]
impl ItemQueries {
    /// One item. In a language without any version, its current version has no name and no components; draft and
    /// published versions that are not there answer null.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn get(
        &self,
        ctx: &Context<'_>,
        id: ID,
        language: String,
        #[graphql(default_with = "VersionLabel::Current")] version_label: VersionLabel,
    ) -> async_graphql::Result<Option<Item>> {
        let edition = Edition { language, label: version_label };
        let view = view_by_id(PimContext::of(ctx)?, &id, &edition).await.graphql()?;
        Ok(view.map(Item::from))
    }

    /// The items with those ids in another system; without them the latest items, up to the limit of a list.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        external_references: Option<Vec<String>>,
        language: String,
        tenant_id: Option<ID>,
        #[graphql(default_with = "VersionLabel::Current")] version_label: VersionLabel,
    ) -> async_graphql::Result<Option<Vec<Item>>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(tenant_id.as_deref().map(String::as_str)).graphql()?;
        let edition = Edition { language, label: version_label };
        let items = match external_references {
            Some(references) => {
                check_list("externalReferences", references.len()).graphql()?;
                items_by_external_references(pim, &references, &edition).await.graphql()?
            }
            None => latest_items(pim, &edition).await.graphql()?,
        };
        Ok(Some(items))
    }
}

async fn latest_items(pim: &PimContext, edition: &Edition) -> Result<Vec<Item>, Refusal> {
    let stored = latest::<ItemBody>(pim).await?;
    Ok(stored.into_iter().filter_map(|stored| ItemView::of(stored, edition)).map(Item::from).collect())
}

fn check_list(argument: &str, len: usize) -> Result<(), Refusal> {
    if len <= INPUT_LIST_MAX {
        return Ok(());
    }
    Err(Refusal::invalid_at(argument, "TOO_MANY", format!("{len} elements, {INPUT_LIST_MAX} are allowed")))
}

async fn view_of_type(
    ctx: &Context<'_>,
    item_type: ItemType,
    id: &str,
    language: String,
    label: VersionLabel,
) -> async_graphql::Result<Option<ItemView>> {
    let view = view_by_id(PimContext::of(ctx)?, id, &Edition { language, label }).await.graphql()?;
    Ok(view.filter(|view| view.item_type() == item_type))
}

macro_rules! item_type_queries {
    ($queries:ident, $type:ident, $noun:literal { $($own_fields:tt)* }) => {
        #[doc = concat!("Queries on ", $noun, "s.")]
        pub struct $queries;

        #[Object]
        impl $queries {
            #[doc = concat!("One ", $noun, ".")]
            #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
            async fn get(
                &self,
                ctx: &Context<'_>,
                id: ID,
                language: String,
                #[graphql(default_with = "VersionLabel::Current")] version_label: VersionLabel,
            ) -> async_graphql::Result<Option<$type>> {
                Ok(view_of_type(ctx, ItemType::$type, &id, language, version_label).await?.map($type))
            }

            $($own_fields)*
        }
    };
}

item_type_queries!(DocumentQueries, Document, "document" {});
item_type_queries!(FolderQueries, Folder, "folder" {});
item_type_queries!(ProductQueries, Product, "product" {
    /// The variants with those stock keeping units, then those with those ids in another system.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn get_variants(
        &self,
        ctx: &Context<'_>,
        external_references: Option<Vec<String>>,
        language: String,
        skus: Option<Vec<String>>,
        tenant_id: ID,
        #[graphql(default_with = "VersionLabel::Current")] version_label: VersionLabel,
    ) -> async_graphql::Result<Option<Vec<ProductVariant>>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let edition = Edition { language, label: version_label };
        let (skus, references) = (skus.unwrap_or_default(), external_references.unwrap_or_default());
        check_list("skus", skus.len()).graphql()?;
        check_list("externalReferences", references.len()).graphql()?;
        let mut variants = variants_by_skus(pim, &skus, &edition).await.graphql()?;
        variants.extend(variants_by_external_references(pim, &references, &edition).await.graphql()?);
        Ok(Some(variants))
    }
});

async fn variants_by_external_references(
    pim: &PimContext,
    references: &[String],
    edition: &Edition,
) -> Result<Vec<ProductVariant>, Refusal> {
    let items = pim.read::<ItemBody>()?;
    let keys = references.iter().map(|reference| items.linked_keys(VARIANT_EXTERNAL_REFERENCE, reference));
    let keys = try_join_all(keys).await?;
    let mut variants = Vec::new();
    for (reference, keys) in references.iter().zip(keys) {
        for view in views_by_ids(pim, &keys, edition).await? {
            variants
                .extend(ProductVariant::find(&view, |variant| variant.external_reference.as_ref() == Some(reference)));
        }
    }
    Ok(variants)
}
