//! async-graphql's own verdict on a document, from a schema that never executes. async-graphql renders, so a document
//! that it refuses must not be stored.

use super::problems::{placed, problem};
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{ObjectType, Request, Response, Schema, SubscriptionType};
use async_trait::async_trait;
use futures::FutureExt;
use hookgraph_domain::problem::Problem;
use std::sync::{Arc, LazyLock};

/// An extension that makes a schema answer with nothing where it would execute: no resolver is reached.
pub(crate) struct NeverExecute;

impl ExtensionFactory for NeverExecute {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(NeverExecute)
    }
}

#[async_trait]
impl Extension for NeverExecute {
    async fn execute(&self, _: &ExtensionContext<'_>, _: Option<&str>, _: NextExecute<'_>) -> Response {
        Response::default()
    }
}

/// The executor's own verdict on one operation of a document: every problem that it finds, with any variables.
pub(crate) type Judge = Arc<dyn Fn(&ExecutableDocument, Option<&str>) -> Vec<Problem> + Send + Sync>;

/// The verdict of a schema that never executes. The schema is built for the first document that is judged: a process
/// with every verdict cached needs none.
pub(crate) fn judge<Q, M, S>(never_executing: impl FnOnce() -> Schema<Q, M, S> + Send + 'static) -> Judge
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    let never_executing = LazyLock::new(never_executing);
    Arc::new(move |document, operation_name| {
        let mut request = Request::new("");
        request.operation_name = operation_name.map(str::to_owned);
        request.set_parsed_query(document.clone());
        // The schema waits for nothing before it executes, so the answer is there at once.
        let Some(response) = never_executing.execute(request).now_or_never() else {
            return vec![problem("INVALID_DOCUMENT", "the document could not be checked")];
        };
        let refused = response.errors.into_iter().map(|error| {
            let refused = problem("INVALID_DOCUMENT", error.message);
            match error.locations.first() {
                Some(place) => placed(refused, place.line, place.column),
                None => refused,
            }
        });
        refused.collect()
    })
}
