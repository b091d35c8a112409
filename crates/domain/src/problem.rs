//! Problems: what is wrong with an input, where, and what would be right.

use serde::{Deserialize, Serialize};

/// One thing wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where in the input, e.g. `input.headers.0.name`.
    pub path: String,
    /// A stable code, upper case with underscores, e.g. `HEADER_RESERVED`.
    pub code: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// The line in a document, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in a document, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl Problem {
    /// A problem without a position in a document.
    pub fn new(path: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), code: code.into(), message: message.into(), line: None, column: None }
    }
}
