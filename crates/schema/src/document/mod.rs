//! Payload documents: the checks of a document that is saved, so that every stored one can be rendered.
//!
//! In order: a linear scan (bytes, tokens, nesting) before any parser sees the text; parsing; the shape (one operation,
//! a query, no introspection, no fragment in a circle); a memoised cost; the variables against the event type's; the
//! specification's validation; and async-graphql's own verdict, which reaches no resolver. Problems that do not depend
//! on each other are reported together.

mod cost;
mod executable;
mod follow_ups;
mod hints;
mod input_rules;
mod places;
mod plain;
mod problems;
mod scalars;
mod scan;
mod shape;
mod validator;
mod values;
mod variables;
mod verdict;
mod written;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use cost::{PAGE_LISTS, PLAIN_LISTS};
pub(crate) use cost::{Sizes, measure};
pub(crate) use executable::executable;
pub(crate) use problems::nearest_name;
pub(crate) use scalars::shortened;
pub(crate) use scan::scan;
pub(crate) use shape::introspects;
#[cfg(test)]
pub(crate) use validator::PARSED;
pub use validator::syntax_problem;
pub(crate) use validator::{Validator, parse};
pub(crate) use verdict::{Judge, NeverExecute, judge};

use crate::access::needs;
use crate::limits::{
    DocumentLimits, ERRORS_MAX, KEPT_DOCUMENT_BYTES, KEPT_TEXT_TIMES, KEPT_WORD_BYTES, PAYLOAD_DOCUMENT,
};
use crate::roots;
use crate::sdl;
use hookgraph_domain::catalogue::EventType;
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::problem::Problem;
use hookgraph_domain::webhook::CheckedDocument;
use sha2::{Digest, Sha256};

/// The place of a payload query in an input: the paths of its problems begin with it.
pub(crate) const QUERY_PATH: &str = "input.graphqlQuery";

/// Checks payload documents against the payload schema.
pub struct DocumentChecker {
    pub(crate) validator: Validator,
    pub(crate) limits: DocumentLimits,
    judge: Judge,
}

impl DocumentChecker {
    /// A checker with the specification's rules and the executor's own verdict.
    pub(crate) fn new(validator: Validator, judge: Judge) -> Self {
        Self { validator, limits: PAYLOAD_DOCUMENT, judge }
    }

    /// A checker for the payload schema of this version.
    ///
    /// # Errors
    /// The fault of the schema, which a test of this crate rules out.
    pub fn for_payloads() -> Result<Self, String> {
        let validator = Validator::of_sdl(&sdl::of(&roots::payload()))?;
        Ok(Self::new(validator, judge(|| roots::proving_payload(true))))
    }

    /// SHA-256 of the SDL that documents are checked against and of the rules beside it, lower-case hex.
    pub fn schema_sha256(&self) -> &str {
        self.validator.rules_sha256()
    }

    /// Checks a document for an event type. No resolver is reached.
    ///
    /// # Errors
    /// The problems of the document by place, at most `ERRORS_MAX`.
    pub fn check(&self, text: &str, event_type: &EventType) -> Result<CheckedDocument, Vec<Problem>> {
        let (used_variables, complexity, needed) = self.proven(text, Some(event_type))?;
        Ok(CheckedDocument {
            document_sha256: sha256_hex(text),
            schema_sha256: self.schema_sha256().to_owned(),
            used_variables,
            complexity,
            permissions: needed.names(),
        })
    }

    /// The problems that a document has for any event type.
    pub fn problems_without_event(&self, text: &str) -> Vec<Problem> {
        self.proven(text, None).err().unwrap_or_default()
    }

    /// The variables of the event type that a document uses, its complexity, and the permissions that it needs.
    fn proven(&self, text: &str, event_type: Option<&EventType>) -> Result<Found, Vec<Problem>> {
        self.proven_unordered(text, event_type).map_err(|mut problems| {
            problems.sort_by_key(|problem| (problem.line, problem.column));
            problems.dedup();
            problems.truncate(ERRORS_MAX);
            problems
        })
    }

    fn proven_unordered(&self, text: &str, event_type: Option<&EventType>) -> Result<Found, Vec<Problem>> {
        scan(text, &self.limits).map_err(|problem| vec![problem])?;
        let document = parse(text, &self.limits)?;
        let operation = shape::only_query(&document)?;
        let cost = measure(&document, &self.validator.schema, &self.limits, Sizes::Largest);
        let cost = cost.map_err(|problem| vec![problem])?;
        let mut problems = shape::introspection(&document);
        if let Some(event_type) = event_type {
            problems.extend(variables::check(&document, operation, event_type));
        }
        let mut needed = PermissionSet::NONE;
        match self.validator.proven(&document) {
            Ok(typed) => {
                for operation in typed.operations.iter() {
                    needed = needs::of_operation(&self.validator.schema, &typed, operation)
                        .iter()
                        .fold(needed, PermissionSet::with);
                }
            }
            Err(found) => problems.extend(found),
        }
        if problems.is_empty() {
            match executable(&document) {
                Ok(document) => problems.extend((self.judge)(&document, None)),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let declared = operation.variables.iter().map(|variable| variable.name.as_str());
        let used = declared.filter(|name| event_type.is_some_and(|event_type| event_type.variable(name).is_some()));
        Ok((used.map(str::to_owned).collect(), cost.complexity, needed))
    }
}

/// The findings about a document: the event's variables that it uses, its complexity, and the permissions that it
/// needs.
type Found = (Vec<String>, u32, PermissionSet);

/// The memory of a document that is cached parsed, in bytes: an estimate from its words, because short names make large
/// documents of short texts. The scan has bounded the words outside of strings and comments.
pub(crate) fn kept_bytes(text: &str, limits: &DocumentLimits) -> u32 {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).count();
    let bytes = KEPT_DOCUMENT_BYTES + KEPT_TEXT_TIMES * text.len() + KEPT_WORD_BYTES * words.min(limits.tokens_max);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// SHA-256 of a text, lower-case hex.
pub(crate) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
