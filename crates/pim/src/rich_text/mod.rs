//! Formatted text: stored as JSON blocks, read as JSON, HTML or plain text.
//!
//! A node has a `kind` (`block` or `inline`), and either a `textContent` or a `type` with `children`, and `metadata`
//! where the type has some (a link's `href`). A node of an unknown type is kept; HTML and plain text show its children.

mod html_reader;
mod html_writer;
mod plain;

use crate::limits::{RICH_TEXT_BYTES_MAX, RICH_TEXT_DEPTH_MAX};
use crate::scalars::JsonValue;
use async_graphql::Object;
use serde_json::{Map, Value};

/// Types with their tags; the first tag of a type is the one that is written.
const TAGS: &[(&str, &str, Kind)] = &[
    ("paragraph", "p", Kind::Block),
    ("heading1", "h1", Kind::Block),
    ("heading2", "h2", Kind::Block),
    ("heading3", "h3", Kind::Block),
    ("heading4", "h4", Kind::Block),
    ("heading5", "h5", Kind::Block),
    ("heading6", "h6", Kind::Block),
    ("unordered-list", "ul", Kind::Block),
    ("ordered-list", "ol", Kind::Block),
    ("list-item", "li", Kind::Block),
    ("quote", "blockquote", Kind::Block),
    ("preformatted", "pre", Kind::Block),
    ("horizontal-line", "hr", Kind::Block),
    ("strong", "strong", Kind::Inline),
    ("strong", "b", Kind::Inline),
    ("emphasized", "em", Kind::Inline),
    ("emphasized", "i", Kind::Inline),
    ("underlined", "u", Kind::Inline),
    ("deleted", "del", Kind::Inline),
    ("code", "code", Kind::Inline),
    ("link", "a", Kind::Inline),
    ("subscripted", "sub", Kind::Inline),
    ("superscripted", "sup", Kind::Inline),
    ("line-break", "br", Kind::Inline),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Block,
    Inline,
}

/// Why a rich text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RichTextError {
    /// A node is no object.
    #[error("every node is an object with textContent, or with type and children")]
    NotANode,
    /// Elements are nested too deep.
    #[error("more than {RICH_TEXT_DEPTH_MAX} elements within each other")]
    TooDeep,
    /// The text is too large.
    #[error("larger than {RICH_TEXT_BYTES_MAX} bytes")]
    TooLarge,
}

impl RichTextError {
    /// The problem's code.
    pub const fn code(self) -> &'static str {
        match self {
            RichTextError::NotANode => "RICH_TEXT",
            RichTextError::TooDeep => "TOO_DEEP",
            RichTextError::TooLarge => "TOO_LONG",
        }
    }
}

/// The nodes of HTML texts.
pub(crate) fn from_html(texts: &[String]) -> Result<Vec<Value>, RichTextError> {
    if texts.iter().map(String::len).sum::<usize>() > RICH_TEXT_BYTES_MAX {
        return Err(RichTextError::TooLarge);
    }
    let nodes = texts.iter().map(|text| html_reader::read(text)).collect::<Result<Vec<_>, _>>()?;
    Ok(nodes.into_iter().flatten().collect())
}

/// The given nodes; values that are no nodes are refused.
pub(crate) fn from_json(nodes: Vec<Value>) -> Result<Vec<Value>, RichTextError> {
    let bytes: usize = nodes.iter().map(|node| node.to_string().len()).sum();
    if bytes > RICH_TEXT_BYTES_MAX {
        return Err(RichTextError::TooLarge);
    }
    nodes.iter().try_for_each(|node| check_node(node, 1))?;
    Ok(nodes)
}

fn check_node(node: &Value, depth: usize) -> Result<(), RichTextError> {
    if depth > RICH_TEXT_DEPTH_MAX {
        return Err(RichTextError::TooDeep);
    }
    let object = node.as_object().ok_or(RichTextError::NotANode)?;
    let is_text_or_none = |key: &str| object.get(key).is_none_or(|value| value.is_string() || value.is_null());
    if !is_text_or_none("textContent") || !is_text_or_none("type") {
        return Err(RichTextError::NotANode);
    }
    match object.get("children") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(children)) => children.iter().try_for_each(|child| check_node(child, depth + 1)),
        Some(_) => Err(RichTextError::NotANode),
    }
}

fn text_node(text: &str) -> Value {
    let mut node = Map::new();
    node.insert("kind".into(), "inline".into());
    node.insert("textContent".into(), text.into());
    Value::Object(node)
}

fn node_type(node: &Value) -> Option<&str> {
    node.get("type")?.as_str()
}

fn text_content(node: &Value) -> Option<&str> {
    node.get("textContent")?.as_str()
}

fn children(node: &Value) -> &[Value] {
    node.get("children").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn href(node: &Value) -> Option<&str> {
    node.get("metadata")?.get("href")?.as_str()
}

/// Formatted text.
pub struct RichTextContent {
    pub(crate) json: Vec<Value>,
}

/// Formatted text.
#[Object]
impl RichTextContent {
    /// As HTML, one text per top-level block. Only tags and addresses that cannot run anything are written.
    async fn html(&self) -> Option<Vec<String>> {
        Some(self.json.iter().map(html_writer::write).collect())
    }

    /// As JSON blocks.
    async fn json(&self) -> Option<Vec<Option<JsonValue>>> {
        Some(self.json.iter().cloned().map(JsonValue).map(Some).collect())
    }

    /// The text alone, one per block.
    async fn plain_text(&self) -> Option<Vec<String>> {
        Some(plain::texts(&self.json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn html(texts: &[&str]) -> Vec<String> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        from_html(&texts).unwrap().iter().map(html_writer::write).collect()
    }

    #[test]
    fn html_becomes_blocks_with_inline_children() {
        let nodes =
            from_html(&["<p>Hello <b>world</b> &amp; <a href=\"https://a.example/?x=1&amp;y=2\">more</a></p>".into()]);
        let expected = json!([{ "kind": "block", "type": "paragraph", "children": [
            { "kind": "inline", "textContent": "Hello " },
            { "kind": "inline", "type": "strong", "children": [{ "kind": "inline", "textContent": "world" }] },
            { "kind": "inline", "textContent": " & " },
            { "kind": "inline", "type": "link", "metadata": { "href": "https://a.example/?x=1&y=2" },
              "children": [{ "kind": "inline", "textContent": "more" }] },
        ]}]);
        assert_eq!(Value::Array(nodes.unwrap()), expected);
    }

    #[test]
    fn html_survives_the_way_there_and_back() {
        for text in [
            "<p>One<br/>two <strong><em>three</em></strong></p>",
            "<ul><li>a</li><li>b &lt; c</li></ul>",
            "<h2>Größe – 椅子</h2>",
            "<pre>a\n  b</pre>",
            "<p>x</p><p>y</p>",
        ] {
            assert_eq!(html(&[text]).concat(), text);
        }
    }

    #[test]
    fn text_without_a_block_becomes_a_paragraph() {
        assert_eq!(
            html(&["just <i>text</i>", "<p>and</p> more"]),
            ["<p>just <em>text</em></p>", "<p>and</p>", "<p>more</p>",]
        );
    }

    #[test]
    fn nothing_that_could_run_survives() {
        assert_eq!(html(&["<p onclick=x>a<script>alert(1)</script><style>b</style></p>"]), ["<p>a</p>"]);
        assert_eq!(html(&["<a href=\" javaScript:alert(1)\">a</a>"]), ["<p><a>a</a></p>"]);
        let node =
            json!({ "type": "link", "metadata": { "href": "\"><script>" }, "children": [{ "textContent": "<b>" }] });
        assert_eq!(html_writer::write(&node), "<a href=\"&quot;&gt;&lt;script&gt;\">&lt;b&gt;</a>");
    }

    #[test]
    fn broken_html_is_read_as_far_as_it_goes() {
        for (text, expected) in [
            ("<p>a<b>b</p>c", "<p>a<strong>b</strong></p><p>c</p>"),
            ("a < b", "<p>a &lt; b</p>"),
            ("<p>a</p></div>", "<p>a</p>"),
            ("<p>a<!-- b --></p><unclosed", "<p>a</p>"),
            ("&bogus; &#x41;&#66; &#xffffffff;", "<p>&amp;bogus; AB &amp;#xffffffff;</p>"),
        ] {
            assert_eq!(html(&[text]).concat(), expected, "{text}");
        }
    }

    #[test]
    fn plain_text_has_one_text_per_block() {
        let nodes = from_html(&["<h1>A <b>title</b></h1><ul><li>one</li><li>two<br>lines</li></ul><p></p>".into()]);
        assert_eq!(plain::texts(&nodes.unwrap()), ["A title", "one\ntwo\nlines"]);
    }

    #[test]
    fn what_is_no_node_too_deep_or_too_large_is_refused() {
        assert_eq!(from_json(vec![json!("text")]), Err(RichTextError::NotANode));
        assert_eq!(from_json(vec![json!({ "children": {} })]), Err(RichTextError::NotANode));
        assert_eq!(from_json(vec![json!({ "textContent": 5 })]), Err(RichTextError::NotANode));
        let deep = (0..=RICH_TEXT_DEPTH_MAX).fold(json!({}), |node, _| json!({ "children": [node] }));
        assert_eq!(from_json(vec![deep]), Err(RichTextError::TooDeep));
        assert_eq!(from_html(&["<b>".repeat(RICH_TEXT_DEPTH_MAX + 2)]), Err(RichTextError::TooDeep));
        assert_eq!(from_html(&["x".repeat(RICH_TEXT_BYTES_MAX + 1)]), Err(RichTextError::TooLarge));
    }
}
