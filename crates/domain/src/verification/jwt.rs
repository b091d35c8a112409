//! The checks of `x-crystallize-signature`.

use super::signed::{self, Signed};
use super::{Check, Credentials, SavedRequest, check};
use crate::constant_time;
use crate::signing::{FIXED_CLAIMS, JWT_HEADER, PublicKey, SigningSecret, hashed_text, hmac_claim, hmac_sha256};
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use serde_json::{Map, Value};

/// So much of a hashed text is shown, in characters.
const SHOWN_CHARS_MAX: usize = 2_000;

pub(super) fn checks(request: &SavedRequest, credentials: &Credentials, now: Timestamp) -> Vec<Check> {
    let Some(jwt) = request.header(JWT_HEADER) else {
        return vec![check(JWT_HEADER, "present", Err("the request has no such header".to_owned()))];
    };
    let Jwt { algorithm, message, signature, claims } = match parsed(jwt) {
        Ok(jwt) => jwt,
        Err(reason) => return vec![check(JWT_HEADER, "form", Err(reason))],
    };
    let verdict = match (algorithm, &credentials.secret, &credentials.key) {
        (Algorithm::Symmetric, Some(secret), _) => symmetric_result(message, &signature, secret),
        (Algorithm::Asymmetric, _, Some(key)) => asymmetric_result(message, &signature, key),
        (Algorithm::Symmetric, None, _) => Err("HS256 is verified with the secret, whsec_…: give that too".to_owned()),
        (Algorithm::Asymmetric, _, None) => {
            Err("EdDSA is verified with the public key, whpk_…: give that too".to_owned())
        }
    };
    let mut checks = vec![
        check(JWT_HEADER, "form", Ok(format!("a JWT, {}", algorithm.as_str()))),
        check(JWT_HEADER, "signature", verdict),
    ];
    for (name, expected) in FIXED_CLAIMS {
        let result = match claims.get(name) {
            Some(Value::String(found)) if found == expected => Ok(expected.to_owned()),
            found => Err(format!("{} instead of {expected:?}", shown(found))),
        };
        checks.push(check(JWT_HEADER, name, result));
    }
    checks.push(check(JWT_HEADER, "time", time_result(&claims, now)));
    match covered(&claims, request) {
        Ok(signed) => {
            checks.push(check(JWT_HEADER, "hmac", Ok(format!("covers {} {}", signed.method, signed.url))));
            if signed.method == "GET" {
                checks.push(check("query", "parameters", signed::parameters_result(request, &signed.url)));
            }
        }
        Err(reason) => checks.push(check(JWT_HEADER, "hmac", Err(reason))),
    }
    checks
}

/// The algorithms that sign here.
#[derive(Clone, Copy)]
enum Algorithm {
    Symmetric,
    Asymmetric,
}

impl Algorithm {
    const ALL: [Algorithm; 2] = [Self::Symmetric, Self::Asymmetric];

    const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Symmetric => "HS256",
            Algorithm::Asymmetric => "EdDSA",
        }
    }
}

struct Jwt<'a> {
    algorithm: Algorithm,
    /// What is signed: header and claims, encoded.
    message: &'a str,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

fn parsed(jwt: &str) -> Result<Jwt<'_>, String> {
    let decoded = |name: &str, segment: &str| {
        URL_SAFE_NO_PAD.decode(segment).map_err(|error| format!("its {name} is no base64url: {error}"))
    };
    let (message, signature) = jwt.rsplit_once('.').ok_or("no JWT: three parts joined by dots are expected")?;
    let (header, claims) = message.split_once('.').ok_or("no JWT: three parts joined by dots are expected")?;
    let header: Value = serde_json::from_slice(&decoded("header", header)?)
        .map_err(|error| format!("its header is no JSON: {error}"))?;
    let algorithm = Algorithm::ALL.into_iter().find(|known| header["alg"] == known.as_str());
    let algorithm =
        algorithm.ok_or_else(|| format!("its algorithm is {} instead of \"HS256\" or \"EdDSA\"", header["alg"]))?;
    let claims = serde_json::from_slice(&decoded("claims", claims)?)
        .map_err(|error| format!("its claims are no JSON object: {error}"))?;
    Ok(Jwt { algorithm, message, signature: decoded("signature", signature)?, claims })
}

fn asymmetric_result(message: &str, signature: &[u8], key: &PublicKey) -> Result<String, String> {
    if key.verifies(message.as_bytes(), signature) {
        return Ok("signed with this key".to_owned());
    }
    Err("signed with another key, or changed since".to_owned())
}

fn symmetric_result(message: &str, signature: &[u8], secret: &SigningSecret) -> Result<String, String> {
    if constant_time::same(&hmac_sha256(secret.expose().as_bytes(), message.as_bytes()), signature) {
        return Ok("signed with this secret".to_owned());
    }
    if constant_time::same(&hmac_sha256(secret.expose_bytes(), message.as_bytes()), signature) {
        return Err("keyed with the secret's decoded bytes: the key is the secret's whole text".to_owned());
    }
    Err("signed with another secret, or changed since".to_owned())
}

fn time_result(claims: &Map<String, Value>, now: Timestamp) -> Result<String, String> {
    let time = |name: &str| {
        let seconds = claims.get(name).and_then(Value::as_i64).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        seconds.ok_or_else(|| format!("{name} is {} instead of a time in seconds", shown(claims.get(name))))
    };
    let (issued_at, expires_at) = (time("iat")?, time("exp")?);
    if expires_at <= issued_at {
        return Err(format!("expires at {expires_at}, which is not after it was issued at {issued_at}"));
    }
    if issued_at > now {
        return Err(format!("issued at {issued_at}, which is after now, {now}: do the clocks agree?"));
    }
    if expires_at <= now {
        return Err(format!("expired at {expires_at}, {} seconds before {now}", (now - expires_at).num_seconds()));
    }
    Ok(format!("issued at {issued_at}, expires at {expires_at}"))
}

/// What of the request the claim `hmac` covers.
fn covered(claims: &Map<String, Value>, request: &SavedRequest) -> Result<Signed, String> {
    let Some(Value::String(claimed)) = claims.get("hmac") else {
        return Err(format!("{} instead of a text", shown(claims.get("hmac"))));
    };
    let candidates = signed::candidates(request)?;
    if let Some(signed) = candidates.iter().find(|signed| hmac_claim(signed.parts()) == *claimed) {
        return Ok(signed.clone());
    }
    for (what, variant) in candidates.iter().flat_map(variants) {
        if hmac_claim(variant.parts()) == *claimed {
            return Err(format!("it covers {what}: {} {}", variant.method, variant.url));
        }
    }
    let Some(first) = candidates.first() else { return Err("nothing to compare with".to_owned()) };
    let text: String = hashed_text(first.parts()).chars().take(SHOWN_CHARS_MAX).collect();
    Err(format!("the claim is {claimed}, but the SHA-256 of {text} is {}", hmac_claim(first.parts())))
}

/// What is mistaken most often, one thing at a time.
fn variants(signed: &Signed) -> Vec<(&'static str, Signed)> {
    let with_url = |url: String| Signed { url, ..signed.clone() };
    let mut variants = vec![("no body", Signed { body_json: None, ..signed.clone() })];
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        variants.push(("another method", Signed { method: method.to_owned(), ..signed.clone() }));
    }
    if let Some(rest) = signed.url.strip_prefix("http://") {
        let what = "https instead of http (behind a proxy, verify with the URL as it is configured)";
        variants.push((what, with_url(format!("https://{rest}"))));
    }
    if let Some(rest) = signed.url.strip_prefix("https://") {
        variants.push(("http instead of https", with_url(format!("http://{rest}"))));
    }
    if let Ok(url) = url::Url::parse(&signed.url) {
        variants.push(("the URL as WHATWG normalises it", with_url(url.into())));
    }
    match signed.url.strip_suffix('/') {
        Some(rest) => variants.push(("the URL without its last slash", with_url(rest.to_owned()))),
        None => variants.push(("the URL with a slash behind", with_url(format!("{}/", signed.url)))),
    }
    variants
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), Value::to_string)
}
