//! URLs that a webhook may call.

use crate::address::AddressRules;
use crate::limits::URL_BYTES_MAX;
use crate::problem::Problem;
use ::url::Url;

/// The normalised URL; as it was given where it has a problem.
pub(super) fn check(given: &str, address_rules: &AddressRules, path: &str, problems: &mut Vec<Problem>) -> String {
    match judge(given, address_rules) {
        Ok(normalised) => normalised,
        Err((code, message)) => {
            problems.push(Problem::new(path, code, message));
            given.to_owned()
        }
    }
}

fn judge(given: &str, address_rules: &AddressRules) -> Result<String, (&'static str, String)> {
    let given = given.trim_matches(' ');
    if given.contains(char::is_control) {
        // WHATWG's parser would drop tabs and line breaks silently.
        return Err(("URL_INVALID", "the URL holds a control character".to_owned()));
    }
    let url = Url::parse(given)
        .map_err(|error| ("URL_INVALID", format!("no URL ({error}): write it whole, e.g. https://example.com/hook")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(("URL_SCHEME", format!("the scheme {:?} cannot be called: use https or http", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = "the URL holds a user name or password: send an authorization header instead";
        return Err(("URL_CREDENTIALS", message.to_owned()));
    }
    if url.fragment().is_some() {
        return Err((
            "URL_FRAGMENT",
            "the URL has a fragment, which is never sent: remove what follows the #".to_owned(),
        ));
    }
    if url.as_str().len() > URL_BYTES_MAX {
        let message = format!("the URL has {} bytes, {URL_BYTES_MAX} are allowed", url.as_str().len());
        return Err(("URL_TOO_LONG", message));
    }
    if url.port() == Some(0) {
        return Err((
            "URL_PORT",
            "nothing listens on port 0: name the receiver's port, or none for its usual one".to_owned(),
        ));
    }
    let host = url.host().ok_or_else(|| ("URL_INVALID", "the URL has no host".to_owned()))?;
    address_rules.check_host(&host).map_err(|refused| {
        let by = if refused.is_by_operator { "refuses it" } else { "can allow addresses" };
        ("URL_ADDRESS_REFUSED", format!("{refused}; whoever runs this server {by}"))
    })?;
    Ok(url.into())
}
