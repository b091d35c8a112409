//! Printing: values to canonical text.

use super::number::push_number;
use super::parser::Json;
use super::text::{push_quoted, unquoted};
use serde_json::Value;

impl Json {
    /// The canonical text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.print(&mut out);
        out
    }

    /// The value as form fields and URLs have it: a string's own text, the canonical JSON of anything else. A lone surrogate
    /// becomes U+FFFD.
    pub fn to_plain_text(&self) -> String {
        match self {
            Json::String(quoted) => unquoted(quoted),
            other => other.to_text(),
        }
    }

    fn print(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(number) => push_number(*number, out),
            Json::String(quoted) => out.push_str(quoted),
            Json::Array(items) => print_array(items, out, Json::print),
            Json::Object(entries) => {
                let entries = in_property_order(entries.iter().collect(), |quoted| &quoted[1..quoted.len() - 1]);
                print_object(entries, out, push_raw, Json::print);
            }
        }
    }
}

/// Appends a value.
pub(super) fn print_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => push_number(number.as_f64().unwrap_or(f64::NAN), out),
        Value::String(text) => push_quoted(text, out),
        Value::Array(items) => print_array(items, out, print_value),
        Value::Object(entries) => {
            let entries = in_property_order(entries.iter().collect(), String::as_str);
            print_object(entries, out, push_quoted, print_value);
        }
    }
}

/// Appends what is canonical already.
fn push_raw(quoted: &str, out: &mut String) {
    out.push_str(quoted);
}

fn print_array<T>(items: &[T], out: &mut String, print: impl Fn(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        print(item, out);
    }
    out.push(']');
}

fn print_object<T>(
    entries: Vec<(&String, &T)>,
    out: &mut String,
    print_key: impl Fn(&str, &mut String),
    print: impl Fn(&T, &mut String),
) {
    out.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        print_key(key, out);
        out.push(':');
        print(value, out);
    }
    out.push('}');
}

/// ECMAScript's order of own properties: array indices ascending, then the others as they came.
fn in_property_order<'a, T>(
    mut entries: Vec<(&'a String, T)>,
    name: impl Fn(&'a String) -> &'a str,
) -> Vec<(&'a String, T)> {
    if entries.iter().any(|(key, _)| array_index(name(key)).is_some()) {
        entries.sort_by_key(|(key, _)| array_index(name(key)).map_or(u64::MAX, u64::from));
    }
    entries
}

/// The number that a key is, if it is an array index: a canonical integer from 0 to 2^32 - 2.
fn array_index(key: &str) -> Option<u32> {
    let is_canonical = key == "0" || (!key.starts_with('0') && key.len() <= 10 && !key.is_empty());
    if !is_canonical || !key.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    key.parse::<u32>().ok().filter(|index| *index != u32::MAX)
}
