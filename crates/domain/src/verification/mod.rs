//! Verification: what a receiver checks, told check by check, so that a refused request says exactly what does not match.

mod jwt;
mod signed;
mod standard;

use crate::signing::{PublicKey, SigningSecret};
use crate::time::Timestamp;

/// A request as a receiver saved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRequest {
    /// In any case.
    pub method: String,
    /// The whole URL that was called.
    pub url: String,
    /// For GET, the URL as it is configured; where none is given, every split of the URL's query is tried.
    pub webhook_url: Option<String>,
    /// Names in any case.
    pub headers: Vec<(String, String)>,
    /// The exact text of the body; empty for none.
    pub body: String,
}

impl SavedRequest {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked, and of which part of the request, e.g. `x-crystallize-signature: hmac`.
    pub what: String,
    /// What was found, or what does not match and why that may be.
    pub result: Result<String, String>,
}

/// What a receiver verifies with: at least one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// For HS256 and `v1`.
    pub secret: Option<SigningSecret>,
    /// For EdDSA and `v1a`.
    pub key: Option<PublicKey>,
}

/// Checks both signatures of a request as of `now`: the JWT's form, signature, claims, times and `hmac`, of a GET also that its
/// parameters come as they were signed, then the Standard Webhooks headers. A check that rests on one that failed is left out.
/// The request is genuine when none failed: a signature that cannot be judged with what is given is a failure too.
pub fn verify(request: &SavedRequest, credentials: &Credentials, now: Timestamp) -> Vec<Check> {
    let mut checks = jwt::checks(request, credentials, now);
    checks.extend(standard::checks(request, credentials, now));
    checks
}

fn check(part: &str, what: &str, result: Result<String, String>) -> Check {
    Check { what: format!("{part}: {what}"), result }
}

#[cfg(test)]
mod tests;
