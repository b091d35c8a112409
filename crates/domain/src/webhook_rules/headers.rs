//! Headers that a webhook may add to its requests.

use crate::limits::{HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_BYTES_MAX, HEADERS_MAX};
use crate::problem::Problem;
use crate::webhook::Header;
use std::collections::HashSet;

/// Headers that are ours or the connection's, in lower case; those that begin with `proxy-` are reserved too.
pub const RESERVED_HEADERS: [&str; 16] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-test",
    "webhook-timestamp",
    "x-crystallize-signature",
];

/// Whether a lower-case name is one that a webhook may not set.
pub fn is_reserved_header(name: &str) -> bool {
    RESERVED_HEADERS.contains(&name) || name.starts_with("proxy-")
}

/// The headers with names in lower case and values without space around them.
pub(super) fn check(given: &[Header], path: &str, problems: &mut Vec<Problem>) -> Vec<Header> {
    if given.len() > HEADERS_MAX {
        let message = format!("{} headers, {HEADERS_MAX} are allowed", given.len());
        problems.push(Problem::new(path, "HEADERS_TOO_MANY", message));
        return Vec::new();
    }
    let trimmed = |header: &Header| Header {
        name: header.name.to_ascii_lowercase(),
        value: header.value.trim_matches([' ', '\t']).to_owned(),
        is_secret: header.is_secret,
    };
    let headers: Vec<Header> = given.iter().map(trimmed).collect();
    let mut names = HashSet::new();
    for (index, header) in headers.iter().enumerate() {
        let is_new = names.insert(header.name.as_str());
        if let Err((code, message)) = judge_name(&header.name, is_new) {
            problems.push(Problem::new(format!("{path}.{index}.name"), code, message));
        }
        if let Err((code, message)) = judge_value(&header.value) {
            problems.push(Problem::new(format!("{path}.{index}.value"), code, message));
        }
    }
    let bytes: usize = headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    if bytes > HEADERS_BYTES_MAX {
        let message = format!("the headers have {bytes} bytes together, {HEADERS_BYTES_MAX} are allowed");
        problems.push(Problem::new(path, "HEADERS_TOO_LONG", message));
    }
    headers
}

fn judge_name(name: &str, is_new: bool) -> Result<(), (&'static str, String)> {
    if name.len() > HEADER_NAME_BYTES_MAX {
        let message = format!("the header's name has {} bytes, {HEADER_NAME_BYTES_MAX} are allowed", name.len());
        return Err(("HEADER_NAME_TOO_LONG", message));
    }
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        let message = format!("{name:?} is no header name: use letters, digits and dashes");
        return Err(("HEADER_NAME_INVALID", message));
    }
    if is_reserved_header(name) {
        return Err(("HEADER_RESERVED", format!("{name} is set by the server: choose another name")));
    }
    if !is_new {
        return Err(("HEADER_DUPLICATE", format!("{name} is there twice: join the values with a comma")));
    }
    Ok(())
}

fn judge_value(value: &str) -> Result<(), (&'static str, String)> {
    if value.len() > HEADER_VALUE_BYTES_MAX {
        let message = format!("the header's value has {} bytes, {HEADER_VALUE_BYTES_MAX} are allowed", value.len());
        return Err(("HEADER_VALUE_TOO_LONG", message));
    }
    if !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        let message = "the header's value holds a line break, another control character or non-ASCII text: \
                       use printable ASCII on one line";
        return Err(("HEADER_VALUE_INVALID", message.to_owned()));
    }
    Ok(())
}

/// A `tchar` of RFC 9110.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
