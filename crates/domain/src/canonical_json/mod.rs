//! Canonical JSON: the text that JavaScript's `JSON.stringify(JSON.parse(x))` prints.
//!
//! A receiver verifies by parsing the body and printing it again, so what is sent must already be what JavaScript would
//! print: no spaces, numbers as ECMAScript prints doubles, keys that are array indices first and ascending, the last of
//! equal keys in the place of the first, and only quotes, backslashes, control characters and lone surrogates escaped.

mod number;
mod parser;
mod printer;
mod text;

pub use parser::{Json, ParseError, parse};

use serde_json::Value;

/// The canonical text of a value. Integers beyond 2^53 lose what a double cannot hold, as they do in JavaScript.
pub fn to_text(value: &Value) -> String {
    let mut out = String::new();
    printer::print_value(value, &mut out);
    out
}

/// The canonical text of a JSON text.
///
/// # Errors
/// [`ParseError`] where `JSON.parse` throws, and for nesting deeper than [`crate::limits::JSON_DEPTH_MAX`].
pub fn from_text(text: &str) -> Result<String, ParseError> {
    Ok(parse(text)?.to_text())
}

/// A string as JSON, with its quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    text::push_quoted(text, &mut out);
    out
}

#[cfg(test)]
mod tests;
