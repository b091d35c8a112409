//! How `hookgraph config` shows the configuration.

use super::keys::{KEYS, Key};
use super::layers::Layers;
use serde_json::json;
use std::fmt::Write;

/// The effective configuration as a TOML file: each key with its meaning, kind, unit, default and source above it.
pub fn printed(layers: &Layers) -> String {
    let mut text = String::new();
    for key in KEYS {
        let Some((value, _, source)) = layers.get(key.name) else { continue };
        let unit = key.unit.map(|unit| format!(", in {unit}")).unwrap_or_default();
        let default = if key.default.is_empty() { "nothing".to_owned() } else { key.default.to_owned() };
        let _ = writeln!(text, "# {}", key.meaning);
        let _ = writeln!(text, "# {}{unit}; default: {default}; source: {source}", key.kind.describe());
        let _ = writeln!(text, "{} = {}\n", key.name, toml_value(key, value));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The effective configuration as JSON: one object for each key.
pub fn printed_json(layers: &Layers) -> serde_json::Value {
    KEYS.iter()
        .filter_map(|key| {
            let (value, _, source) = layers.get(key.name)?;
            Some(json!({
                "name": key.name,
                "value": shown(key, value),
                "type": key.kind.describe(),
                "unit": key.unit,
                "default": key.default,
                "source": source.to_string(),
                "meaning": key.meaning,
            }))
        })
        .collect()
}

fn toml_value(key: &Key, value: &str) -> String {
    use super::keys::KeyKind;
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match key.kind {
        KeyKind::Flag | KeyKind::Number(..) => value.to_owned(),
        KeyKind::Networks | KeyKind::Hosts | KeyKind::Origins => {
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(quoted);
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        KeyKind::Address
        | KeyKind::Exposure
        | KeyKind::Text
        | KeyKind::Proxy
        | KeyKind::Database
        | KeyKind::Log
        | KeyKind::Choice(_) => quoted(&shown(key, value)),
    }
}

/// The value without its secrets.
fn shown(key: &Key, value: &str) -> String {
    if key.is_secret && !value.is_empty() {
        return "[redacted]".to_owned();
    }
    match url::Url::parse(value) {
        Ok(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some("redacted"));
            url.into()
        }
        _ => value.to_owned(),
    }
}
