//! Documents that clients name instead of sending: trusted ones from the operator's files, and those that were sent
//! before (automatic persisted queries). <https://graphql.github.io/graphql-over-http/draft/#sec-Persisted-Documents>

mod manifest;
#[cfg(test)]
mod tests;

use crate::config::DocumentsConfig;
use crate::limits::{DOCUMENT_ID_BYTES_MAX, PERSISTED_DOCUMENT_BYTES_MAX, PERSISTED_TEXT_BYTES_MAX};
use hookgraph_domain::constant_time;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use moka::sync::Cache;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// The prefix of an identifier that is the document's SHA-256 in hexadecimal.
const SHA256_PREFIX: &str = "sha256:";

/// How a request names its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By its SHA-256.
    Sha256([u8; 32]),
    /// By an identifier of the operator's files.
    Id(String),
}

impl Named {
    /// Reads the parameters `documentId` and `extensions.persistedQuery` of a request.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(document_id: Option<Value>, persisted_query: Option<&Value>) -> Result<Option<Self>, Refusal> {
        let named = match document_id {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(Self::of_id(id)?),
            Some(_) => return Err(wrong("\"documentId\" is not a string")),
        };
        let Some(persisted) = persisted_query.filter(|persisted| !persisted.is_null()) else { return Ok(named) };
        if persisted["version"].as_u64() != Some(1) {
            return Err(wrong("\"extensions.persistedQuery.version\" is not 1"));
        }
        let hash = persisted["sha256Hash"].as_str().filter(|hash| !hash.is_empty());
        let hash = hash.ok_or_else(|| wrong("\"extensions.persistedQuery.sha256Hash\" is missing"))?;
        // Clients of trusted documents send the identifier of their manifest here, which need not be a hash.
        let by_hash =
            sha256_of_hex(hash).map_or_else(|| Self::of_id(hash.to_owned()), |hash| Ok(Self::Sha256(hash)))?;
        match named {
            Some(named) if named != by_hash => Err(wrong("\"documentId\" and \"persistedQuery\" name two documents")),
            _ => Ok(Some(by_hash)),
        }
    }

    fn of_id(id: String) -> Result<Self, Refusal> {
        if let Some(hash) = id.strip_prefix(SHA256_PREFIX) {
            let hash = sha256_of_hex(hash);
            return hash.map(Self::Sha256).ok_or_else(|| wrong("sha256: is followed by 64 hexadecimal digits"));
        }
        if id.is_empty() || id.len() > DOCUMENT_ID_BYTES_MAX {
            return Err(wrong("\"documentId\" is not a text of 1 to 256 bytes"));
        }
        Ok(Self::Id(id))
    }
}

/// What is known of documents.
#[derive(Default)]
pub struct Documents {
    by_id: HashMap<String, Arc<str>>,
    trusted: HashMap<[u8; 32], Arc<str>>,
    trusted_only: bool,
    /// Those that were sent with their hash, for all tenants alike: who knows a hash has seen the text.
    remembered: Option<Cache<[u8; 32], Arc<str>>>,
}

impl Documents {
    /// Those of that configuration; reads the operator's files.
    ///
    /// # Errors
    /// Files that cannot be read, and documents that are no GraphQL, too many or too long.
    pub fn new(config: &DocumentsConfig) -> anyhow::Result<Self> {
        let manifest = config.trusted.as_deref().map(manifest::read).transpose()?.unwrap_or_default();
        anyhow::ensure!(
            !config.trusted_only || !manifest.is_empty(),
            "trusted_documents_only needs documents in trusted_documents"
        );
        let mut documents = Self { trusted_only: config.trusted_only, ..Self::default() };
        for (id, text) in manifest {
            let text: Arc<str> = text.into();
            documents.trusted.insert(sha256(&text), text.clone());
            documents.by_id.insert(id, text);
        }
        // What may run is what is trusted: others need not be remembered.
        if config.automatic && !config.trusted_only {
            let weight = |_: &[u8; 32], text: &Arc<str>| u32::try_from(text.len()).unwrap_or(u32::MAX);
            documents.remembered =
                Some(Cache::builder().max_capacity(PERSISTED_TEXT_BYTES_MAX).weigher(weight).build());
        }
        Ok(documents)
    }

    /// The document that a request is about; none where it neither sends nor names one.
    ///
    /// # Errors
    /// Where it is not known, is not the one that it is called, or is not trusted though it must be.
    pub fn text(&self, sent: Option<String>, named: Option<Named>) -> Result<Option<String>, Refusal> {
        match (sent, named) {
            (None, None) => Ok(None),
            (None, Some(named)) => self.known(&named).map(|text| Some(text.as_ref().to_owned())),
            (Some(text), None) => self.allowed(text).map(Some),
            (Some(text), Some(named)) => {
                self.check_name(&text, &named)?;
                let text = self.allowed(text)?;
                if let (Named::Sha256(hash), Some(remembered)) = (named, &self.remembered)
                    && text.len() <= PERSISTED_DOCUMENT_BYTES_MAX
                    && !remembered.contains_key(&hash)
                {
                    remembered.insert(hash, text.as_str().into());
                }
                Ok(Some(text))
            }
        }
    }

    fn known(&self, named: &Named) -> Result<Arc<str>, Refusal> {
        let known = match named {
            // An identifier that looks like a hash is one of the files, whatever it is the hash of.
            Named::Sha256(hash) => self.trusted.get(hash).cloned().or_else(|| {
                let remembered = self.remembered.as_ref().and_then(|remembered| remembered.get(hash));
                remembered.or_else(|| self.by_id.get(&hex::encode(hash)).cloned())
            }),
            Named::Id(id) => self.by_id.get(id).cloned(),
        };
        known.ok_or_else(|| {
            let knows_any = self.remembered.is_some() || !self.trusted.is_empty();
            if matches!(named, Named::Id(_)) || knows_any {
                Refusal::new(RefusalCode::PersistedQueryNotFound, "PersistedQueryNotFound")
            } else {
                Refusal::new(RefusalCode::PersistedQueryNotSupported, "PersistedQueryNotSupported")
            }
        })
    }

    /// Whether the text is the one that it is called. An identifier that nobody knows says nothing.
    fn check_name(&self, text: &str, named: &Named) -> Result<(), Refusal> {
        let is_named_so = match named {
            Named::Sha256(hash) => {
                constant_time::same(hash, &sha256(text))
                    || self.by_id.get(&hex::encode(hash)).is_some_and(|known| **known == *text)
            }
            Named::Id(id) => self.by_id.get(id).is_none_or(|known| **known == *text),
        };
        if is_named_so { Ok(()) } else { Err(wrong("the query is not the document that it is called: check its hash")) }
    }

    fn allowed(&self, text: String) -> Result<String, Refusal> {
        let is_trusted = || text.len() <= PERSISTED_DOCUMENT_BYTES_MAX && self.trusted.contains_key(&sha256(&text));
        if self.trusted_only && !is_trusted() {
            let message = "only trusted documents are executed here (trusted_documents_only)";
            return Err(Refusal::new(RefusalCode::Forbidden, message));
        }
        Ok(text)
    }
}

fn wrong(message: &str) -> Refusal {
    Refusal::new(RefusalCode::BadUserInput, message)
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// The hash of 64 lower-case hexadecimal digits.
fn sha256_of_hex(text: &str) -> Option<[u8; 32]> {
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    hex::decode(text).ok().filter(|_| is_lower)?.try_into().ok()
}
