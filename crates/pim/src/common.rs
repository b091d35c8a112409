//! Small types that many nouns share.

use crate::limits::IDENTIFIER_CHARS_MAX;
use async_graphql::{Enum, InputObject, SimpleObject};
use hookgraph_domain::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// A key with a value.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject, Serialize, Deserialize)]
pub struct KeyValuePair {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Option<String>,
}

/// A key with a value.
#[derive(Clone, Debug, InputObject)]
pub struct KeyValuePairInput {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Option<String>,
}

impl From<KeyValuePairInput> for KeyValuePair {
    fn from(input: KeyValuePairInput) -> Self {
        Self { key: input.key, value: input.value }
    }
}

/// Converts each element of an optional list.
pub(crate) fn converted<A, B: From<A>>(list: Option<Vec<A>>) -> Option<Vec<B>> {
    list.map(|items| items.into_iter().map(B::from).collect())
}

/// The value of a key in a list of pairs.
pub(crate) fn property<'a>(pairs: Option<&'a [KeyValuePair]>, key: &str) -> Option<&'a str> {
    pairs?.iter().find(|pair| pair.key == key)?.value.as_deref()
}

/// Which way a list runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(rename_items = "lowercase")]
pub enum SortDirection {
    /// From low to high.
    Asc,
    /// From high to low.
    Desc,
}

/// Refuses a text that is no identifier of a customer, price list or market.
pub(crate) fn check_identifier(identifier: &str) -> Result<(), Refusal> {
    let chars = identifier.chars().count();
    if (1..=IDENTIFIER_CHARS_MAX).contains(&chars) && !identifier.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("an identifier has 1 to {IDENTIFIER_CHARS_MAX} characters and no control characters");
    Err(Refusal::invalid_at("input.identifier", "IDENTIFIER", message))
}
