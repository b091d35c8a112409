//! Inputs of customer mutations, and the bodies that they make.

use super::body::CustomerBody;
use crate::address::{Address, AddressType};
use crate::common::{KeyValuePairInput, converted};
use crate::scalars::{Date, EmailAddress};
use async_graphql::{ID, InputObject};
use uuid::Uuid;

/// A new customer.
#[derive(Clone, Debug, InputObject)]
pub struct CreateCustomerInput {
    /// Postal addresses.
    pub addresses: Option<Vec<CreateCustomerAddressInput>>,
    /// Company.
    pub company_name: Option<String>,
    /// Email address.
    pub email: Option<String>,
    /// Ids in other systems.
    pub external_references: Option<Vec<KeyValuePairInput>>,
    /// First name.
    pub first_name: String,
    /// What identifies the customer within its tenant; made up where none is given.
    pub identifier: Option<String>,
    /// Last name.
    pub last_name: String,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Tax number.
    pub tax_number: Option<String>,
    /// The owner.
    pub tenant_id: ID,
}

/// What shall change of a customer: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateCustomerInput {
    /// Postal addresses: they replace those before.
    pub addresses: Option<Vec<CreateCustomerAddressInput>>,
    /// Day of birth.
    pub birth_date: Option<Date>,
    /// Company.
    pub company_name: Option<String>,
    /// Email address.
    pub email: Option<String>,
    /// Ids in other systems: they replace those before.
    pub external_references: Option<Vec<KeyValuePairInput>>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Further properties: they replace those before.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Tax number.
    pub tax_number: Option<String>,
}

macro_rules! customer_address_input {
    ($(#[$doc:meta])* $name:ident, $address_type:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug, InputObject)]
        pub struct $name {
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
            pub address_type: $address_type,
        }
    };
}

customer_address_input!(
    /// A new address of a customer.
    CreateCustomerAddressInput,
    AddressType
);
customer_address_input!(
    /// What shall change of an address: what is not given stays.
    UpdateCustomerAddressInput,
    Option<AddressType>
);

/// A new address with its id.
pub(super) fn new_address(input: CreateCustomerAddressInput, id: Uuid) -> Address {
    Address {
        city: input.city,
        country: input.country,
        email: input.email,
        first_name: input.first_name,
        id: Some(id.to_string()),
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

/// The old address with the given fields replaced.
pub(super) fn updated_address(old: &Address, input: UpdateCustomerAddressInput) -> Address {
    let old = old.clone();
    Address {
        city: input.city.or(old.city),
        country: input.country.or(old.country),
        email: input.email.or(old.email),
        first_name: input.first_name.or(old.first_name),
        id: old.id,
        last_name: input.last_name.or(old.last_name),
        meta: converted(input.meta).or(old.meta),
        middle_name: input.middle_name.or(old.middle_name),
        phone: input.phone.or(old.phone),
        postal_code: input.postal_code.or(old.postal_code),
        state: input.state.or(old.state),
        street: input.street.or(old.street),
        street2: input.street2.or(old.street2),
        street_number: input.street_number.or(old.street_number),
        address_type: input.address_type.unwrap_or(old.address_type),
    }
}

/// The body of a new customer.
pub(super) fn new_body(input: CreateCustomerInput, identifier: String, new_id: impl FnMut() -> Uuid) -> CustomerBody {
    CustomerBody {
        addresses: input.addresses.map(|addresses| with_ids(addresses, new_id)),
        birth_date: None,
        company_name: input.company_name,
        email: input.email,
        external_references: converted(input.external_references),
        first_name: Some(input.first_name),
        identifier: Some(identifier),
        last_name: Some(input.last_name),
        meta: converted(input.meta),
        middle_name: input.middle_name,
        phone: input.phone,
        tax_number: input.tax_number,
    }
}

/// The old body with the given fields replaced.
pub(super) fn updated_body(
    old: &CustomerBody,
    input: UpdateCustomerInput,
    new_id: impl FnMut() -> Uuid,
) -> CustomerBody {
    let old = old.clone();
    CustomerBody {
        addresses: match input.addresses {
            Some(addresses) => Some(same_or_new(old.addresses, addresses, new_id)),
            None => old.addresses,
        },
        birth_date: input.birth_date.or(old.birth_date),
        company_name: input.company_name.or(old.company_name),
        email: input.email.or(old.email),
        external_references: converted(input.external_references).or(old.external_references),
        first_name: input.first_name.or(old.first_name),
        identifier: old.identifier,
        last_name: input.last_name.or(old.last_name),
        meta: converted(input.meta).or(old.meta),
        middle_name: input.middle_name.or(old.middle_name),
        phone: input.phone.or(old.phone),
        tax_number: input.tax_number.or(old.tax_number),
    }
}

fn with_ids(addresses: Vec<CreateCustomerAddressInput>, mut new_id: impl FnMut() -> Uuid) -> Vec<Address> {
    addresses.into_iter().map(|address| new_address(address, new_id())).collect()
}

/// The given addresses with ids. An address that equals the old one at its index keeps that one's id, so that giving
/// the same addresses again changes nothing.
fn same_or_new(
    old: Option<Vec<Address>>,
    given: Vec<CreateCustomerAddressInput>,
    new_id: impl FnMut() -> Uuid,
) -> Vec<Address> {
    let old = old.unwrap_or_default();
    let mut addresses = with_ids(given, new_id);
    for (address, old) in addresses.iter_mut().zip(old) {
        if (Address { id: old.id.clone(), ..address.clone() }) == old {
            *address = old;
        }
    }
    addresses
}
