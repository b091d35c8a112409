//! The item types of the API: one interface, three types.

#![allow(clippy::duplicated_attributes, reason = "fields of the interface have the same types")]

use super::body::ItemType;
use super::tree::TreeNode;
use super::variant::ProductVariant;
use super::view::ItemView;
use crate::component::{Component, components};
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::permission::{PermissionName, requires};
use crate::scalars::DateTime;
use crate::tenant::VatType;
use crate::topic::{Topic, topics_by_ids};
use crate::version::{VersionLabel, VersionedRecordInfo};
use async_graphql::{Context, ID, Interface, Object};

/// A product, document or folder.
#[derive(Interface)]
#[graphql(
    field(name = "components", ty = "Option<Vec<Component>>", desc = "Its components."),
    field(name = "created_at", ty = "Option<DateTime>", desc = "When it was created."),
    field(name = "external_reference", ty = "Option<String>", desc = "Its id in another system."),
    field(
        name = "has_version",
        ty = "Option<bool>",
        desc = "Whether its language has a version of that label, by default of that which was asked for.",
        arg(name = "version_label", ty = "Option<VersionLabel>")
    ),
    field(name = "id", ty = "ID", desc = "Its id."),
    field(name = "language", ty = "String", desc = "The language that was asked for."),
    field(name = "name", ty = "Option<String>", desc = "Its name; null where the language has none."),
    field(
        name = "relating_items",
        ty = "Option<Vec<Item>>",
        desc = "The items whose components name it or one of its variants."
    ),
    field(name = "tenant_id", ty = "ID", desc = "The owner."),
    field(name = "topics", ty = "Option<Vec<Topic>>", desc = "Its topics."),
    field(name = "tree", ty = "Option<TreeNode>", desc = "Its place in the tree."),
    field(name = "type", method = "item_type", ty = "ItemType", desc = "Which type of item it is."),
    field(name = "updated_at", ty = "Option<DateTime>", desc = "When it was last changed."),
    field(name = "version", ty = "Option<VersionedRecordInfo>", desc = "Which version was read.")
)]
pub enum Item {
    /// A document.
    Document(Document),
    /// A folder.
    Folder(Folder),
    /// A product.
    Product(Product),
}

macro_rules! item_type {
    ($(#[$doc:meta])* $name:ident { $($own_fields:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(pub(crate) ItemView);

        $(#[$doc])*
        #[Object]
        impl $name {
            /// Its components.
            async fn components(&self) -> Option<Vec<Component>> {
                Some(components(&self.0.content.texts.components, &self.0.edition))
            }

            /// When it was created.
            async fn created_at(&self) -> Option<DateTime> {
                Some(DateTime(self.0.stored.body.created_at))
            }

            /// Its id in another system.
            async fn external_reference(&self) -> Option<String> {
                self.0.content.shared.external_reference.clone()
            }

            /// Whether its language has a version of that label, by default of that which was asked for.
            async fn has_version(&self, version_label: Option<VersionLabel>) -> Option<bool> {
                Some(self.0.has_version(version_label.unwrap_or(self.0.edition.label)))
            }

            /// Its id.
            async fn id(&self) -> ID {
                ID(self.0.stored.key.clone())
            }

            /// The language that was asked for.
            async fn language(&self) -> String {
                self.0.edition.language.clone()
            }

            /// Its name; null where the language has none.
            async fn name(&self) -> Option<String> {
                self.0.content.texts.name.clone()
            }

            /// The items whose components name it or one of its variants.
            #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
            async fn relating_items(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Item>>> {
                self.0.relating_items(PimContext::of(ctx)?).await.graphql().map(Some)
            }

            /// The owner.
            async fn tenant_id(&self) -> ID {
                ID(self.0.stored.tenant_id.to_string())
            }

            /// Its topics.
            #[graphql(directive = requires::apply(PermissionName::TopicsRead))]
            async fn topics(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Topic>>> {
                let ids = &self.0.content.shared.topic_ids;
                topics_by_ids(PimContext::of(ctx)?, ids, &self.0.edition.language).await.graphql().map(Some)
            }

            /// Its place in the tree.
            async fn tree(&self) -> Option<TreeNode> {
                Some(TreeNode::of(&self.0))
            }

            /// Which type of item it is.
            #[graphql(name = "type")]
            async fn item_type(&self) -> ItemType {
                self.0.item_type()
            }

            /// When it was last changed.
            async fn updated_at(&self) -> Option<DateTime> {
                Some(DateTime(self.0.stored.body.updated_at))
            }

            /// Which version was read.
            async fn version(&self) -> Option<VersionedRecordInfo> {
                self.0.stored.body.languages.get(&self.0.edition.language)?.info(self.0.edition.label)
            }

            $($own_fields)*
        }
    };
}

item_type!(
    /// A document.
    Document {}
);
item_type!(
    /// A folder: it may hold components of its own, beside what is below it in the tree.
    Folder {}
);
item_type!(
    /// A product with its variants.
    Product {
        /// The variant that stands for the product.
        async fn default_variant(&self) -> async_graphql::Result<ProductVariant> {
            let default = ProductVariant::find(&self.0, |variant| variant.is_default);
            default.ok_or_else(|| async_graphql::Error::new("this product has no default variant"))
        }

        /// Whether it is sold by subscription alone.
        async fn is_subscription_only(&self) -> Option<bool> {
            Some(false)
        }

        /// Whether it has no physical form.
        async fn is_virtual(&self) -> Option<bool> {
            Some(false)
        }

        /// The variant with that stock keeping unit.
        async fn variant(&self, sku: String) -> Option<ProductVariant> {
            ProductVariant::find(&self.0, |variant| variant.sku == sku)
        }

        /// The variants.
        async fn variants(&self) -> Vec<ProductVariant> {
            ProductVariant::all(&self.0)
        }

        /// Its VAT type.
        #[graphql(directive = requires::apply(PermissionName::TenantsRead))]
        async fn vat_type(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<VatType>> {
            let Some(id) = &self.0.content.shared.vat_type_id else { return Ok(None) };
            let tenant = PimContext::of(ctx)?.own_tenant().await.graphql()?;
            Ok(VatType::of(&tenant).into_iter().find(|vat_type| *vat_type.id == *id))
        }

        /// Which of the tenant's VAT types it has.
        async fn vat_type_id(&self) -> Option<ID> {
            self.0.content.shared.vat_type_id.clone().map(ID)
        }
    }
);
