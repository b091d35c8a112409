//! Bodies as stored, and the trait by which a noun's records are loaded, found and written.

use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::record::{Link, Name, Record, RecordKind};
use hookgraph_domain::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The JSON body of one kind of record.
pub(crate) trait RecordBody: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The kind.
    const KIND: RecordKind;

    /// The links by which lists and other records find a record with this body.
    fn links(&self) -> Vec<Link>;

    /// The names of a record with this body: no other record of the tenant may bear one of them.
    fn names(&self) -> Vec<Name> {
        Vec::new()
    }
}

/// A record with its body parsed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stored<B> {
    pub tenant_id: TenantId,
    pub key: String,
    pub version: i64,
    pub body: B,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl<B: RecordBody> Stored<B> {
    pub fn read(record: &Record) -> Result<Self, StoreError> {
        let body = serde_json::from_str(&record.body).map_err(|error| {
            let kind = record.reference.kind.as_str();
            StoreError::Corrupt(format!("{kind} {}: {error}", record.reference.key))
        })?;
        Ok(Self {
            tenant_id: record.tenant_id,
            key: record.reference.key.clone(),
            version: record.version,
            body,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// A link of the first rank.
pub(crate) fn link(relation: &str, target: impl Into<String>) -> Link {
    ranked_link(relation, target, 0)
}

/// A link with its rank among the links to the same target.
pub(crate) fn ranked_link(relation: &str, target: impl Into<String>, rank: i64) -> Link {
    Link { relation: relation.to_owned(), target: target.into(), rank }
}

/// A name.
pub(crate) fn name(scope: &str, value: impl Into<String>) -> Name {
    Name { scope: scope.to_owned(), value: value.into() }
}
