//! Sets of keys: a secret and a key pair, of a tenant or of a webhook, and how they are rotated.

use super::{PublicKey, SigningKey, SigningSecret};
use crate::ports::Entropy;
use crate::time::{Timestamp, plus_ms};

/// What signs, and what did before it while a rotation's overlap lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotating<T> {
    /// What signs.
    pub current: T,
    /// What signs beside it: receivers may still know no other.
    pub previous: Option<Previous<T>>,
}

/// What was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous<T> {
    /// The secret or key.
    pub value: T,
    /// When the overlap ends.
    pub until: Timestamp,
}

impl<T> Rotating<T> {
    /// What was never rotated.
    pub const fn new(current: T) -> Self {
        Self { current, previous: None }
    }

    /// With a new one from `now` on. The one before signs beside it for so long, and not at all where that is 0.
    pub fn rotated(self, new: T, now: Timestamp, overlap_s: u32) -> Self {
        let until = plus_ms(now, u64::from(overlap_s) * 1_000);
        Self { current: new, previous: (overlap_s > 0).then_some(Previous { value: self.current, until }) }
    }

    /// The one before, while its overlap lasts.
    fn overlapping(&self, now: Timestamp) -> Option<&Previous<T>> {
        self.previous.as_ref().filter(|previous| now < previous.until)
    }

    /// All that sign, the newest first, and until when.
    fn signing(&self, now: Timestamp) -> impl Iterator<Item = (&T, Option<Timestamp>)> {
        let previous = self.overlapping(now).map(|previous| (&previous.value, Some(previous.until)));
        std::iter::once((&self.current, None)).chain(previous)
    }
}

/// A secret and a key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeys {
    /// For the symmetric signatures.
    pub secret: Rotating<SigningSecret>,
    /// For the asymmetric ones.
    pub key: Rotating<SigningKey>,
}

impl SigningKeys {
    /// Never rotated.
    pub const fn new(secret: SigningSecret, key: SigningKey) -> Self {
        Self { secret: Rotating::new(secret), key: Rotating::new(key) }
    }

    /// New ones.
    pub fn fresh(entropy: &dyn Entropy) -> Self {
        Self::new(SigningSecret::fresh(entropy), SigningKey::fresh(entropy))
    }

    /// The set with new ones of what is asked for.
    pub fn rotated(self, rotation: Rotation, now: Timestamp, entropy: &dyn Entropy) -> Self {
        let Rotation { secret, key, overlap_s } = rotation;
        Self {
            secret: if secret {
                self.secret.rotated(SigningSecret::fresh(entropy), now, overlap_s)
            } else {
                self.secret
            },
            key: if key { self.key.rotated(SigningKey::fresh(entropy), now, overlap_s) } else { self.key },
        }
    }
}

/// What a rotation makes anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The secret.
    pub secret: bool,
    /// The key pair.
    pub key: bool,
    /// For how long those before sign too, in seconds.
    pub overlap_s: u32,
}

/// Keys that a webhook has for itself, in place of its tenant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKeys {
    /// The keys.
    pub keys: SigningKeys,
    /// Set once they were removed: until then they sign beside the tenant's.
    pub until: Option<Timestamp>,
}

impl OwnKeys {
    /// Whether they are the webhook's, and not on their way out.
    pub const fn are_in_use(&self) -> bool {
        self.until.is_none()
    }

    /// The keys of a webhook after a rotation. Where it had none, or gave them up, all are made, and the tenant's sign on
    /// while the overlap lasts.
    pub fn rotated(
        own: Option<&Self>,
        tenant: &SigningKeys,
        rotation: Rotation,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Self {
        let keys = match own.filter(|own| own.are_in_use()) {
            Some(own) => own.keys.clone().rotated(rotation, now, entropy),
            None => tenant.clone().rotated(Rotation { secret: true, key: true, ..rotation }, now, entropy),
        };
        Self { keys, until: None }
    }

    /// The keys of a webhook that goes back to its tenant's: for so long they sign on beside those.
    pub fn removed(&self, now: Timestamp, overlap_s: u32) -> Option<Self> {
        let until = plus_ms(now, u64::from(overlap_s) * 1_000);
        (overlap_s > 0).then(|| Self { keys: self.keys.clone(), until: Some(until) })
    }
}

/// What signs at a moment: the newest first. The JWT, which can bear but one signature, is signed with the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveKeys<'a> {
    /// At least one.
    pub secrets: Vec<&'a SigningSecret>,
    /// At least one, and until when each signs where that is known.
    pub keys: Vec<(&'a SigningKey, Option<Timestamp>)>,
}

impl<'a> ActiveKeys<'a> {
    /// What signs for a webhook: its own keys, or those of its tenant.
    pub fn at(now: Timestamp, tenant: &'a SigningKeys, own: Option<&'a OwnKeys>) -> Self {
        let sets = match own {
            None => [Some((tenant, None)), None],
            Some(OwnKeys { keys, until: None }) => [Some((keys, None)), None],
            Some(OwnKeys { keys, until: Some(end) }) => {
                [Some((tenant, None)), (now < *end).then_some((keys, Some(*end)))]
            }
        };
        let mut active = Self { secrets: Vec::new(), keys: Vec::new() };
        for (set, end) in sets.into_iter().flatten() {
            active.secrets.extend(set.secret.signing(now).map(|(secret, _)| secret));
            // Of two ends the first one counts.
            let ended = |until: Option<Timestamp>| [until, end].into_iter().flatten().min();
            active.keys.extend(set.key.signing(now).map(|(key, until)| (key, ended(until))));
        }
        active
    }

    /// What verifies the asymmetric signatures, and until when.
    pub fn public(&self) -> impl Iterator<Item = (PublicKey, Option<Timestamp>)> {
        self.keys.iter().map(|(key, until)| (key.public(), *until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{keys, now};
    use crate::time::Timestamp;
    use std::sync::atomic::{AtomicU8, Ordering};
    use uuid::Uuid;

    /// Fills with 100, then with 101 and so on.
    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn uuid(&self, _now: Timestamp) -> Uuid {
            Uuid::nil()
        }

        fn fraction(&self) -> f64 {
            0.0
        }

        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn secret(byte: u8) -> SigningSecret {
        SigningSecret::from_bytes(&[byte; 32])
    }

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    fn after(seconds: u64) -> Timestamp {
        plus_ms(now(), seconds * 1_000)
    }

    const ALL: Rotation = Rotation { secret: true, key: true, overlap_s: 60 };

    /// The secrets that sign so many seconds later.
    fn secrets(tenant: &SigningKeys, own: Option<&OwnKeys>, seconds: u64) -> Vec<SigningSecret> {
        ActiveKeys::at(after(seconds), tenant, own).secrets.into_iter().cloned().collect()
    }

    #[test]
    fn the_one_before_signs_beside_the_new_one_until_the_overlap_ends() {
        let rotated = keys(1).rotated(ALL, now(), &Counting(100.into()));
        assert_eq!(secrets(&rotated, None, 59), [secret(100), secret(1)]);
        assert_eq!(secrets(&rotated, None, 60), [secret(100)]);
        let until = Some(after(60));
        assert_eq!(ActiveKeys::at(after(59), &rotated, None).keys, [(&key(101), None), (&key(1), until)]);
        assert_eq!(ActiveKeys::at(after(60), &rotated, None).keys, [(&key(101), None)]);
        let leaked = keys(1).rotated(Rotation { overlap_s: 0, ..ALL }, now(), &Counting(100.into()));
        assert_eq!(secrets(&leaked, None, 0), [secret(100)]);
    }

    #[test]
    fn what_is_not_asked_for_is_not_rotated() {
        let rotated = keys(1).rotated(Rotation { key: false, ..ALL }, now(), &Counting(100.into()));
        assert_eq!((rotated.secret.current, rotated.key), (secret(100), Rotating::new(key(1))));
        let rotated = keys(1).rotated(Rotation { secret: false, ..ALL }, now(), &Counting(100.into()));
        assert_eq!((rotated.secret, rotated.key.current), (Rotating::new(secret(1)), key(100)));
    }

    #[test]
    fn a_webhooks_first_own_keys_take_over_from_its_tenants() {
        let only_key = Rotation { secret: false, ..ALL };
        let own = OwnKeys::rotated(None, &keys(1), only_key, now(), &Counting(100.into()));
        assert_eq!(secrets(&keys(1), Some(&own), 0), [secret(100), secret(1)]);
        assert_eq!(secrets(&keys(1), Some(&own), 60), [secret(100)]);
        let again = OwnKeys::rotated(Some(&own), &keys(1), ALL, after(70), &Counting(110.into()));
        assert_eq!(secrets(&keys(1), Some(&again), 70), [secret(110), secret(100)]);
    }

    #[test]
    fn keys_that_were_removed_sign_beside_the_tenants_until_the_overlap_ends() {
        let own = OwnKeys { keys: keys(2), until: None };
        let leaving = own.removed(now(), 60).unwrap();
        assert!(own.are_in_use() && !leaving.are_in_use());
        assert_eq!(secrets(&keys(1), Some(&leaving), 59), [secret(1), secret(2)]);
        assert_eq!(secrets(&keys(1), Some(&leaving), 60), [secret(1)]);
        let public: Vec<_> = ActiveKeys::at(after(59), &keys(1), Some(&leaving)).public().collect();
        assert_eq!(public, [(key(1).public(), None), (key(2).public(), Some(after(60)))]);
        assert_eq!(own.removed(now(), 0), None);
        let anew = OwnKeys::rotated(Some(&leaving), &keys(1), ALL, now(), &Counting(100.into()));
        assert_eq!(secrets(&keys(1), Some(&anew), 0), [secret(100), secret(1)]);
    }
}
