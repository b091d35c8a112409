//! The checks of the Standard Webhooks headers.

use super::signed::{self, Signed};
use super::{Check, Credentials, SavedRequest, check};
use crate::constant_time;
use crate::signing::{ID_HEADER, PublicKey, SIGNATURE_HEADER, SigningSecret, TIMESTAMP_HEADER};
use crate::signing::{standard_message, v1_signature};
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;

/// How far a timestamp may be from now, in seconds: what the official libraries tolerate.
const TOLERANCE_S: i64 = 5 * 60;

pub(super) fn checks(request: &SavedRequest, credentials: &Credentials, now: Timestamp) -> Vec<Check> {
    let present = |name: &str| {
        request.header(name).ok_or_else(|| check(name, "present", Err("the request has no such header".to_owned())))
    };
    match (present(ID_HEADER), present(TIMESTAMP_HEADER), present(SIGNATURE_HEADER)) {
        (Ok(id), Ok(timestamp), Ok(signatures)) => {
            let judged = |verifier: Verifier<'_>| {
                let result = signature_result(request, verifier, id, timestamp, signatures);
                check(SIGNATURE_HEADER, verifier.version(), result)
            };
            let verifiers = [credentials.secret.as_ref().map(Verifier::Secret), credentials.key.map(Verifier::Key)];
            let time = check(TIMESTAMP_HEADER, "time", time_result(timestamp, now));
            std::iter::once(time).chain(verifiers.into_iter().flatten().map(judged)).collect()
        }
        (id, timestamp, signatures) => [id, timestamp, signatures].into_iter().filter_map(Result::err).collect(),
    }
}

/// What one version of the signature is verified with.
#[derive(Clone, Copy)]
enum Verifier<'a> {
    Secret(&'a SigningSecret),
    Key(PublicKey),
}

impl Verifier<'_> {
    const fn version(self) -> &'static str {
        match self {
            Verifier::Secret(_) => "v1",
            Verifier::Key(_) => "v1a",
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Verifier::Secret(_) => "secret",
            Verifier::Key(_) => "key",
        }
    }

    /// Whether that is a signature of the message, base64.
    fn verifies(self, message: &str, signature: &str) -> bool {
        match self {
            Verifier::Secret(secret) => {
                constant_time::same(v1_signature(message, secret.expose_bytes()).as_bytes(), signature.as_bytes())
            }
            Verifier::Key(key) => {
                STANDARD.decode(signature).is_ok_and(|signature| key.verifies(message.as_bytes(), &signature))
            }
        }
    }
}

fn time_result(timestamp: &str, now: Timestamp) -> Result<String, String> {
    let seconds = timestamp.parse::<i64>().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let sent_at = seconds.ok_or_else(|| format!("{timestamp:?} instead of a time in seconds"))?;
    match (now - sent_at).num_seconds() {
        age_s if age_s > TOLERANCE_S => {
            Err(format!("sent at {sent_at}, {age_s} seconds ago: {TOLERANCE_S} are tolerated"))
        }
        age_s if age_s < -TOLERANCE_S => Err(format!("sent at {sent_at}, after now, {now}: do the clocks agree?")),
        _ => Ok(format!("sent at {sent_at}")),
    }
}

fn signature_result(
    request: &SavedRequest,
    verifier: Verifier<'_>,
    id: &str,
    timestamp: &str,
    signatures: &str,
) -> Result<String, String> {
    let (version, what) = (verifier.version(), verifier.what());
    let of_version = |signature| match str::split_once(signature, ',') {
        Some((found, signature)) if found == version => Some(signature),
        _ => None,
    };
    let found: Vec<&str> = signatures.split(' ').filter_map(of_version).collect();
    if found.is_empty() {
        return Err(format!("{signatures:?} has no {version} signature"));
    }
    let matches = |signed: &Signed| {
        let message = standard_message(signed.parts(), id, timestamp);
        found.iter().any(|signature| verifier.verifies(&message, signature))
    };
    if covered(request)?.iter().any(matches) {
        return Ok(format!("signed with this {what}"));
    }
    if signed::candidates(request)?.iter().any(matches) {
        return Err("it covers the body as JavaScript prints it, not these bytes: was the body parsed and printed on \
                    its way?"
            .to_owned());
    }
    Err(format!("signed with another {what}, or the id, the timestamp or the body changed since"))
}

/// What the signature may cover: the exact bytes of a body, for GET the appended parameters.
fn covered(request: &SavedRequest) -> Result<Vec<Signed>, String> {
    if request.method.eq_ignore_ascii_case("GET") || request.body.is_empty() {
        return signed::candidates(request);
    }
    let body_json = Some(request.body.clone());
    Ok(vec![Signed { method: request.method.clone(), url: request.url.clone(), body_json }])
}
