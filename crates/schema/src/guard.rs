//! The guard before a schema makes the checks that async-graphql lacks, or makes too late.
//!
//! A linear scan and a memoised cost come before async-graphql's validation, which fragment bombs make exponential. The
//! specification's whole validation runs beside the part of it that async-graphql has. Variables are coerced before the
//! first field of a mutation runs. Fields of one response key are merged into one, so that no mutation runs twice.

mod checker;
mod floats;
mod merging;
#[cfg(test)]
mod tests;

pub use checker::CallChecker;

use crate::access::needs;
use crate::document::{Judge, Sizes, Validator, executable, introspects, kept_bytes, measure, parse, scan, shortened};
use crate::limits::{CALL_DOCUMENT, PROVEN_BYTES_MAX, WORD_SHOWN_CHARS_MAX};
use apollo_compiler::ast::Document;
use apollo_compiler::request::{RequestError, coerce_variable_values};
use apollo_compiler::response::{JsonMap, JsonValue, serde_json_bytes};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument as TypedDocument, Name};
use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{ErrorExtensionValues, IntrospectionMode, Pos, Request, ServerError, Variables};
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::problem::Problem;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_pim::graphql_error;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// How many answers the transport of a request can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// One: a subscription is refused.
    Once,
    /// Any number.
    Many,
}

/// Proves requests against one schema.
pub(crate) struct Guard {
    validator: Validator,
    judge: Judge,
    /// The verdicts on documents that came lately, by the hash of their text.
    proven: Cache<[u8; 32], CachedVerdict>,
}

/// A verdict with its weight in the cache.
#[derive(Clone)]
struct CachedVerdict {
    /// The memory of the verdict, in bytes as estimated.
    bytes: u32,
    verdict: Result<Arc<Proven>, Arc<Vec<Problem>>>,
}

/// A document that is proven, in the forms of the validator and of the executor.
struct Proven {
    typed: Valid<TypedDocument>,
    document: ExecutableDocument,
    /// The permissions that each operation needs.
    needs: HashMap<Option<Name>, PermissionSet>,
    /// Whether the document reads the schema itself.
    introspects: bool,
    /// Whether `document` is merged already: its merging does not depend on the variables.
    is_merged: bool,
    /// The parsed document, where sizes in its variables decide whether it is within the limits: each request weighs it
    /// with its own values.
    unweighed: Option<Document>,
}

impl Guard {
    /// A guard with the specification's rules (`validator`) and the executor's own (`judge`).
    pub fn new(validator: Validator, judge: Judge) -> Self {
        let proven =
            Cache::builder().max_capacity(PROVEN_BYTES_MAX).weigher(|_, cached: &CachedVerdict| cached.bytes).build();
        Self { validator, judge, proven }
    }

    /// The request with its proven and merged document.
    ///
    /// # Errors
    /// The problems of the request. A missing permission refuses the request as a whole, before any field runs.
    pub fn admit(
        &self,
        mut request: Request,
        held: PermissionSet,
        answers: Answers,
    ) -> Result<Request, Vec<ServerError>> {
        let proven =
            self.proven(&request.query).map_err(|problems| problems.iter().map(to_error).collect::<Vec<_>>())?;
        if proven.introspects && request.introspection_mode == IntrospectionMode::Disabled {
            // The executor would answer null in places that cannot be null.
            return Err(vec![with_code(ServerError::new("introspection is switched off on this server", None))]);
        }
        let name = request.operation_name.as_deref().filter(|name| !name.is_empty());
        let operation = proven.typed.operations.get(name).map_err(|_| vec![no_operation(&proven.typed, name)])?;
        if answers == Answers::Once && operation.is_subscription() {
            let message = "a subscription has many answers: run it over a WebSocket, or with the header `accept: \
                           text/event-stream`";
            return Err(vec![with_code(ServerError::new(message, None))]);
        }
        let needed = proven.needs.get(&operation.name).copied().unwrap_or(PermissionSet::NONE);
        if let Some(permission) = held.missing(needed) {
            return Err(vec![forbidden(permission)]);
        }
        let fault = |error: serde_json::Error| vec![ServerError::new(error.to_string(), None)];
        let mut values = serde_json_bytes::to_value(&request.variables).map_err(fault)?;
        let JsonValue::Object(values) = &mut values else {
            return Err(vec![ServerError::new("variables are an object", None)]);
        };
        floats::widen(&self.validator.schema, operation, values);
        let problems = self.validator.value_problems(operation, values);
        if !problems.is_empty() {
            return Err(vec![of_the_whole(&Refusal::invalid(problems))]);
        }
        let coerced = coerce_variable_values(&self.validator.schema, operation, values)
            .map_err(|error| vec![request_error(&error)])?;
        if let Some(document) = &proven.unweighed {
            self.weigh(document, operation.name.as_ref(), &coerced).map_err(|problem| vec![to_error(&problem)])?;
        }
        let mut document = proven.document.clone();
        if !proven.is_merged {
            let coerced = serde_json::to_value(&*coerced).map(Variables::from_json).map_err(fault)?;
            merging::merge(&mut document, &coerced);
        }
        request.operation_name = name.map(str::to_owned);
        request.set_parsed_query(document);
        Ok(request)
    }

    /// The type of the operation that a request asks for; none where the request is refused.
    pub fn operation_type(&self, request: &Request) -> Option<OperationType> {
        let proven = self.proven(&request.query).ok()?;
        let name = request.operation_name.as_deref().filter(|name| !name.is_empty());
        let operation = proven.typed.operations.get(name).ok()?;
        Some(if operation.is_query() {
            OperationType::Query
        } else if operation.is_mutation() {
            OperationType::Mutation
        } else {
            OperationType::Subscription
        })
    }

    /// Whether the verdict on that document is cached, so that it is neither parsed nor proven again.
    pub fn knows(&self, text: &str) -> bool {
        text.len() <= CALL_DOCUMENT.bytes_max && self.proven.contains_key(&key_of(text))
    }

    fn proven(&self, text: &str) -> Result<Arc<Proven>, Arc<Vec<Problem>>> {
        // The scan comes first: of a text that is too long it is cheaper than the hash.
        scan(text, &CALL_DOCUMENT).map_err(|problem| Arc::new(vec![problem]))?;
        let prove = || {
            let verdict = self.prove(text).map(Arc::new).map_err(Arc::new);
            // The parsed document is no larger than the forms that are made from it.
            let times = if verdict.as_ref().is_ok_and(|proven| proven.unweighed.is_some()) { 2 } else { 1 };
            CachedVerdict { bytes: kept_bytes(text, &CALL_DOCUMENT).saturating_mul(times), verdict }
        };
        self.proven.get_with(key_of(text), prove).verdict
    }

    /// Refuses an operation of a proven document that costs too much with the values of one request.
    fn weigh(&self, document: &Document, operation: Option<&Name>, values: &JsonMap) -> Result<(), Problem> {
        measure(document, &self.validator.schema, &CALL_DOCUMENT, Sizes::Given { operation, values }).map(|_| ())
    }

    fn prove(&self, text: &str) -> Result<Proven, Vec<Problem>> {
        let parsed = parse(text, &CALL_DOCUMENT)?;
        let measured = |sizes| measure(&parsed, &self.validator.schema, &CALL_DOCUMENT, sizes);
        let too_much = measured(Sizes::Largest).err();
        let is_weighed = too_much.is_none();
        if let Some(problem) = too_much
            && measured(Sizes::Smallest).is_err()
        {
            return Err(vec![problem]);
        }
        let typed = self.validator.proven(&parsed)?;
        let mut document = executable(&parsed).map_err(|problem| vec![problem])?;
        for operation in typed.operations.iter() {
            let problems = (self.judge)(&document, operation.name.as_ref().map(|name| name.as_str()));
            if !problems.is_empty() {
                return Err(problems);
            }
        }
        let needs = typed
            .operations
            .iter()
            .map(|operation| (operation.name.clone(), needs::of_operation(&self.validator.schema, &typed, operation)));
        let needs = needs.collect();
        // Without a directive, the merging does not depend on the variables.
        let is_merged = typed.operations.len() == 1 && !text.contains('@');
        if is_merged {
            merging::merge(&mut document, &Variables::default());
        }
        let introspects = introspects(&parsed);
        let unweighed = (!is_weighed).then_some(parsed);
        Ok(Proven { typed, document, needs, introspects, is_merged, unweighed })
    }
}

/// The key of a document's verdict: the hash of its text.
fn key_of(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Whether a request that was admitted runs a mutation.
pub(crate) fn is_mutation(admitted: &mut Request) -> bool {
    let name = admitted.operation_name.clone();
    let Ok(document) = admitted.parsed_query() else { return false };
    // An operation that is alone has no name in the executor's form.
    let is_asked = |of: &str| name.as_deref().is_none_or(|name| of == name);
    let asked = document.operations.iter().find(|(of, _)| of.is_none_or(|of| is_asked(of.as_str())));
    asked.is_some_and(|(_, operation)| operation.node.ty == OperationType::Mutation)
}

fn to_error(problem: &Problem) -> ServerError {
    let place = problem.line.zip(problem.column);
    let place = place.map(|(line, column)| Pos { line: line as usize, column: column as usize });
    with_code(ServerError::new(problem.message.clone(), place))
}

fn request_error(error: &RequestError) -> ServerError {
    with_code(ServerError::new(error.message().to_string(), None))
}

/// The error of a request that names none of the document's operations, or does not name one of several.
fn no_operation(document: &TypedDocument, asked: Option<&str>) -> ServerError {
    let names: Vec<&str> = document.operations.named.keys().map(|name| name.as_str()).collect();
    let names = shortened(names.join(", "));
    let asked = asked.map(|name| name.chars().take(WORD_SHOWN_CHARS_MAX).collect::<String>());
    let message = match asked {
        None => format!("the document has several operations: name one by operationName, of {names}"),
        Some(asked) if names.is_empty() => {
            format!("the document has no operation {asked:?}: its only one has no name, so leave operationName out")
        }
        Some(asked) => format!("the document has no operation {asked:?}, only {names}"),
    };
    with_code(ServerError::new(message, None))
}

fn forbidden(permission: Permission) -> ServerError {
    of_the_whole(&Refusal::forbidden(permission))
}

/// The error of a refusal that concerns the whole request, without a place in its document.
pub(crate) fn of_the_whole(refusal: &Refusal) -> ServerError {
    let mut error = graphql_error(refusal).into_server_error(Pos::default());
    error.locations.clear();
    error
}

fn with_code(mut error: ServerError) -> ServerError {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", RefusalCode::BadUserInput.as_str());
    error.extensions = Some(extensions);
    error
}
