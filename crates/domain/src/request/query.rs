//! GET: the payload as query parameters.

use super::BuildError;
use crate::canonical_json::{Json, parse, to_text};
use crate::limits::URL_BYTES_MAX;
use serde_json::{Map, Value};
use std::collections::HashSet;
use url::Url;

/// Receivers collect parameters in a JavaScript object, which never holds this key: the signature could not be verified.
const UNVERIFIABLE_KEY: &str = "__proto__";

/// The URL with the payload's entries appended, form-url-encoded as WHATWG says, and what of them is signed: one flat
/// object of strings, none when nothing was appended.
///
/// Nulls are left out, and so is a key that the configured query already has. Nested values travel as their JSON text.
pub(super) fn append(configured: &Url, payload_json: &str) -> Result<(Url, Option<String>), BuildError> {
    let parameters = parameters(configured, payload_json)?;
    if parameters.is_empty() {
        return within_limit(configured.clone()).map(|url| (url, None));
    }
    let mut url = configured.clone();
    url.query_pairs_mut().extend_pairs(parameters.iter().map(|(key, value)| (key, value.as_str().unwrap_or_default())));
    within_limit(url).map(|url| (url, Some(to_text(&Value::Object(parameters)))))
}

fn parameters(configured: &Url, payload_json: &str) -> Result<Map<String, Value>, BuildError> {
    let payload =
        parse(payload_json).map_err(|error| BuildError::Invalid(format!("the payload cannot be read: {error}")))?;
    let entries = payload.entries().ok_or_else(|| BuildError::Invalid("the payload is no JSON object".to_owned()))?;
    let configured_keys: HashSet<_> = configured.query_pairs().map(|(key, _)| key.into_owned()).collect();
    let parameters: Map<String, Value> = entries
        .filter(|(key, value)| **value != Json::Null && !configured_keys.contains(key))
        .map(|(key, value)| (key, Value::from(value.to_plain_text())))
        .collect();
    if parameters.contains_key(UNVERIFIABLE_KEY) {
        let message = format!("a GET request cannot carry a value named {UNVERIFIABLE_KEY}: alias it, or use POST");
        return Err(BuildError::Invalid(message));
    }
    Ok(parameters)
}

fn within_limit(url: Url) -> Result<Url, BuildError> {
    match url.as_str().len() {
        bytes if bytes > URL_BYTES_MAX => Err(BuildError::UrlTooLong { bytes, max: URL_BYTES_MAX }),
        _ => Ok(url),
    }
}
