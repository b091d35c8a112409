//! The checks of the Standard Webhooks headers.

use super::signed::{self, Signed};
use super::{Check, SavedRequest, check};
use crate::signing::{ID_HEADER, SIGNATURE_HEADER, SigningSecret, TIMESTAMP_HEADER, standard_signature};
use crate::time::Timestamp;
use chrono::DateTime;

/// How far a timestamp may be from now, in seconds: what the official libraries tolerate.
const TOLERANCE_S: i64 = 5 * 60;

pub(super) fn checks(request: &SavedRequest, secret: &SigningSecret, now: Timestamp) -> Vec<Check> {
    let present = |name: &str| {
        request.header(name).ok_or_else(|| check(name, "present", Err("the request has no such header".to_owned())))
    };
    match (present(ID_HEADER), present(TIMESTAMP_HEADER), present(SIGNATURE_HEADER)) {
        (Ok(id), Ok(timestamp), Ok(signatures)) => vec![
            check(TIMESTAMP_HEADER, "time", time_result(timestamp, now)),
            check(SIGNATURE_HEADER, "v1", signature_result(request, secret, id, timestamp, signatures)),
        ],
        (id, timestamp, signatures) => [id, timestamp, signatures].into_iter().filter_map(Result::err).collect(),
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
    secret: &SigningSecret,
    id: &str,
    timestamp: &str,
    signatures: &str,
) -> Result<String, String> {
    let found: Vec<&str> = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,")).collect();
    if found.is_empty() {
        return Err(format!("{signatures:?} has no v1 signature"));
    }
    let matches = |signed: &Signed| {
        let expected = standard_signature(signed.parts(), secret.expose_bytes(), id, timestamp);
        found.iter().any(|signature| *signature == expected)
    };
    let covered = covered(request)?;
    if covered.iter().any(matches) {
        return Ok("signed with this secret".to_owned());
    }
    let reprinted = signed::candidates(request)?;
    if reprinted.iter().any(matches) {
        return Err(
            "it covers the body as JavaScript prints it, not these bytes: was the body parsed and printed on its \
                    way?"
                .to_owned(),
        );
    }
    Err("signed with another secret, or the id, the timestamp or the body changed since".to_owned())
}

/// What the signature may cover: the exact bytes of a body, for GET the appended parameters.
fn covered(request: &SavedRequest) -> Result<Vec<Signed>, String> {
    if request.method.eq_ignore_ascii_case("GET") || request.body.is_empty() {
        return signed::candidates(request);
    }
    let body_json = Some(request.body.clone());
    Ok(vec![Signed { method: request.method.clone(), url: request.url.clone(), body_json }])
}
