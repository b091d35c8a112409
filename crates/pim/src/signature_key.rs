//! Signature keys in the API, and the arguments of rotations: of a tenant in this crate, of a webhook in the management
//! API.

use crate::scalars::{DateTime, JsonValue};
use async_graphql::SimpleObject;
use hookgraph_domain::limits::{SECRET_OVERLAP_S_DEFAULT, SECRET_OVERLAP_S_MAX};
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::signing::{ActiveKeys, PublicKey, Rotation};
use hookgraph_domain::time::Timestamp;

/// A public key that verifies asymmetric signatures: a JWT by EdDSA, and `v1a` of Standard Webhooks.
#[derive(Clone, Debug, SimpleObject)]
pub struct SignatureKey {
    /// By what a JWT's header names it (`kid`).
    pub id: String,
    /// As Standard Webhooks writes it: `whpk_…`.
    pub public_key: String,
    /// As a JWK.
    pub jwk: JsonValue,
    /// Until when it signs beside the one that replaced it; none where nothing did.
    pub signs_until: Option<DateTime>,
}

impl SignatureKey {
    fn new(key: PublicKey, signs_until: Option<Timestamp>) -> Self {
        let signs_until = signs_until.map(DateTime);
        Self { id: key.id(), public_key: key.text(), jwk: JsonValue(key.jwk()), signs_until }
    }

    /// The keys that sign, the newest first.
    pub fn all(active: &ActiveKeys<'_>) -> Vec<Self> {
        active.public().map(|(key, until)| Self::new(key, until)).collect()
    }
}

/// The rotation that the arguments ask for: of secret and key both where neither argument is given, else of each that
/// is true.
///
/// # Errors
/// When the rotation would be of neither, or the overlap is out of its bounds.
pub fn rotation(secret: Option<bool>, key: Option<bool>, overlap_s: Option<i32>) -> Result<Rotation, Refusal> {
    let all = secret.is_none() && key.is_none();
    let is_asked = |said: Option<bool>| said.unwrap_or(all);
    let (secret, key) = (is_asked(secret), is_asked(key));
    if !secret && !key {
        let message =
            "nothing is chosen: say true of signatureSecret, signatureKey or both, or nothing of either for both";
        return Err(Refusal::invalid_at("input", "NOTHING_CHOSEN", message));
    }
    Ok(Rotation { secret, key, overlap_s: checked_overlap_s(overlap_s)? })
}

/// How long a replaced secret or key signs on, in seconds: a day where no argument is given.
///
/// # Errors
/// When the argument is out of its bounds.
pub fn checked_overlap_s(asked: Option<i32>) -> Result<u32, Refusal> {
    match asked.map(u32::try_from) {
        None => Ok(SECRET_OVERLAP_S_DEFAULT),
        Some(Ok(overlap_s)) if overlap_s <= SECRET_OVERLAP_S_MAX => Ok(overlap_s),
        Some(_) => {
            let message = format!("an overlap is 0 to {SECRET_OVERLAP_S_MAX} seconds");
            Err(Refusal::invalid_at("input.overlapS", "OVERLAP", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_made_anew_where_nothing_is_said_and_else_what_is_said_to_be() {
        let asked = |secret, key| rotation(secret, key, None).map(|it| (it.secret, it.key)).unwrap();
        assert_eq!(asked(None, None), (true, true));
        assert_eq!(asked(Some(true), None), (true, false));
        assert_eq!(asked(None, Some(true)), (false, true));
        for (secret, key) in [(Some(false), None), (None, Some(false)), (Some(false), Some(false))] {
            let problems = rotation(secret, key, None).unwrap_err().problems;
            assert_eq!((problems[0].path.as_str(), problems[0].code.as_str()), ("input", "NOTHING_CHOSEN"));
        }
    }

    #[test]
    fn an_overlap_is_a_day_where_nothing_is_said_and_a_week_at_most() {
        assert_eq!(checked_overlap_s(None).unwrap(), SECRET_OVERLAP_S_DEFAULT);
        assert_eq!(checked_overlap_s(Some(604_800)).unwrap(), SECRET_OVERLAP_S_MAX);
        assert!(checked_overlap_s(Some(604_801)).is_err() && checked_overlap_s(Some(-1)).is_err());
    }
}
