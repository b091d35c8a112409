//! Strings as `JSON.stringify` quotes them.

use std::fmt::Write;

/// Appends a string with its quotes.
pub(super) fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    // What is escaped is ASCII: a byte that looks like it is it.
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        let (raw, escaped) = rest.split_at(at);
        out.push_str(raw);
        let mut chars = escaped.chars();
        if let Some(c) = chars.next() {
            push_escaped(c, out);
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
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

/// The string that a canonical text with its quotes stands for; a lone surrogate becomes U+FFFD, as it does in a URL.
pub(super) fn unquoted(quoted: &str) -> String {
    let mut chars = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(quoted).chars();
    let mut out = String::with_capacity(quoted.len());
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let digits = chars.by_ref().take(4).filter_map(|digit| digit.to_digit(16));
                let unit = digits.fold(0, |unit, digit| unit * 16 + digit);
                out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(escaped) => out.push(escaped),
            None => {}
        }
    }
    out
}
