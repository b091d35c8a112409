//! Reads HTML as nodes: known tags become types, unknown ones leave their text, and open tags are closed where they
//! must.

use super::html_writer::is_harmless;
use super::{Kind, RichTextError, TAGS, text_node};
use crate::limits::RICH_TEXT_DEPTH_MAX;
use serde_json::{Map, Value};

/// The longest character reference that is looked for, in bytes.
const REFERENCE_BYTES_MAX: usize = 12;

/// The nodes of a text.
pub(super) fn read(html: &str) -> Result<Vec<Value>, RichTextError> {
    let mut builder = Builder::default();
    let mut rest = html;
    while !rest.is_empty() {
        let text_end = rest.find('<').unwrap_or(rest.len());
        builder.text(&rest[..text_end]);
        rest = &rest[text_end..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
        } else if rest.starts_with('<') {
            rest = read_tag(rest, &mut builder)?;
        }
    }
    Ok(builder.finish())
}

/// Reads a tag, or a lone `<`, and returns the text after it.
fn read_tag<'a>(rest: &'a str, builder: &mut Builder) -> Result<&'a str, RichTextError> {
    let inside = &rest[1..];
    let starts_tag = inside.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
    if !starts_tag {
        builder.text("<");
        return Ok(inside);
    }
    let Some(end) = inside.find('>') else { return Ok("") };
    let (tag, after) = (&inside[..end], &inside[end + 1..]);
    let is_closing = tag.starts_with('/');
    let tag = tag.trim_matches('/');
    let name_end = tag.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(tag.len());
    let name = tag[..name_end].to_ascii_lowercase();
    if is_closing {
        builder.close(&name);
        return Ok(after);
    }
    if name == "script" || name == "style" {
        let close = format!("/{name}");
        let closes = |at: usize| {
            let candidate = after.as_bytes().get(at + 1..at + 1 + close.len());
            candidate.is_some_and(|candidate| candidate.eq_ignore_ascii_case(close.as_bytes()))
        };
        let end = after.match_indices('<').find(|(at, _)| closes(*at));
        return Ok(end.map_or("", |(at, _)| &after[at..]));
    }
    builder.open(&name, &tag[name_end..])?;
    Ok(after)
}

#[derive(Default)]
struct Builder {
    done: Vec<Value>,
    open: Vec<Open>,
}

struct Open {
    tag: &'static str,
    node_type: &'static str,
    kind: Kind,
    href: Option<String>,
    children: Vec<Value>,
    /// Whether the reader made the block, for text that stands outside of any.
    is_implied: bool,
}

impl Open {
    fn node(self) -> Value {
        let mut node = Map::new();
        node.insert("kind".into(), if self.kind == Kind::Block { "block" } else { "inline" }.into());
        node.insert("type".into(), self.node_type.into());
        if let Some(href) = self.href {
            node.insert("metadata".into(), serde_json::json!({ "href": href }));
        }
        node.insert("children".into(), Value::Array(self.children));
        Value::Object(node)
    }
}

impl Builder {
    fn text(&mut self, text: &str) {
        let is_preformatted = self.open.iter().any(|open| open.tag == "pre");
        let text = decoded(text);
        let text = if is_preformatted { text } else { collapsed(&text) };
        let is_blank = text.trim().is_empty();
        let in_inline_place = self.open.last().is_some_and(|open| !matches!(open.tag, "ul" | "ol"));
        if text.is_empty() || (is_blank && !in_inline_place) {
            return;
        }
        let text = if self.open.is_empty() { text.trim_start().to_owned() } else { text };
        self.imply_paragraph();
        self.add(text_node(&text));
    }

    fn imply_paragraph(&mut self) {
        if self.open.is_empty() {
            self.push(("paragraph", "p", Kind::Block), None, true);
        }
    }

    fn push(
        &mut self,
        (node_type, tag, kind): (&'static str, &'static str, Kind),
        href: Option<String>,
        implied: bool,
    ) {
        self.open.push(Open { tag, node_type, kind, href, children: Vec::new(), is_implied: implied });
    }

    fn add(&mut self, node: Value) {
        let siblings = self.open.last_mut().map_or(&mut self.done, |open| &mut open.children);
        if let (Some(last), Some(text)) = (siblings.last_mut(), super::text_content(&node))
            && let Some(Value::String(before)) = last.get_mut("textContent")
        {
            before.push_str(text);
            return;
        }
        siblings.push(node);
    }

    fn open(&mut self, name: &str, attributes: &str) -> Result<(), RichTextError> {
        let Some(entry) = TAGS.iter().find(|(_, tag, _)| *tag == name) else { return Ok(()) };
        if entry.2 == Kind::Block {
            let in_paragraph = self.open.iter().rposition(|open| open.tag == "p" || open.is_implied);
            if let Some(at) = in_paragraph {
                self.close_to(at);
            }
        } else {
            self.imply_paragraph();
        }
        if self.open.len() >= RICH_TEXT_DEPTH_MAX {
            return Err(RichTextError::TooDeep);
        }
        let href = (name == "a").then(|| attribute(attributes, "href")).flatten().filter(|href| is_harmless(href));
        self.push(*entry, href, false);
        if matches!(name, "br" | "hr") {
            self.close(name);
        }
        Ok(())
    }

    fn close(&mut self, name: &str) {
        if let Some(at) = self.open.iter().rposition(|open| open.tag == name) {
            self.close_to(at);
        }
    }

    fn close_to(&mut self, at: usize) {
        while self.open.len() > at {
            if let Some(mut open) = self.open.pop() {
                if open.is_implied {
                    trim_end(&mut open.children);
                }
                let node = open.node();
                self.add(node);
            }
        }
    }

    fn finish(mut self) -> Vec<Value> {
        self.close_to(0);
        self.done
    }
}

fn trim_end(children: &mut [Value]) {
    if let Some(Value::String(text)) = children.last_mut().and_then(|last| last.get_mut("textContent")) {
        text.truncate(text.trim_end().len());
    }
}

/// The value of the `wanted` attribute among the attributes of a tag.
fn attribute(attributes: &str, wanted: &str) -> Option<String> {
    let lower = attributes.to_ascii_lowercase();
    let at = lower.match_indices(wanted).find(|(at, _)| {
        let before = lower[..*at].chars().next_back();
        before.is_some_and(char::is_whitespace) && lower[at + wanted.len()..].trim_start().starts_with('=')
    });
    let value = attributes[at?.0 + wanted.len()..].trim_start().strip_prefix('=')?.trim_start();
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split(|c: char| c.is_whitespace()).next()?,
    };
    Some(decoded(value))
}

fn collapsed(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for c in text.chars() {
        let is_space = matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}');
        if !is_space {
            collapsed.push(c);
        } else if !collapsed.ends_with(' ') {
            collapsed.push(' ');
        }
    }
    collapsed
}

/// A text with its character references resolved; unknown ones stay as they are.
fn decoded(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(REFERENCE_BYTES_MAX).position(|byte| byte == b';');
        match end.and_then(|end| Some((referenced(&rest[1..end])?, end))) {
            Some((c, end)) => {
                decoded.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded + rest
}

fn referenced(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| *c != '\0');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => return None,
    })
}
