//! Writes nodes as HTML.

use super::{TAGS, children, href, node_type, text_content};
use serde_json::Value;

/// The HTML of a node.
pub(super) fn write(node: &Value) -> String {
    let mut html = String::new();
    write_node(node, &mut html);
    html
}

fn write_node(node: &Value, html: &mut String) {
    let tag = node_type(node).and_then(|wanted| TAGS.iter().find(|(node_type, ..)| *node_type == wanted));
    match tag {
        Some((_, tag @ ("br" | "hr"), _)) => html.push_str(&format!("<{tag}/>")),
        Some((_, tag, _)) => {
            let href = if *tag == "a" { href(node).filter(|href| is_harmless(href)) } else { None };
            match href {
                Some(href) => html.push_str(&format!("<a href=\"{}\">", escaped(href))),
                None => html.push_str(&format!("<{tag}>")),
            }
            write_inside(node, html);
            html.push_str(&format!("</{tag}>"));
        }
        None => write_inside(node, html),
    }
}

fn write_inside(node: &Value, html: &mut String) {
    if let Some(text) = text_content(node) {
        html.push_str(&escaped(text));
    }
    children(node).iter().for_each(|child| write_node(child, html));
}

/// Whether an address runs nothing: it is relative, or of a scheme that only leads somewhere.
pub(super) fn is_harmless(href: &str) -> bool {
    let cleaned: String = href.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    let scheme = cleaned.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains(['/', '?', '#']));
    scheme
        .is_none_or(|scheme| ["http", "https", "mailto", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
