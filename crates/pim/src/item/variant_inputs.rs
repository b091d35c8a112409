//! Inputs of variants, and the patch that all of them become.

use crate::common::KeyValuePairInput;
use crate::component::ComponentInput;
use crate::image::ImageInput;
use async_graphql::InputObject;

/// What sets a variant apart.
#[derive(Clone, Debug, InputObject)]
pub struct ProductVariantAttributeInput {
    /// What about it.
    pub attribute: String,
    /// What it is.
    pub value: String,
}

/// A price of a variant.
#[derive(Clone, Debug, InputObject)]
pub struct PriceVariantReferenceInput {
    /// Which price.
    pub identifier: String,
    /// The price.
    pub price: Option<f64>,
}

/// Where a variant is kept, and how many.
#[derive(Clone, Debug, InputObject)]
pub struct StockLocationReferenceInput {
    /// Which location.
    pub identifier: String,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// How many.
    pub stock: Option<i32>,
}

/// What shall change of a variant: what is not given stays.
#[derive(Clone, Debug, Default)]
pub(super) struct VariantPatch {
    pub id: Option<String>,
    pub is_default: Option<bool>,
    pub attributes: Option<Vec<ProductVariantAttributeInput>>,
    pub components: Option<Vec<ComponentInput>>,
    pub external_reference: Option<String>,
    pub images: Option<Vec<ImageInput>>,
    pub name: Option<String>,
    pub price: Option<f64>,
    pub price_variants: Option<Vec<PriceVariantReferenceInput>>,
    pub sku: Option<String>,
    pub stock: Option<i32>,
    pub stock_locations: Option<Vec<StockLocationReferenceInput>>,
}

macro_rules! variant_input {
    ($(#[$doc:meta])* $name:ident, $sku:ty, { $($own:tt)* }, |$input:ident| $id:expr, $is_default:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, InputObject)]
        pub struct $name {
            /// What sets it apart from its siblings.
            pub attributes: Option<Vec<ProductVariantAttributeInput>>,
            /// Its components.
            pub components: Option<Vec<ComponentInput>>,
            /// Its id in another system.
            pub external_reference: Option<String>,
            /// Its images.
            pub images: Option<Vec<ImageInput>>,
            /// Its name.
            pub name: Option<String>,
            /// Its price `default`.
            pub price: Option<f64>,
            /// Its prices.
            pub price_variants: Option<Vec<PriceVariantReferenceInput>>,
            /// Its stock keeping unit: no other variant of the tenant has it.
            pub sku: $sku,
            /// How many there are at the stock location `default`.
            pub stock: Option<i32>,
            /// Where it is kept.
            pub stock_locations: Option<Vec<StockLocationReferenceInput>>,
            $($own)*
        }

        impl From<$name> for VariantPatch {
            fn from($input: $name) -> Self {
                Self {
                    id: $id,
                    is_default: $is_default,
                    attributes: $input.attributes,
                    components: $input.components,
                    external_reference: $input.external_reference,
                    images: $input.images,
                    name: $input.name,
                    price: $input.price,
                    price_variants: $input.price_variants,
                    sku: $input.sku.into(),
                    stock: $input.stock,
                    stock_locations: $input.stock_locations,
                }
            }
        }
    };
}

variant_input!(
    /// A new variant of a product.
    CreateProductVariantInput,
    String,
    {
        /// Whether it stands for its product.
        pub is_default: bool,
    },
    |input| None,
    Some(input.is_default)
);
variant_input!(
    /// A variant of a product as it shall be: what is not given stays.
    UpdateProductVariantInput,
    Option<String>,
    {
        /// Its id within its product.
        pub id: Option<String>,
        /// Whether it stands for its product.
        pub is_default: Option<bool>,
    },
    |input| input.id,
    input.is_default
);
variant_input!(
    /// What shall change of a variant: what is not given stays.
    UpdateSingleProductVariantInput,
    Option<String>,
    {},
    |input| None,
    None
);
