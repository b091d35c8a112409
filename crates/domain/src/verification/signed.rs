//! What of a saved request is signed, and whether something stands beside it that is not.

use super::SavedRequest;
use crate::canonical_json::{from_text, to_text};
use crate::signing::SignedParts;
use serde_json::{Map, Value};
use std::collections::HashSet;
use url::Url;

/// The parts of a request that signatures cover, owned.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) body_json: Option<String>,
}

impl Signed {
    pub(super) fn parts(&self) -> SignedParts<'_> {
        SignedParts { method: &self.method, url: &self.url, body_json: self.body_json.as_deref() }
    }
}

/// What may have been signed: one thing but for GET, where any tail of the query may have been appended to the
/// configured URL. The likeliest comes first.
pub(super) fn candidates(request: &SavedRequest) -> Result<Vec<Signed>, String> {
    let method = request.method.to_ascii_uppercase();
    if method != "GET" {
        let canonical = || from_text(&request.body).map_err(|error| format!("the body cannot be read: {error}"));
        let body_json = if request.body.is_empty() { None } else { Some(canonical()?) };
        return Ok(vec![Signed { method, url: request.url.clone(), body_json }]);
    }
    let called = Url::parse(&request.url).map_err(|error| format!("the URL cannot be read: {error}"))?;
    if let Some(configured) = &request.webhook_url {
        let url = Url::parse(configured).map_err(|error| format!("the webhook's URL cannot be read: {error}"))?;
        let own: Vec<String> = url.query_pairs().map(|(key, _)| key.into_owned()).collect();
        let appended = called.query_pairs().filter(|(key, _)| !own.iter().any(|known| known == key));
        return Ok(vec![Signed { method, url: configured.clone(), body_json: flat_object(appended) }]);
    }
    Ok(splits(&called).into_iter().map(|(url, body_json)| Signed { method: method.clone(), url, body_json }).collect())
}

/// Whether the parameters of a GET are those that were signed, no more and no others. Signatures cover the URL as it is configured
/// and an object of what was appended. That object shows neither what became of the configured parameters on their way nor that a
/// name comes twice, of which a receiver may read the one that is not in it.
pub(super) fn parameters_result(request: &SavedRequest, configured_url: &str) -> Result<String, String> {
    let (configured, received) = (parameters(configured_url)?, parameters(&request.url)?);
    for (at, parameter) in configured.iter().enumerate() {
        if received.get(at) != Some(parameter) {
            let name = &parameter.0;
            return Err(format!("{name:?} does not come as the webhook's URL has it, so it is not what was signed"));
        }
    }
    let mut names: HashSet<&String> = configured.iter().map(|(name, _)| name).collect();
    for (name, _) in received.iter().skip(configured.len()) {
        if !names.insert(name) {
            return Err(format!("{name:?} comes once more than it was signed: a receiver may read either"));
        }
    }
    Ok("each comes as it was signed".to_owned())
}

fn parameters(url: &str) -> Result<Vec<(String, String)>, String> {
    let url = Url::parse(url).map_err(|error| format!("{url} cannot be read: {error}"))?;
    Ok(url.query_pairs().into_owned().collect())
}

/// Every split of the URL's query into what was configured and what was appended, from nothing configured on.
fn splits(called: &Url) -> Vec<(String, Option<String>)> {
    let Some(query) = called.query() else { return vec![(called.to_string(), None)] };
    let pairs: Vec<&str> = query.split('&').collect();
    let bare = {
        let mut bare = called.clone();
        bare.set_query(None);
        bare.to_string()
    };
    let split = |configured: usize| {
        let own = pairs[..configured].join("&");
        let url = if configured == 0 { bare.clone() } else { format!("{bare}?{own}") };
        (url, flat_object(url::form_urlencoded::parse(pairs[configured..].join("&").as_bytes())))
    };
    (0..=pairs.len()).map(split).collect()
}

/// The canonical JSON of parameters as one flat object of strings; none when there are none.
fn flat_object<'a>(
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
) -> Option<String> {
    let entries: Map<String, Value> =
        pairs.map(|(key, value)| (key.into_owned(), Value::from(value.into_owned()))).collect();
    (!entries.is_empty()).then(|| to_text(&Value::Object(entries)))
}
