//! `document`, `folder` and `product { create update delete publish unpublish … }`.

use super::body::{ItemBody, ItemType};
use super::inputs::{
    CreateDocumentInput, CreateFolderInput, CreateProductInput, ItemPatch, NewItem, UpdateDocumentInput,
    UpdateFolderInput, UpdateProductInput,
};
use super::publish::{self, PublishInfo};
use super::variant::ProductStockLocation;
use super::variant_inputs::{CreateProductVariantInput, UpdateSingleProductVariantInput, VariantPatch};
use super::view::ItemView;
use super::{Document, Folder, Product, cascade, edit, variant_mutations};
use crate::component::ComponentInput;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::permission::{PermissionName, requires};
use crate::stored::Stored;
use crate::version::{Edition, VersionLabel};
use async_graphql::{Context, ID, Object};

/// An item that was just written, as the API shows it.
pub(super) fn shown(stored: Stored<ItemBody>, language: String) -> async_graphql::Result<ItemView> {
    let view = ItemView::of(stored, &Edition { language, label: VersionLabel::Current });
    view.ok_or_else(|| async_graphql::Error::new("the item has no current version"))
}

macro_rules! item_mutations {
    ($mutations:ident, $type:ident, $noun:literal, $create:ident, $update:ident { $($own_fields:tt)* }) => {
        #[doc = concat!("Mutations of ", $noun, "s.")]
        pub struct $mutations;

        #[Object(serial)]
        impl $mutations {
            #[doc = concat!("Creates a ", $noun, " in one language. Raises `items/create`.")]
            #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
            async fn create(
                &self,
                ctx: &Context<'_>,
                input: $create,
                language: String,
            ) -> async_graphql::Result<$type> {
                let created = edit::create(PimContext::of(ctx)?, NewItem::from(input), &language).await;
                Ok($type(shown(created.graphql()?, language)?))
            }

            #[doc = concat!(
                "Deletes a ", $noun, " with all that is below it in the tree, and answers how many items that"
            )]
            /// were. Raises `items/delete` for each.
            #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
            async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<i32> {
                cascade::delete(PimContext::of(ctx)?, ItemType::$type, &id).await.graphql()
            }

            /// Publishes the draft of a language, with all that is below if asked to. Raises `items/publish` for each
            /// that was not published as it is.
            #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
            async fn publish(
                &self,
                ctx: &Context<'_>,
                id: ID,
                #[graphql(default_with = "Some(false)")] include_descendants: Option<bool>,
                language: String,
            ) -> async_graphql::Result<PublishInfo> {
                let pim = PimContext::of(ctx)?;
                let with_descendants = include_descendants.unwrap_or(false);
                publish::publish(pim, ItemType::$type, &id, &language, with_descendants).await.graphql()
            }

            /// Takes back what is published of a language, with all that is below if asked to. Raises
            /// `items/unpublish` for each that was published. Null when it was not published.
            #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
            async fn unpublish(
                &self,
                ctx: &Context<'_>,
                id: ID,
                #[graphql(default_with = "Some(false)")] include_descendants: Option<bool>,
                language: String,
            ) -> async_graphql::Result<Option<PublishInfo>> {
                let pim = PimContext::of(ctx)?;
                let with_descendants = include_descendants.unwrap_or(false);
                publish::unpublish(pim, ItemType::$type, &id, &language, with_descendants).await.graphql()
            }

            #[doc = concat!(
                "Changes a ", $noun, " in one language, and what its languages share. Raises `items/update` with"
            )]
            /// that language if anything changed.
            #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
            async fn update(
                &self,
                ctx: &Context<'_>,
                id: ID,
                input: $update,
                language: String,
            ) -> async_graphql::Result<$type> {
                let pim = PimContext::of(ctx)?;
                let updated = edit::update(pim, ItemType::$type, &id, ItemPatch::from(input), &language).await;
                Ok($type(shown(updated.graphql()?, language)?))
            }

            $($own_fields)*
        }
    };
}

item_mutations!(DocumentMutations, Document, "document", CreateDocumentInput, UpdateDocumentInput {});
item_mutations!(FolderMutations, Folder, "folder", CreateFolderInput, UpdateFolderInput {});
item_mutations!(ProductMutations, Product, "product", CreateProductInput, UpdateProductInput {
    /// Adds a variant. Raises `items/update`.
    #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
    async fn add_variant(
        &self,
        ctx: &Context<'_>,
        input: CreateProductVariantInput,
        language: String,
        product_id: ID,
    ) -> async_graphql::Result<Product> {
        let added = variant_mutations::add(PimContext::of(ctx)?, &product_id, &language, input.into()).await;
        Ok(Product(shown(added.graphql()?, language)?))
    }

    /// Makes the variant of that stock keeping unit the one that stands for the product. Raises `items/update` if
    /// another one did.
    #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
    async fn set_default_variant(
        &self,
        ctx: &Context<'_>,
        language: String,
        product_id: ID,
        sku: Option<String>,
    ) -> async_graphql::Result<Product> {
        let pim = PimContext::of(ctx)?;
        let changed = variant_mutations::set_default(pim, &product_id, &language, sku.as_deref()).await;
        Ok(Product(shown(changed.graphql()?, language)?))
    }

    /// Sets the stock of a variant at one location, which has no versions. Raises `items/update` with the tenant's
    /// default language if it changed.
    #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
    async fn update_stock(
        &self,
        ctx: &Context<'_>,
        product_id: ID,
        sku: String,
        stock: i32,
        #[graphql(default_with = "super::variant::DEFAULT.to_owned()")] stock_location_identifier: String,
    ) -> async_graphql::Result<ProductStockLocation> {
        let pim = PimContext::of(ctx)?;
        let location = stock_location_identifier.as_str();
        variant_mutations::set_stock(pim, &product_id, &sku, location, stock).await.graphql()
    }

    /// Changes one variant, the default one where no stock keeping unit names it. Raises `items/update` if anything
    /// changed.
    #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
    async fn update_variant(
        &self,
        ctx: &Context<'_>,
        input: UpdateSingleProductVariantInput,
        language: String,
        product_id: ID,
        sku: Option<String>,
    ) -> async_graphql::Result<Product> {
        let pim = PimContext::of(ctx)?;
        let patch = VariantPatch::from(input);
        let changed = variant_mutations::change(pim, &product_id, &language, sku.as_deref(), patch).await;
        Ok(Product(shown(changed.graphql()?, language)?))
    }

    /// Changes one component of a variant, or adds it. Raises `items/update` if anything changed.
    #[graphql(directive = requires::apply(PermissionName::ItemsWrite))]
    async fn update_variant_component(
        &self,
        ctx: &Context<'_>,
        input: ComponentInput,
        language: String,
        product_id: ID,
        sku: String,
    ) -> async_graphql::Result<Product> {
        let pim = PimContext::of(ctx)?;
        let changed = variant_mutations::set_component(pim, &product_id, &language, &sku, input).await;
        Ok(Product(shown(changed.graphql()?, language)?))
    }
});
