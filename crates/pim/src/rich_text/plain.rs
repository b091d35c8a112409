//! Writes nodes as plain text.

use super::{children, node_type, text_content};
use serde_json::Value;

/// The text of each top-level node that has any, with a line for each block within it.
pub(super) fn texts(nodes: &[Value]) -> Vec<String> {
    let texts = nodes.iter().map(|node| {
        let mut text = String::new();
        add(node, &mut text);
        text.trim().to_owned()
    });
    texts.filter(|text| !text.is_empty()).collect()
}

fn add(node: &Value, text: &mut String) {
    let is_block = node.get("kind").and_then(Value::as_str) == Some("block");
    if (is_block && !text.is_empty() && !text.ends_with('\n')) || node_type(node) == Some("line-break") {
        text.push('\n');
    }
    text.push_str(text_content(node).unwrap_or_default());
    children(node).iter().for_each(|child| add(child, text));
}
