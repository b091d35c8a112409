//! Strings as `JSON.stringify` quotes them.

use std::fmt::Write;

/// Appends a string with its quotes.
pub(super) fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        push_escaped(c, out);
    }
    out.push('"');
}

/// Appends one character: escaped where `JSON.stringify` escapes it, raw otherwise (`/`, DEL, U+2028 too).
pub(super) fn push_escaped(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c < ' ' => push_unicode_escape(c as u32, out),
        c => out.push(c),
    }
}

/// Appends `\u` and four lower-case hex digits: a control character or a lone surrogate.
pub(super) fn push_unicode_escape(code_unit: u32, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\u{code_unit:04x}");
}
