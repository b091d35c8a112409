//! The stored body of a customer, and its links and names.

use crate::address::Address;
use crate::common::KeyValuePair;
use crate::scalars::Date;
use crate::stored::{RecordBody, link, name};
use async_graphql::SimpleObject;
use hookgraph_domain::record::{Link, Name, RecordKind};
use serde::{Deserialize, Serialize};

/// The stored body, which is also the plain part of the GraphQL type.
#[derive(Clone, Debug, Default, PartialEq, SimpleObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerBody {
    /// Postal addresses.
    pub addresses: Option<Vec<Address>>,
    /// Day of birth.
    pub birth_date: Option<Date>,
    /// Company.
    pub company_name: Option<String>,
    /// Email address.
    pub email: Option<String>,
    /// Ids in other systems.
    pub external_references: Option<Vec<KeyValuePair>>,
    /// First name.
    pub first_name: Option<String>,
    /// What identifies the customer within its tenant.
    pub identifier: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePair>>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Tax number.
    pub tax_number: Option<String>,
}

/// The scope of a customer's external references, which no two customers share.
pub(super) const EXTERNAL_REFERENCE: &str = "customer external reference";
/// The relation of a customer's meta properties, for `getMany(meta:)`.
pub(super) const META: &str = "meta";

/// The relation to a customer's own identifier, for `getMany(identifier:)`.
pub(super) const IDENTIFIER: &str = "identifier";

/// A key and value as one text.
pub(super) fn pair_text(key: &str, value: Option<&str>) -> String {
    format!("{key}={}", value.unwrap_or_default())
}

impl CustomerBody {
    /// This body, with the fields that it leaves out taken from `other`.
    pub fn completed_with(self, other: Self) -> Self {
        Self {
            addresses: self.addresses.or(other.addresses),
            birth_date: self.birth_date.or(other.birth_date),
            company_name: self.company_name.or(other.company_name),
            email: self.email.or(other.email),
            external_references: self.external_references.or(other.external_references),
            first_name: self.first_name.or(other.first_name),
            identifier: self.identifier.or(other.identifier),
            last_name: self.last_name.or(other.last_name),
            meta: self.meta.or(other.meta),
            middle_name: self.middle_name.or(other.middle_name),
            phone: self.phone.or(other.phone),
            tax_number: self.tax_number.or(other.tax_number),
        }
    }
}

impl RecordBody for CustomerBody {
    const KIND: RecordKind = RecordKind::Customer;

    fn links(&self) -> Vec<Link> {
        let meta = self.meta.iter().flatten();
        let meta = meta.map(|pair| link(META, pair_text(&pair.key, pair.value.as_deref())));
        meta.chain(self.identifier.iter().map(|identifier| link(IDENTIFIER, identifier.as_str()))).collect()
    }

    fn names(&self) -> Vec<Name> {
        let references = self.external_references.iter().flatten();
        references.map(|pair| name(EXTERNAL_REFERENCE, pair_text(&pair.key, pair.value.as_deref()))).collect()
    }
}
