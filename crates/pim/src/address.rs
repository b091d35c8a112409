//! Addresses of customers, orders and subscription contracts.

use crate::common::{KeyValuePair, KeyValuePairInput, converted, property};
use crate::scalars::EmailAddress;
use async_graphql::{ComplexObject, Enum, InputObject, SimpleObject};
use serde::{Deserialize, Serialize};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(rename_items = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum AddressType {
    /// Where the bill goes.
    Billing,
    /// Where the goods go.
    Delivery,
    /// Anything else.
    Other,
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject, Serialize, Deserialize)]
#[graphql(complex)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// City.
    pub city: Option<String>,
    /// Country.
    pub country: Option<String>,
    /// Email address.
    pub email: Option<EmailAddress>,
    /// First name.
    pub first_name: Option<String>,
    /// Its id within its owner.
    pub id: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePair>>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// State or province.
    pub state: Option<String>,
    /// Street.
    pub street: Option<String>,
    /// Street, second line.
    pub street2: Option<String>,
    /// Street number.
    pub street_number: Option<String>,
    /// What it is for.
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub address_type: AddressType,
}

#[ComplexObject]
impl Address {
    /// The value of one further property.
    async fn meta_property(&self, key: String) -> Option<&str> {
        property(self.meta.as_deref(), &key)
    }
}

/// A postal address of an order's customer.
#[derive(Clone, Debug, InputObject)]
pub struct AddressInput {
    /// City.
    pub city: Option<String>,
    /// Country.
    pub country: Option<String>,
    /// Email address.
    pub email: Option<EmailAddress>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// State or province.
    pub state: Option<String>,
    /// Street.
    pub street: Option<String>,
    /// Street, second line.
    pub street2: Option<String>,
    /// Street number.
    pub street_number: Option<String>,
    /// What it is for.
    #[graphql(name = "type")]
    pub address_type: AddressType,
}

impl From<AddressInput> for Address {
    fn from(input: AddressInput) -> Self {
        Self {
            city: input.city,
            country: input.country,
            email: input.email,
            first_name: input.first_name,
            id: None,
            last_name: input.last_name,
            meta: converted(input.meta),
            middle_name: input.middle_name,
            phone: input.phone,
            postal_code: input.postal_code,
            state: input.state,
            street: input.street,
            street2: input.street2,
            street_number: input.street_number,
            address_type: input.address_type,
        }
    }
}
