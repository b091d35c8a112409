//! Refusals as GraphQL errors: `extensions.code` and, for input, `extensions.problems`.

use crate::access::NotPermitted;
use async_graphql::{ErrorExtensions, Value};
use hookgraph_domain::refusal::Refusal;

/// The GraphQL error of a refusal.
pub fn graphql_error(refusal: &Refusal) -> async_graphql::Error {
    async_graphql::Error::new(refusal.message.clone()).extend_with(|_, extensions| {
        extensions.set("code", refusal.code.as_str());
        if let Some(permission) = refusal.permission {
            extensions.set("permission", permission.as_str());
        }
        if let Some(cursor) = &refusal.oldest_cursor {
            extensions.set("oldestCursor", cursor.as_str());
        }
        if !refusal.problems.is_empty() {
            let problems = refusal.problems.iter().map(|problem| {
                let json = serde_json::to_value(problem).unwrap_or_default();
                Value::from_json(json).unwrap_or_default()
            });
            extensions.set("problems", Value::List(problems.collect()));
        }
    })
}

/// Turns a result of the domain or of a port into a resolver's. Faults of ours are logged here, once.
pub trait IntoGraphql<T> {
    /// The value, or the GraphQL error.
    ///
    /// # Errors
    /// The refusal. The refusal for a fault of ours tells no details.
    fn graphql(self) -> async_graphql::Result<T>;
}

impl<T> IntoGraphql<T> for Result<T, NotPermitted> {
    fn graphql(self) -> async_graphql::Result<T> {
        self.map_err(|error| graphql_error(&error.into()))
    }
}

impl<T, E: Into<Refusal> + std::fmt::Display> IntoGraphql<T> for Result<T, E> {
    fn graphql(self) -> async_graphql::Result<T> {
        self.map_err(|error| {
            let detail = error.to_string();
            let refusal = error.into();
            if detail != refusal.message {
                tracing::warn!(code = refusal.code.as_str(), %detail, "call refused by a fault of ours or a race");
            }
            graphql_error(&refusal)
        })
    }
}
