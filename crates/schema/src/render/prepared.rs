//! Payload queries, parsed once and cached.

use crate::document::{DocumentChecker, executable, kept_bytes, parse, sha256_hex};
use crate::limits::PREPARED_BYTES_MAX;
use apollo_compiler::Node;
use apollo_compiler::executable::Operation;
use apollo_compiler::request::coerce_variable_values;
use async_graphql::Variables;
use async_graphql::parser::types::ExecutableDocument;
use moka::sync::Cache;
use std::sync::Arc;

/// A document in the forms of the executor and of the validator.
pub(super) struct Prepared {
    pub document: ExecutableDocument,
    pub operation: Node<Operation>,
}

/// The documents that ran lately, by the SHA-256 of their text.
pub(super) struct PreparedDocuments {
    checker: Arc<DocumentChecker>,
    cache: Cache<String, CachedDocument>,
}

/// A document, or the reason why it cannot run, with its weight in the cache.
#[derive(Clone)]
struct CachedDocument {
    /// The memory of the document, in bytes as estimated.
    bytes: u32,
    prepared: Result<Arc<Prepared>, String>,
}

impl PreparedDocuments {
    pub fn new(checker: Arc<DocumentChecker>) -> Self {
        let cache = Cache::builder()
            .max_capacity(PREPARED_BYTES_MAX)
            .weigher(|_, cached: &CachedDocument| cached.bytes)
            .build();
        Self { checker, cache }
    }

    /// The document of that text, ready to run.
    ///
    /// # Errors
    /// The reason why it does not fit the schema, in plain words.
    pub fn prepared(&self, text: &str) -> Result<Arc<Prepared>, String> {
        let prepare = || CachedDocument {
            bytes: kept_bytes(text, &self.checker.limits),
            prepared: self.prepare(text).map(Arc::new),
        };
        self.cache.get_with(sha256_hex(text), prepare).prepared
    }

    fn prepare(&self, text: &str) -> Result<Prepared, String> {
        let problems = self.checker.problems_without_event(text);
        if !problems.is_empty() {
            return Err(first_message(&problems));
        }
        let parsed = parse(text, &self.checker.limits).map_err(|problems| first_message(&problems))?;
        let proven = self.checker.validator.proven(&parsed).map_err(|problems| first_message(&problems))?;
        let operation = proven.operations.get(None).map_err(|error| error.message().to_string())?.clone();
        let document = executable(&parsed).map_err(|problem| problem.message)?;
        Ok(Prepared { document, operation })
    }
}

impl Prepared {
    /// Refuses values that the document cannot take, before anything is run.
    pub fn check_values(&self, documents: &PreparedDocuments, values: &Variables) -> Result<(), String> {
        let json = serde_json::to_value(values).map_err(|error| error.to_string())?;
        let values = serde_json::from_value(json).map_err(|error| error.to_string())?;
        let coerced = coerce_variable_values(&documents.checker.validator.schema, &self.operation, &values);
        coerced.map(|_| ()).map_err(|error| error.message().to_string())
    }
}

fn first_message(problems: &[hookgraph_domain::problem::Problem]) -> String {
    let first = problems.first().map(|problem| match (problem.line, problem.column) {
        (Some(line), Some(column)) => format!("{} (line {line}, column {column})", problem.message),
        _ => problem.message.clone(),
    });
    first.unwrap_or_else(|| "the payload query does not fit the schema".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KEPT_DOCUMENT_BYTES;

    #[test]
    fn a_document_is_weighed_by_what_it_keeps_however_short_it_is() {
        let documents = PreparedDocuments::new(Arc::new(DocumentChecker::for_payloads().unwrap()));
        let texts = ["{ __typename }", "{ nope }"];
        let found = texts.map(|text| documents.prepared(text).is_ok());
        documents.cache.run_pending_tasks();
        assert_eq!((found, documents.cache.entry_count()), ([true, false], 2));
        let bytes: u64 = texts.iter().map(|text| u64::from(kept_bytes(text, &documents.checker.limits))).sum();
        assert_eq!(documents.cache.weighted_size(), bytes);
        assert!(bytes >= 2 * KEPT_DOCUMENT_BYTES as u64, "{bytes}");
    }
}
