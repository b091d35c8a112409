//! Signing: a pure function of request, secret and time.
//!
//! Every request bears two signatures. `x-crystallize-signature` is a JWT whose `hmac` claim, despite its name, is the plain
//! SHA-256 of method, URL and body. Beside it stand the headers of Standard Webhooks (<https://www.standardwebhooks.com>).
//! What signs them is the webhook's choice ([`SigningScheme`]): a secret (HS256, keyed with its text, and `v1`, keyed with its
//! decoded bytes), a key pair (EdDSA and `v1a`), or both.

mod key;
mod keys;
mod secret;

pub use key::{KeyError, PublicKey, SigningKey};
pub use keys::{ActiveKeys, OverlapsFull, OwnKeys, Previous, Replaced, Rotating, Rotation, SigningKeys};
pub use secret::{SecretError, SigningSecret};

use crate::canonical_json::quoted;
use crate::delivery::Signer;
use crate::ids::DeliveryId;
use crate::limits::SIGNATURE_VALID_S;
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

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

/// What signs a webhook's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SigningScheme {
    /// The secret: a JWT by HS256, and `v1`.
    #[default]
    Symmetric,
    /// The key pair: a JWT by EdDSA, and `v1a`.
    Asymmetric,
    /// Both, for receivers that change over: a JWT by HS256, and `v1` beside `v1a`.
    Both,
}

impl SigningScheme {
    /// Every scheme.
    pub const ALL: [SigningScheme; 3] = [Self::Symmetric, Self::Asymmetric, Self::Both];

    /// The name in the API and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            SigningScheme::Symmetric => "SYMMETRIC",
            SigningScheme::Asymmetric => "ASYMMETRIC",
            SigningScheme::Both => "BOTH",
        }
    }

    /// The scheme of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == name)
    }
}

/// Who signs, and with what.
#[derive(Clone, Copy, Debug)]
pub struct SignAs<'a> {
    /// The tenant, and its keys.
    pub signer: &'a Signer,
    /// The webhook's own keys, where it has some.
    pub own_keys: Option<&'a OwnKeys>,
    /// The webhook's choice.
    pub scheme: SigningScheme,
    /// The user who caused the event.
    pub user_id: Option<&'a str>,
}

/// The signature headers of one attempt: `x-crystallize-signature`, `webhook-id`, `webhook-timestamp`, `webhook-signature`.
///
/// While overlaps of rotations last `webhook-signature` bears a signature of each secret and key, and the JWT, which can bear
/// but one, is signed with the oldest of them: a receiver changes over at any time in between.
pub fn sign(
    parts: SignedParts<'_>,
    sign_as: SignAs<'_>,
    delivery_id: DeliveryId,
    now: Timestamp,
) -> Vec<(String, String)> {
    let SignAs { signer, own_keys, scheme, user_id } = sign_as;
    let id = delivery_id.to_string();
    let timestamp = now.timestamp().to_string();
    let ActiveKeys { secrets, keys } = ActiveKeys::at(now, &signer.keys, own_keys);
    let claims = claims(parts, signer, user_id, now.timestamp());
    let jwt = match (scheme, secrets.last(), keys.last()) {
        (SigningScheme::Asymmetric, _, Some((key, _))) => asymmetric_jwt(&claims, key),
        (_, Some(secret), _) => symmetric_jwt(&claims, secret),
        (_, None, _) => unreachable!("some secret signs at any time"),
    };
    let message = standard_message(parts, &id, &timestamp);
    let secrets = secrets.iter().filter(|_| scheme != SigningScheme::Asymmetric);
    let keys = keys.iter().filter(|_| scheme != SigningScheme::Symmetric);
    let signatures: Vec<_> = secrets
        .map(|secret| format!("v1,{}", v1_signature(&message, secret.expose_bytes())))
        .chain(keys.map(|(key, _)| format!("v1a,{}", STANDARD.encode(key.sign(message.as_bytes())))))
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

/// What the signatures of Standard Webhooks cover. A request without a body is signed over `null`, because the official
/// verifiers parse what they verify as JSON.
pub(crate) fn standard_message(parts: SignedParts<'_>, id: &str, timestamp: &str) -> String {
    format!("{id}.{timestamp}.{}", parts.body_json.unwrap_or("null"))
}

/// The `v1` signature of Standard Webhooks, base64.
pub(crate) fn v1_signature(message: &str, key: &[u8]) -> String {
    STANDARD.encode(hmac_sha256(key, message.as_bytes()))
}

/// The JWT's claims, as canonical JSON.
fn claims(parts: SignedParts<'_>, signer: &Signer, user_id: Option<&str>, issued_at_s: i64) -> String {
    let fixed = FIXED_CLAIMS.map(|(name, value)| format!(r#""{name}":"{value}","#)).concat();
    let expires_at_s = issued_at_s.saturating_add_unsigned(SIGNATURE_VALID_S);
    let user_id = user_id.map(|id| format!(r#""userId":{},"#, quoted(id))).unwrap_or_default();
    let (tenant_id, identifier) = (signer.tenant_id, quoted(&signer.tenant_identifier));
    let hmac = hmac_claim(parts);
    format!(
        r#"{{{fixed}"iat":{issued_at_s},"exp":{expires_at_s},{user_id}"tenantId":"{tenant_id}","tenantIdentifier":{identifier},"hmac":"{hmac}"}}"#
    )
}

/// A compact JWT of those claims (RFC 7519), HS256.
fn symmetric_jwt(claims: &str, secret: &SigningSecret) -> String {
    jwt(r#"{"alg":"HS256","typ":"JWT"}"#, claims, |signed| hmac_sha256(secret.expose().as_bytes(), signed))
}

/// The same by EdDSA (RFC 8037), with the id under which the key is published.
fn asymmetric_jwt(claims: &str, key: &SigningKey) -> String {
    let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":{}}}"#, quoted(&key.public().id()));
    jwt(&header, claims, |signed| key.sign(signed))
}

fn jwt<S: AsRef<[u8]>>(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> S) -> String {
    let mut jwt = String::with_capacity(2 * (header.len() + claims.len()));
    URL_SAFE_NO_PAD.encode_string(header, &mut jwt);
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut jwt);
    let signature = sign(jwt.as_bytes());
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    jwt
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
    use crate::sample::{delivery, keys, now, signer};

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
    fn standard_signatures_are_those_of_the_vectors() {
        // From the reference libraries: secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, and the key pair's of their authors.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let parts = SignedParts { method: "POST", url: "", body_json: Some(r#"{"test": 2432232314}"#) };
        let message = standard_message(parts, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330");
        assert_eq!(v1_signature(&message, &secret), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let key = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
        let signature = SigningKey::parse(key).unwrap().sign(message.as_bytes());
        assert_eq!(
            STANDARD.encode(signature),
            "hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        );
    }

    fn parts() -> SignedParts<'static> {
        SignedParts { method: "POST", url: "https://receiver.example/", body_json: Some("{}") }
    }

    fn signed(keys: SigningKeys, scheme: SigningScheme, at: Timestamp) -> Vec<(String, String)> {
        let signer = Signer { keys, ..signer() };
        sign(parts(), SignAs { signer: &signer, own_keys: None, scheme, user_id: None }, delivery().id, at)
    }

    /// A part of a JWT.
    fn decoded(jwt: &str, part: usize) -> String {
        String::from_utf8(URL_SAFE_NO_PAD.decode(jwt.split('.').nth(part).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn the_claims_are_in_their_order_and_expire_after_a_minute() {
        let (signer, scheme) = (signer(), SigningScheme::Symmetric);
        let sign_as = SignAs { signer: &signer, own_keys: None, scheme, user_id: Some("u1") };
        let headers = sign(parts(), sign_as, delivery().id, now());
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [JWT_HEADER, ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER]);
        assert_eq!(headers[1].1, "00000000-0000-0000-0000-000000000004");
        assert_eq!(headers[2].1, "1700000000");

        assert_eq!(decoded(&headers[0].1, 0), r#"{"alg":"HS256","typ":"JWT"}"#);
        let expected = format!(
            r#"{{"aud":"webhook","sub":"signature","iss":"crystallize","iat":1700000000,"exp":1700000060,"userId":"u1","tenantId":"00000000-0000-0000-0000-000000000001","tenantIdentifier":"acme","hmac":"{}"}}"#,
            hmac_claim(parts())
        );
        assert_eq!(decoded(&headers[0].1, 1), expected);
        let without_user = sign(parts(), SignAs { user_id: None, ..sign_as }, delivery().id, now());
        assert!(!decoded(&without_user[0].1, 1).contains("userId"));
    }

    #[test]
    fn in_a_rotations_overlap_all_sign_and_the_jwt_is_the_old_ones() {
        let until = now() + chrono::Duration::seconds(60);
        let rotating = SigningKeys {
            secret: keys(7).secret.rotated(keys(8).secret.current, now(), 60).unwrap(),
            key: keys(7).key.rotated(keys(8).key.current, now(), 60).unwrap(),
        };
        let last = until - chrono::Duration::microseconds(1);
        for scheme in [SigningScheme::Symmetric, SigningScheme::Asymmetric] {
            let both = signed(rotating.clone(), scheme, last);
            let (old, new) = (signed(keys(7), scheme, last), signed(keys(8), scheme, last));
            assert_eq!(both[0], old[0]);
            assert_eq!(both[3].1, format!("{} {}", new[3].1, old[3].1));
            assert_eq!(signed(rotating.clone(), scheme, until), signed(keys(8), scheme, until));
        }
    }

    #[test]
    fn a_webhooks_choice_says_which_signatures_there_are() {
        let of = |scheme| signed(keys(7), scheme, now());
        let (symmetric, asymmetric, both) =
            (of(SigningScheme::Symmetric), of(SigningScheme::Asymmetric), of(SigningScheme::Both));
        assert!(symmetric[3].1.starts_with("v1,") && asymmetric[3].1.starts_with("v1a,"));
        assert_eq!(both[3].1, format!("{} {}", symmetric[3].1, asymmetric[3].1));
        assert_eq!(both[0], symmetric[0]);
        let public = keys(7).key.current.public();
        assert_eq!(decoded(&asymmetric[0].1, 0), format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, public.id()));
        assert_eq!(decoded(&asymmetric[0].1, 1), decoded(&symmetric[0].1, 1));
        let (message, signature) = asymmetric[0].1.rsplit_once('.').unwrap();
        assert!(public.verifies(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()));
    }

    #[test]
    fn a_webhooks_own_keys_sign_in_place_of_its_tenants() {
        let (signer, scheme) = (signer(), SigningScheme::Both);
        let own = OwnKeys { keys: keys(9), until: None };
        let headers = sign(
            parts(),
            SignAs { signer: &signer, own_keys: Some(&own), scheme, user_id: None },
            delivery().id,
            now(),
        );
        assert_eq!(headers, signed(keys(9), scheme, now()));
    }
}
