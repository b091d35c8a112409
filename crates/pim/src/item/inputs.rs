//! Inputs of item mutations, and the patch that all of them become.

use super::body::ItemType;
use super::variant_inputs::{CreateProductVariantInput, UpdateProductVariantInput, VariantPatch};
use crate::component::ComponentInput;
use crate::scalars::{DateTime, PositiveInt};
use async_graphql::{ID, InputObject};

/// A place in the tree.
#[derive(Clone, Debug, InputObject)]
pub struct TreeNodeInput {
    /// What it shall be directly below; the tenant's root item for the top.
    pub parent_id: ID,
    /// Its place among its siblings, counted from 1; after them where none is given.
    pub position: Option<PositiveInt>,
}

/// A new item of any type.
#[derive(Clone, Debug)]
pub(super) struct NewItem {
    pub item_type: ItemType,
    pub tenant_id: ID,
    pub shape_identifier: Option<String>,
    pub tree: Option<TreeNodeInput>,
    pub patch: ItemPatch,
}

/// A patch of an item of any type: fields that are not given stay.
#[derive(Clone, Debug, Default)]
pub(super) struct ItemPatch {
    pub components: Option<Vec<ComponentInput>>,
    pub created_at: Option<DateTime>,
    pub external_reference: Option<String>,
    pub name: Option<String>,
    pub topic_ids: Option<Vec<ID>>,
    pub variants: Option<Vec<VariantPatch>>,
    pub vat_type_id: Option<ID>,
}

macro_rules! item_inputs {
    ($create:ident, $update:ident, $item_type:ident, $noun:literal,
     { $($create_field:tt)* }, { $($update_field:tt)* }, |$input:ident| $variants:expr, $vat:expr) => {
        #[doc = concat!("A new ", $noun, ".")]
        #[derive(Clone, Debug, InputObject)]
        pub struct $create {
            /// Its components.
            pub components: Option<Vec<ComponentInput>>,
            /// When it was created, if that was before now.
            pub created_at: Option<DateTime>,
            /// Its id in another system.
            pub external_reference: Option<String>,
            /// Its name.
            pub name: String,
            /// What it is shaped like.
            pub shape_identifier: Option<String>,
            /// The owner.
            pub tenant_id: ID,
            /// The topics it belongs to.
            pub topic_ids: Option<Vec<ID>>,
            /// Its place in the tree; at the end of the top where none is given.
            pub tree: Option<TreeNodeInput>,
            $($create_field)*
        }

        #[doc = concat!("What shall change of a ", $noun, ": what is not given stays.")]
        #[derive(Clone, Debug, InputObject)]
        pub struct $update {
            /// Its components: they replace those before.
            pub components: Option<Vec<ComponentInput>>,
            /// When it was created.
            pub created_at: Option<DateTime>,
            /// Its id in another system.
            pub external_reference: Option<String>,
            /// Its name.
            pub name: Option<String>,
            /// The topics it belongs to: they replace those before.
            pub topic_ids: Option<Vec<ID>>,
            $($update_field)*
        }

        impl From<$create> for NewItem {
            fn from($input: $create) -> Self {
                let patch = ItemPatch {
                    variants: $variants,
                    vat_type_id: $vat,
                    components: $input.components,
                    created_at: $input.created_at,
                    external_reference: $input.external_reference,
                    name: Some($input.name),
                    topic_ids: $input.topic_ids,
                };
                Self {
                    item_type: ItemType::$item_type,
                    tenant_id: $input.tenant_id,
                    shape_identifier: $input.shape_identifier,
                    tree: $input.tree,
                    patch,
                }
            }
        }

    };
}

item_inputs!(CreateDocumentInput, UpdateDocumentInput, Document, "document",
    {
        /// What it is shaped like, by another name; `shapeIdentifier` wins.
        pub shape_id: Option<ID>,
    },
    {}, |input| None, None);
item_inputs!(CreateFolderInput, UpdateFolderInput, Folder, "folder", {}, {}, |input| None, None);
item_inputs!(CreateProductInput, UpdateProductInput, Product, "product",
    {
        /// Its variants, at least one; one of them is the default.
        pub variants: Vec<CreateProductVariantInput>,
        /// Which of the tenant's VAT types it has.
        pub vat_type_id: Option<ID>,
    },
    {
        /// Its variants: they replace those before. One with the id or the stock keeping unit of one before keeps what
        /// it does not give.
        pub variants: Option<Vec<UpdateProductVariantInput>>,
        /// Which of the tenant's VAT types it has.
        pub vat_type_id: Option<ID>,
    },
    |input| Some(input.variants.into_iter().map(VariantPatch::from).collect()), input.vat_type_id);

macro_rules! patch_from {
    ($update:ident, |$input:ident| $variants:expr, $vat:expr) => {
        impl From<$update> for ItemPatch {
            fn from($input: $update) -> Self {
                Self {
                    variants: $variants,
                    vat_type_id: $vat,
                    components: $input.components,
                    created_at: $input.created_at,
                    external_reference: $input.external_reference,
                    name: $input.name,
                    topic_ids: $input.topic_ids,
                }
            }
        }
    };
}

patch_from!(UpdateDocumentInput, |input| None, None);
patch_from!(UpdateFolderInput, |input| None, None);
patch_from!(
    UpdateProductInput,
    |input| input.variants.map(|variants| variants.into_iter().map(VariantPatch::from).collect()),
    input.vat_type_id
);
