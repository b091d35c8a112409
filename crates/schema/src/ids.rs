//! Ids from arguments: what is no id is nobody's.

use async_graphql::ID;
use hookgraph_domain::refusal::Refusal;
use std::str::FromStr;

/// The id, if the text is one; nothing has an id that is none.
pub(crate) fn parsed<T: FromStr>(id: &ID) -> Option<T> {
    id.parse().ok()
}

/// The id, or the answer for what is not there.
pub(crate) fn required<T: FromStr>(what: &str, id: &ID) -> Result<T, Refusal> {
    id.parse().map_err(|_| Refusal::not_found(what, id))
}
