//! Prices of orders and their items.

use async_graphql::{InputObject, SimpleObject};
use serde::{Deserialize, Serialize};

/// A price in one currency.
#[derive(Clone, Debug, PartialEq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(input_name = "PriceInput")]
pub struct Price {
    /// The currency's code, e.g. `EUR`.
    pub currency: String,
    /// What was taken off.
    pub discounts: Option<Vec<Discount>>,
    /// With tax.
    pub gross: Option<f64>,
    /// Without tax.
    pub net: Option<f64>,
    /// The tax in it.
    pub tax: Option<Tax>,
}

/// A part that was taken off a price.
#[derive(Clone, Debug, PartialEq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(input_name = "DiscountInput")]
pub struct Discount {
    /// How much of a hundred.
    pub percent: Option<f64>,
}

/// A tax.
#[derive(Clone, Debug, PartialEq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(input_name = "TaxInput")]
pub struct Tax {
    /// Its name.
    pub name: Option<String>,
    /// How much of a hundred.
    pub percent: Option<f64>,
}
