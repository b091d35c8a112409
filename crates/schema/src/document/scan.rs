//! The linear scan before every parser: bytes, tokens and nesting, in one pass without recursion.
//!
//! The scan does not judge syntax: text that it cannot read (an unterminated string) is left to the parser, which is
//! safe once the bounds hold.

use super::problems::{problem, problem_at_byte};
use crate::limits::DocumentLimits;
use hookgraph_domain::problem::Problem;

/// Refuses a text that is beyond the limits.
pub(crate) fn scan(text: &str, limits: &DocumentLimits) -> Result<(), Problem> {
    if text.len() > limits.bytes_max {
        let message = format!("the document is {} bytes long, {} are allowed", text.len(), limits.bytes_max);
        return Err(problem("DOCUMENT_TOO_LONG", message));
    }
    let bytes = text.as_bytes();
    let (mut at, mut tokens, mut nesting) = (0, 0, 0_usize);
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' | b',' | 0xEF | 0xBB | 0xBF => {
                at += 1;
                continue;
            }
            b'#' => {
                at += bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' | b'(' => {
                nesting += 1;
                at += 1;
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                at += 1;
            }
            byte if is_word(byte) => at += bytes[at..].iter().take_while(|byte| is_word(**byte)).count(),
            _ => at += 1,
        }
        tokens += 1;
        if tokens > limits.tokens_max {
            let message = format!("the document has more than {} tokens", limits.tokens_max);
            return Err(problem_at_byte("DOCUMENT_TOO_MANY_TOKENS", message, text, start));
        }
        if nesting > limits.nesting_max {
            let message = format!("the document nests brackets deeper than {}", limits.nesting_max);
            return Err(problem_at_byte("DOCUMENT_TOO_NESTED", message, text, start));
        }
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+')
}

/// The byte after a string that begins at `start`, or the end of the text where it does not end.
pub(super) fn string_end(bytes: &[u8], start: usize) -> usize {
    if bytes[start..].starts_with(b"\"\"\"") {
        let mut at = start + 3;
        while at < bytes.len() {
            if bytes[at..].starts_with(b"\\\"\"\"") {
                at += 4;
            } else if bytes[at..].starts_with(b"\"\"\"") {
                return at + 3;
            } else {
                at += 1;
            }
        }
        return bytes.len();
    }
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            b'\n' | b'\r' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}
