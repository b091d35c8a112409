//! What of a saved request is signed.

use super::SavedRequest;
use crate::canonical_json::{from_text, to_text};
use crate::signing::SignedParts;
use serde_json::{Map, Value};
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
