//! Signing: a pure function of request, secret and time.
//!
//! Every request bears two signatures. `x-crystallize-signature` is a JWT (HS256, keyed with the secret's text) whose
//! `hmac` claim, despite its name, is the plain SHA-256 of method, URL and body. Beside it stand the headers of
//! Standard Webhooks (<https://www.standardwebhooks.com>), keyed with the secret's decoded bytes.

use crate::canonical_json::{quoted, to_text};
use crate::delivery::Signer;
use crate::ids::DeliveryId;
use crate::limits::SIGNATURE_VALID_S;
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

const PREFIX: &str = "whsec_";

/// The header that bears the JWT.
pub const JWT_HEADER: &str = "x-crystallize-signature";
/// The header that bears the delivery's id, the same over its retries: what a receiver deduplicates by.
pub const ID_HEADER: &str = "webhook-id";
/// The header that bears the attempt's time, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header that bears the Standard Webhooks signature.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The JWT's `aud`, `sub` and `iss`: what official verifiers expect.
pub(crate) const FIXED_CLAIMS: [(&str, &str); 3] = [("aud", "webhook"), ("sub", "signature"), ("iss", "crystallize")];

/// A tenant's signature secret: the text `whsec_<base64 of 32 bytes>`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret {
    text: String,
    bytes: [u8; 32],
}

impl SigningSecret {
    /// The secret of those bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self { text: format!("{PREFIX}{}", STANDARD.encode(bytes)), bytes: *bytes }
    }

    /// Reads a secret's text.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError)?;
        let decoded = STANDARD.decode(encoded).map_err(|_| SecretError)?;
        let bytes = <[u8; 32]>::try_from(decoded).map_err(|_| SecretError)?;
        Ok(Self { text: text.to_owned(), bytes })
    }

    /// The text, to be shown once, sealed or used as the JWT's key.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The decoded bytes: the key of Standard Webhooks signatures.
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("whsec_…")
    }
}

/// A secret that was replaced, and until when receivers may still know no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: SigningSecret,
    /// When the overlap ends.
    pub until: Timestamp,
}

/// A text that is no signature secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signature secret is whsec_ followed by the base64 of 32 bytes")]
pub struct SecretError;

/// What is signed: the parts of a request that the signatures cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedParts<'a> {
    /// Upper case.
    pub method: &'a str,
    /// The configured URL, normalised; without the parameters that GET appends.
    pub url: &'a str,
    /// The canonical JSON that is signed: the body, or for GET the appended parameters as a flat object of strings;
    /// none for an empty one.
    pub body_json: Option<&'a str>,
}

/// The signature headers of one attempt: `x-crystallize-signature`, `webhook-id`, `webhook-timestamp`, `webhook-signature`.
///
/// While a rotation's overlap lasts `webhook-signature` bears both signatures, and the JWT, which can bear but one, is signed
/// with the secret before: a receiver changes over at any time in between.
pub fn sign(
    parts: SignedParts<'_>,
    signer: &Signer,
    user_id: Option<&str>,
    delivery_id: DeliveryId,
    now: Timestamp,
) -> Vec<(String, String)> {
    let id = delivery_id.to_string();
    let timestamp = now.timestamp().to_string();
    let previous = signer.previous.as_ref().filter(|previous| now < previous.until).map(|previous| &previous.secret);
    let jwt_secret = previous.unwrap_or(&signer.secret);
    let jwt = jwt(&claims(parts, signer, user_id, now.timestamp()), jwt_secret.expose());
    let secrets = [Some(&signer.secret), previous].into_iter().flatten();
    let signatures: Vec<_> = secrets
        .map(|secret| format!("v1,{}", standard_signature(parts, secret.expose_bytes(), &id, &timestamp)))
        .collect();
    [(JWT_HEADER, jwt), (ID_HEADER, id), (TIMESTAMP_HEADER, timestamp), (SIGNATURE_HEADER, signatures.join(" "))]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
}

/// The text whose SHA-256 is the JWT's `hmac` claim.
pub fn hashed_text(parts: SignedParts<'_>) -> String {
    let body = parts.body_json.unwrap_or("null");
    format!(r#"{{"url":{},"method":{},"body":{body}}}"#, quoted(parts.url), quoted(parts.method))
}

/// The JWT's `hmac` claim: the plain SHA-256 of [`hashed_text`], lower-case hex.
pub fn hmac_claim(parts: SignedParts<'_>) -> String {
    hex::encode(Sha256::digest(hashed_text(parts)))
}

/// The `v1` signature of Standard Webhooks, base64. A request without a body is signed over `null`, because the official
/// verifiers parse what they verify as JSON.
pub(crate) fn standard_signature(parts: SignedParts<'_>, key: &[u8], id: &str, timestamp: &str) -> String {
    let body = parts.body_json.unwrap_or("null");
    STANDARD.encode(hmac_sha256(key, format!("{id}.{timestamp}.{body}").as_bytes()))
}

fn claims(parts: SignedParts<'_>, signer: &Signer, user_id: Option<&str>, issued_at_s: i64) -> Value {
    let mut claims: Map<String, Value> =
        FIXED_CLAIMS.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    claims.insert("iat".to_owned(), issued_at_s.into());
    claims.insert("exp".to_owned(), issued_at_s.saturating_add_unsigned(SIGNATURE_VALID_S).into());
    if let Some(user_id) = user_id {
        claims.insert("userId".to_owned(), user_id.into());
    }
    claims.insert("tenantId".to_owned(), signer.tenant_id.to_string().into());
    claims.insert("tenantIdentifier".to_owned(), signer.tenant_identifier.as_str().into());
    claims.insert("hmac".to_owned(), hmac_claim(parts).into());
    Value::Object(claims)
}

/// A compact JWT of those claims (RFC 7519), HS256.
fn jwt(claims: &Value, key: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(to_text(&json!({ "alg": "HS256", "typ": "JWT" })));
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(to_text(claims)));
    let signature = URL_SAFE_NO_PAD.encode(hmac_sha256(key.as_bytes(), signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// HMAC-SHA256 (RFC 2104).
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{delivery, now, signer};

    const POST_BODY: &str = r#"{"item":{"get":{"id":"63f2d3b2a94533f79fc6397b","createdAt":"2023-02-20T01:58:10.000Z","updatedAt":"2023-02-23T07:58:34.685Z","name":"test"}}}"#;
    const GET_BODY: &str = r#"{"id":"65d8fc4ce2ba75beec481ec1","userId":"61f9933ec63b0a44d5004c2d","tenantId":"61f9937c3b63c8386ea9e153","type":"document","language":"en"}"#;

    #[test]
    fn the_hmac_claim_is_that_of_the_public_vectors() {
        for (method, url, body_json, expected) in [
            (
                "POST",
                "https://a17e-2601-645-4500-330-b07d-351d-ece7-41c1.ngrok.io/test/signature",
                Some(POST_BODY),
                "1101b34dac8c55e5590a37271f1c41c3d745463854613494a1624a15be24f1f8",
            ),
            (
                "GET",
                "https://helloworld.crystallize.app.local",
                None,
                "157bee342a4856e14e964356fef54fd84b3a3508c1071ed674172d3f9b68892f",
            ),
            (
                "GET",
                "https://webhook.site/b56870a7-9600-41a6-86a0-98be0c7532fd",
                Some(GET_BODY),
                "61ce7a2e5072900a13369ac7f69b9e056e91c38c42f1bfe94389c80411d94b78",
            ),
        ] {
            assert_eq!(hmac_claim(SignedParts { method, url, body_json }), expected);
        }
    }

    #[test]
    fn the_v1_signature_is_that_of_the_standard_webhooks_vector() {
        // From the specification's reference libraries: secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let parts = SignedParts { method: "POST", url: "", body_json: Some(r#"{"test": 2432232314}"#) };
        let signature = standard_signature(parts, &key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn the_claims_are_in_their_order_and_expire_after_a_minute() {
        let parts = SignedParts { method: "POST", url: "https://receiver.example/", body_json: Some("{}") };
        let headers = sign(parts, &signer(), Some("u1"), delivery().id, now());
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [JWT_HEADER, ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER]);
        assert_eq!(headers[1].1, "00000000-0000-0000-0000-000000000004");
        assert_eq!(headers[2].1, "1700000000");

        let segments: Vec<&str> = headers[0].1.split('.').collect();
        let decoded = |segment| String::from_utf8(URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap();
        assert_eq!(decoded(segments[0]), r#"{"alg":"HS256","typ":"JWT"}"#);
        let expected = format!(
            r#"{{"aud":"webhook","sub":"signature","iss":"crystallize","iat":1700000000,"exp":1700000060,"userId":"u1","tenantId":"00000000-0000-0000-0000-000000000001","tenantIdentifier":"acme","hmac":"{}"}}"#,
            hmac_claim(parts)
        );
        assert_eq!(decoded(segments[1]), expected);
        let without_user = sign(parts, &signer(), None, delivery().id, now());
        assert!(!decoded(without_user[0].1.split('.').nth(1).unwrap()).contains("userId"));
    }

    #[test]
    fn in_a_rotations_overlap_both_secrets_sign_and_the_jwt_is_the_old_ones() {
        let parts = SignedParts { method: "POST", url: "https://receiver.example/", body_json: Some("{}") };
        let (old, new) = (SigningSecret::from_bytes(&[7; 32]), SigningSecret::from_bytes(&[8; 32]));
        let until = now() + chrono::Duration::seconds(60);
        let alone = |secret: &SigningSecret, at| {
            sign(parts, &Signer { secret: secret.clone(), ..signer() }, None, delivery().id, at)
        };
        let previous = Some(PreviousSecret { secret: old.clone(), until });
        let rotating = Signer { secret: new.clone(), previous, ..signer() };
        let last = until - chrono::Duration::microseconds(1);
        let both = sign(parts, &rotating, None, delivery().id, last);
        assert_eq!(both[0], alone(&old, last)[0]);
        assert_eq!(both[3].1, format!("{} {}", alone(&new, last)[3].1, alone(&old, last)[3].1));
        assert_eq!(sign(parts, &rotating, None, delivery().id, until), alone(&new, until));
    }

    #[test]
    fn a_secret_is_read_back_and_never_shown_by_debug() {
        let secret = SigningSecret::from_bytes(&[7; 32]);
        assert_eq!(secret.expose(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert_eq!(SigningSecret::parse(secret.expose()), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "whsec_…");
        for text in ["", "whsec_", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "whsec_BwcH", "whsec_!!"] {
            assert_eq!(SigningSecret::parse(text), Err(SecretError), "{text}");
        }
    }
}
