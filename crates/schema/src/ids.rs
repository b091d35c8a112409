//! Ids from arguments: a text that is no id is the id of nothing.

use async_graphql::ID;
use hookgraph_domain::refusal::Refusal;
use std::str::FromStr;

/// The id that the text spells; none where it spells no id.
pub(crate) fn parsed<T: FromStr>(id: &ID) -> Option<T> {
    id.parse().ok()
}

/// The id that the text spells. A text that spells none is refused as the id of nothing.
pub(crate) fn required<T: FromStr>(what: &str, id: &ID) -> Result<T, Refusal> {
    id.parse().map_err(|_| Refusal::not_found(what, id))
}
