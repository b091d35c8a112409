//! Verifies signatures, by code that shares nothing with the code that signs.

use super::ReceivedRequest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Why a request does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is missing.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header or the secret does not have its form.
    #[error("{0}")]
    Malformed(String),
    /// The signature is of another key or of another content.
    #[error("{0} does not match")]
    Mismatch(&'static str),
}

/// The claims of `x-crystallize-signature`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JwtClaims {
    /// `webhook`.
    pub aud: String,
    /// `signature`.
    pub sub: String,
    /// `crystallize`.
    pub iss: String,
    /// When the token was signed, in seconds.
    pub iat: i64,
    /// Until when the token is valid, in seconds.
    pub exp: i64,
    /// The user who made the change.
    pub user_id: Option<String>,
    /// The tenant's id.
    pub tenant_id: String,
    /// The tenant's identifier.
    pub tenant_identifier: String,
    /// Plain SHA-256, lower-case hex, of URL, method and body.
    pub hmac: String,
}

/// Verifies `x-crystallize-signature` with the secret's text, and its claim about the request: `url` is the configured
/// one. For GET the body is the object of the parameters that the configured URL does not have itself.
///
/// # Errors
/// [`SignatureError`]; the validity in time is the caller's to look at.
pub fn jwt_claims(request: &ReceivedRequest, url: &str, secret: &str) -> Result<JwtClaims, SignatureError> {
    const NAME: &str = "x-crystallize-signature";
    let token = request.header(NAME).ok_or(SignatureError::Missing(NAME))?;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return Err(SignatureError::Malformed("a JWT has three parts".to_owned()));
    };
    let decoded =
        |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|error| SignatureError::Malformed(error.to_string()));
    let parsed = |bytes: Vec<u8>| {
        serde_json::from_slice::<serde_json::Value>(&bytes)
            .map_err(|error| SignatureError::Malformed(error.to_string()))
    };
    if parsed(decoded(header)?)?["alg"] != "HS256" {
        return Err(SignatureError::Mismatch("alg"));
    }
    hmac_sha256(secret.as_bytes(), &[header, ".", payload])
        .verify_slice(&decoded(signature)?)
        .map_err(|_| SignatureError::Mismatch(NAME))?;
    let claims: JwtClaims = serde_json::from_value(parsed(decoded(payload)?)?)
        .map_err(|error| SignatureError::Malformed(error.to_string()))?;
    let body = signed_body(request, url)?;
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let covered = format!(
        r#"{{"url":{},"method":{},"body":{}}}"#,
        quoted(url),
        quoted(&request.method),
        body.as_deref().unwrap_or("null")
    );
    if hex::encode(Sha256::digest(covered.as_bytes())) != claims.hmac {
        return Err(SignatureError::Mismatch("hmac"));
    }
    Ok(claims)
}

/// Verifies the Standard Webhooks headers with the secret's text, and returns the `webhook-timestamp`.
///
/// # Errors
/// [`SignatureError`]; the age is the caller's to look at.
pub fn standard_webhook(request: &ReceivedRequest, url: &str, secret: &str) -> Result<i64, SignatureError> {
    let header = |name: &'static str| request.header(name).ok_or(SignatureError::Missing(name));
    let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
    let signatures = header("webhook-signature")?;
    let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
    let key = STANDARD.decode(encoded).map_err(|error| SignatureError::Malformed(error.to_string()))?;
    let body = signed_body(request, url)?.unwrap_or_default();
    let verifies = |signature: &str| {
        let bytes = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        bytes.is_some_and(|bytes| hmac_sha256(&key, &[id, ".", timestamp, ".", &body]).verify_slice(&bytes).is_ok())
    };
    if !signatures.split(' ').any(verifies) {
        return Err(SignatureError::Mismatch("webhook-signature"));
    }
    timestamp.parse().map_err(|_| SignatureError::Malformed("webhook-timestamp is no number".to_owned()))
}

fn hmac_sha256(key: &[u8], parts: &[&str]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    for part in parts {
        mac.update(part.as_bytes());
    }
    mac
}

/// The text that the signatures cover: the body as sent, or for GET the appended parameters as a flat object of
/// strings.
fn signed_body(request: &ReceivedRequest, url: &str) -> Result<Option<String>, SignatureError> {
    if request.method != "GET" {
        return Ok((!request.body.is_empty()).then(|| String::from_utf8_lossy(&request.body).into_owned()));
    }
    let configured: Vec<(String, String)> = pairs(url.split_once('?').map_or("", |(_, query)| query));
    let mut appended = pairs(request.uri.split_once('?').map_or("", |(_, query)| query));
    if appended.len() < configured.len() {
        return Err(SignatureError::Malformed("the configured parameters are missing".to_owned()));
    }
    appended.drain(..configured.len());
    // JavaScript puts integer-like keys first, ascending; the sort keeps the order of the others.
    appended.sort_by_key(|(name, _)| match name.parse::<u32>() {
        Ok(number) if number != u32::MAX && number.to_string() == *name => (false, number),
        _ => (true, 0),
    });
    let object: serde_json::Map<_, _> =
        appended.into_iter().map(|(name, value)| (name, serde_json::Value::from(value))).collect();
    Ok((!object.is_empty()).then(|| serde_json::Value::Object(object).to_string()))
}

/// The pairs of a form-url-encoded text, decoded.
fn pairs(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let bytes = text.as_bytes();
        let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
        while at < bytes.len() {
            let hex = bytes.get(at + 1..at + 3).and_then(|pair| hex::decode(pair).ok());
            match (bytes[at], hex) {
                (b'%', Some(byte)) => {
                    out.extend(byte);
                    at += 2;
                }
                (b'+', _) => out.push(b' '),
                (byte, _) => out.push(byte),
            }
            at += 1;
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> ReceivedRequest {
        ReceivedRequest {
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    /// The vector is that of the Standard Webhooks specification's reference libraries.
    #[test]
    fn the_published_standard_webhooks_vector_verifies() {
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ];
        let secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let received = request("POST", "/", &headers, r#"{"test": 2432232314}"#);
        assert_eq!(standard_webhook(&received, "http://x/", secret), Ok(1_614_265_330));
        let changed = request("POST", "/", &headers, r#"{"test": 2432232315}"#);
        assert_eq!(standard_webhook(&changed, "http://x/", secret), Err(SignatureError::Mismatch("webhook-signature")));
    }

    #[test]
    fn a_get_is_verified_over_its_appended_parameters() {
        let received = request("GET", "/hook?own=1&b=x%20y+z&2=two&a=%C3%A9", &[], "");
        let body = signed_body(&received, "http://x/hook?own=1").unwrap();
        assert_eq!(body.as_deref(), Some(r#"{"2":"two","b":"x y z","a":"é"}"#));
        let bare = request("GET", "/hook?own=1", &[], "");
        assert_eq!(signed_body(&bare, "http://x/hook?own=1"), Ok(None));
    }

    #[test]
    fn an_unsigned_request_names_the_missing_header() {
        let received = request("POST", "/", &[], "{}");
        assert_eq!(jwt_claims(&received, "http://x/", SECRET), Err(SignatureError::Missing("x-crystallize-signature")));
    }
}
