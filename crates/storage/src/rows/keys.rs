//! Signature keys: one sealed JSON for a set, so that a secret and what it replaced are never apart.

use super::{from_json, open, to_json};
use crate::error::corrupt;
use crate::micros::{from_time, to_optional_time, to_time};
use hookgraph_domain::ports::{SecretVault, StoreError};
use hookgraph_domain::signing::{OwnKeys, Previous, Replaced, Rotating, SigningKey, SigningKeys, SigningSecret};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Kept {
    secret: KeptRotating,
    key: KeptRotating,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct KeptRotating {
    current: String,
    /// The newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    previous: Vec<KeptPrevious>,
}

#[derive(Serialize, Deserialize)]
struct KeptPrevious {
    /// None for the tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    until_us: i64,
}

/// A tenant's set, sealed.
pub fn seal(label: &str, keys: &SigningKeys, vault: &dyn SecretVault) -> Result<Vec<u8>, StoreError> {
    sealed(label, keys, None, vault)
}

/// A webhook's own, sealed.
pub fn seal_own(label: &str, own: &OwnKeys, vault: &dyn SecretVault) -> Result<Vec<u8>, StoreError> {
    sealed(label, &own.keys, own.until.map(from_time), vault)
}

fn sealed(
    label: &str,
    keys: &SigningKeys,
    until_us: Option<i64>,
    vault: &dyn SecretVault,
) -> Result<Vec<u8>, StoreError> {
    let kept = Kept {
        secret: keep(&keys.secret, |secret| secret.expose().to_owned()),
        key: keep(&keys.key, SigningKey::expose),
        until_us,
    };
    Ok(vault.seal(label, to_json(label, &kept)?.as_bytes()))
}

/// The same opened; what a tenant has never ends.
pub fn opened(label: &str, sealed: &[u8], vault: &dyn SecretVault) -> Result<OwnKeys, StoreError> {
    let text = String::from_utf8(open(vault, label, sealed)?).map_err(|_| corrupt(label, "not a text"))?;
    // What is wrong with it could show a part of it.
    let kept: Kept = from_json(label, &text).map_err(|_| corrupt(label, "not a set of keys"))?;
    let secret = |text: String| SigningSecret::parse(&text).map_err(|error| corrupt(label, error));
    let key = |text: String| SigningKey::parse(&text).map_err(|error| corrupt(label, error));
    let keys = SigningKeys { secret: unkeep(kept.secret, secret)?, key: unkeep(kept.key, key)? };
    Ok(OwnKeys { keys, until: to_optional_time(kept.until_us)? })
}

fn keep<T>(rotating: &Rotating<T>, text: impl Fn(&T) -> String) -> KeptRotating {
    let keep_previous = |previous: &Previous<T>| {
        let value = match &previous.replaced {
            Replaced::Own(value) => Some(text(value)),
            Replaced::Tenants => None,
        };
        KeptPrevious { value, until_us: from_time(previous.until) }
    };
    KeptRotating { current: text(&rotating.current), previous: rotating.previous.iter().map(keep_previous).collect() }
}

fn unkeep<T>(kept: KeptRotating, read: impl Fn(String) -> Result<T, StoreError>) -> Result<Rotating<T>, StoreError> {
    let unkeep_previous = |previous: KeptPrevious| -> Result<Previous<T>, StoreError> {
        let replaced = match previous.value {
            Some(value) => Replaced::Own(read(value)?),
            None => Replaced::Tenants,
        };
        Ok(Previous { replaced, until: to_time(previous.until_us)? })
    };
    let previous = kept.previous.into_iter().map(unkeep_previous).collect::<Result<Vec<_>, _>>()?;
    Ok(Rotating { current: read(kept.current)?, previous })
}
