//! The stored body of a tenant: its fields beside those of the domain.

use crate::common::KeyValuePair;
use crate::limits::TENANT_IDENTIFIER_CHARS_MAX;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::{Entropy, StoreError};
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::signing::SigningKeys;
use hookgraph_domain::tenant::Tenant as TenantRow;
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The default language of a tenant that names none.
pub(super) const LANGUAGE_DEFAULT: &str = "en";

/// The body of a tenant. Absent keys read as their defaults, so that an empty object is a body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TenantBody {
    /// The tenant that this one is a copy of.
    pub copied_from: Option<TenantId>,
    pub currency: Option<String>,
    pub is_active: bool,
    pub is_trial: bool,
    pub meta: Option<Vec<KeyValuePair>>,
    pub name: Option<String>,
    pub vat_types: Vec<VatTypeBody>,
}

impl Default for TenantBody {
    fn default() -> Self {
        Self {
            copied_from: None,
            currency: None,
            is_active: true,
            is_trial: false,
            meta: None,
            name: None,
            vat_types: Vec::new(),
        }
    }
}

/// A rate of value-added tax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VatTypeBody {
    pub created_at: Timestamp,
    pub id: String,
    pub name: String,
    pub percent: f64,
}

/// A tenant with its body parsed.
#[derive(Clone, Debug)]
pub(crate) struct StoredTenant {
    pub row: TenantRow,
    pub body: TenantBody,
}

impl StoredTenant {
    pub fn read(row: &TenantRow) -> Result<Self, StoreError> {
        let body = serde_json::from_str(&row.body)
            .map_err(|error| StoreError::Corrupt(format!("tenant {}: {error}", row.id)))?;
        Ok(Self { row: row.clone(), body })
    }

    /// Whether this tenant is a copy of the one of that id.
    pub fn is_copy_of(&self, tenant_id: TenantId) -> bool {
        self.body.copied_from == Some(tenant_id)
    }
}

/// A tenant with fresh signature keys, to be written with [`hookgraph_domain::change::Write::InsertTenant`].
///
/// # Errors
/// When the identifier is not lower-case letters, digits and dashes, too long, or a UUID.
pub fn new_tenant(identifier: &str, name: &str, now: Timestamp, entropy: &dyn Entropy) -> Result<TenantRow, Refusal> {
    let body = TenantBody { name: Some(name.to_owned()), ..TenantBody::default() };
    new_row(identifier, LANGUAGE_DEFAULT, &body, now, entropy)
}

pub(super) fn new_row(
    identifier: &str,
    default_language: &str,
    body: &TenantBody,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<TenantRow, Refusal> {
    check_identifier("input.identifier", identifier)?;
    Ok(TenantRow {
        id: TenantId(entropy.uuid(now)),
        identifier: identifier.to_owned(),
        default_language: default_language.to_owned(),
        body: body_text(body)?,
        keys: SigningKeys::fresh(entropy),
        version: 1,
        created_at: now,
        updated_at: now,
    })
}

/// A copy of a tenant without its records, under a new id, identifier and name and with signature keys of its own.
pub(crate) fn copied_tenant(
    source: &StoredTenant,
    id: TenantId,
    (identifier, name): (&str, Option<&str>),
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<TenantRow, StoreError> {
    let name = name.map(str::to_owned).or_else(|| source.body.name.clone());
    let body = TenantBody { copied_from: Some(source.row.id), name, ..source.body.clone() };
    Ok(TenantRow {
        id,
        identifier: identifier.to_owned(),
        default_language: source.row.default_language.clone(),
        body: serde_json::to_string(&body).map_err(|error| StoreError::Corrupt(error.to_string()))?,
        keys: SigningKeys::fresh(entropy),
        version: 1,
        created_at: now,
        updated_at: now,
    })
}

pub(super) fn body_text(body: &TenantBody) -> Result<String, Refusal> {
    serde_json::to_string(body).map_err(|error| StoreError::Corrupt(error.to_string()).into())
}

/// Refuses a text that is no identifier of a tenant.
pub(crate) fn check_identifier(path: &str, identifier: &str) -> Result<(), Refusal> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=TENANT_IDENTIFIER_CHARS_MAX).contains(&identifier.len()) || !identifier.chars().all(is_plain) {
        let message = format!(
            "a tenant's identifier has 1 to {TENANT_IDENTIFIER_CHARS_MAX} lower-case letters, digits and dashes"
        );
        return Err(Refusal::invalid_at(path, "IDENTIFIER", message));
    }
    // Tenants are named by identifier or by id: one tenant's identifier must never be another's id.
    if identifier.parse::<TenantId>().is_ok() {
        let message = format!("{identifier:?} is a UUID, as the ids of tenants are: choose a name, e.g. \"acme\"");
        return Err(Refusal::invalid_at(path, "IDENTIFIER_UUID", message));
    }
    Ok(())
}
