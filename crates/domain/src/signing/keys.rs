//! Sets of keys: a secret and a key pair, of a tenant or of a webhook, and how they are rotated.

use super::{PublicKey, SigningKey, SigningSecret};
use crate::limits::OVERLAPS_MAX;
use crate::ports::Entropy;
use crate::time::{Timestamp, plus_ms};

/// What signs, and what did before it while the overlaps of rotations last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotating<T> {
    /// What signs.
    pub current: T,
    /// What signs beside it, the newest first: receivers may still know no other. [`OVERLAPS_MAX`] at most at a time.
    pub previous: Vec<Previous<T>>,
}

/// What was replaced, and signs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous<T> {
    /// What.
    pub replaced: Replaced<T>,
    /// When its overlap ends.
    pub until: Timestamp,
}

/// What a rotation replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced<T> {
    /// The secret or key before.
    Own(T),
    /// The tenant's, from which a webhook's first own took over: no copy, so what the tenant rotates meanwhile, because it
    /// leaked, is rotated for the webhook too.
    Tenants,
}

impl<T> Rotating<T> {
    /// What was never rotated.
    pub const fn new(current: T) -> Self {
        Self { current, previous: Vec::new() }
    }

    /// With a new one from `now` on. The one before signs beside it for so long, and those before that for as long as they
    /// were to; none of them does where the overlap is 0.
    ///
    /// # Errors
    /// When as many as may sign beside another already do.
    pub fn rotated(self, new: T, now: Timestamp, overlap_s: u32) -> Result<Self, OverlapsFull> {
        let replaced = Previous { replaced: Replaced::Own(self.current), until: overlap_end(now, overlap_s) };
        Self::after(replaced, self.previous, new, now)
    }

    /// A new one after what it replaces, and after what was replaced earlier.
    fn after(replaced: Previous<T>, earlier: Vec<Previous<T>>, new: T, now: Timestamp) -> Result<Self, OverlapsFull> {
        if replaced.until <= now {
            // It has leaked, and so may have what was before it.
            return Ok(Self::new(new));
        }
        let earlier: Vec<_> = earlier.into_iter().filter(|it| now < it.until).collect();
        if earlier.len() >= OVERLAPS_MAX {
            let mut ends: Vec<_> = earlier.iter().map(|it| it.until).collect();
            ends.sort_unstable();
            return Err(OverlapsFull { room_at: ends[earlier.len() - OVERLAPS_MAX] });
        }
        Ok(Self { current: new, previous: std::iter::once(replaced).chain(earlier).collect() })
    }

    /// All that sign, the newest first, and until when. The tenant's are asked of a webhook's own alone.
    fn signing<'a>(&'a self, now: Timestamp, tenants: Option<&'a Self>) -> Vec<(&'a T, Option<Timestamp>)> {
        let mut signing = vec![(&self.current, None)];
        for Previous { replaced, until } in self.previous.iter().filter(|it| now < it.until) {
            match (replaced, tenants) {
                (Replaced::Own(value), _) => signing.push((value, Some(*until))),
                (Replaced::Tenants, Some(tenants)) => {
                    let tenants = tenants.signing(now, None).into_iter();
                    signing.extend(tenants.map(|(value, end)| (value, first_end(end, *until))));
                }
                (Replaced::Tenants, None) => {}
            }
        }
        signing
    }

    /// With the tenant's until then at least, where they sign yet.
    fn with_tenants_until(mut self, now: Timestamp, until: Timestamp) -> Self {
        let live = self.previous.iter_mut().filter(|it| matches!(it.replaced, Replaced::Tenants) && now < it.until);
        live.for_each(|it| it.until = it.until.max(until));
        self
    }
}

impl<T: Clone> Rotating<T> {
    /// All of it as what was replaced, the newest first, where it ends at `end` at the latest.
    fn ending(&self, end: Timestamp) -> Vec<Previous<T>> {
        let current = Previous { replaced: Replaced::Own(self.current.clone()), until: end };
        let previous = self.previous.iter().cloned().map(|it| Previous { until: it.until.min(end), ..it });
        std::iter::once(current).chain(previous).collect()
    }
}

fn overlap_end(now: Timestamp, overlap_s: u32) -> Timestamp {
    plus_ms(now, u64::from(overlap_s) * 1_000)
}

/// Of two ends the first one counts.
fn first_end(end: Option<Timestamp>, other: Timestamp) -> Option<Timestamp> {
    Some(end.map_or(other, |end| end.min(other)))
}

/// A rotation beside whose new one more would sign than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlapsFull {
    /// From when on there is room for another.
    pub room_at: Timestamp,
}

impl std::fmt::Display for OverlapsFull {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let room_at = self.room_at.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        write!(
            f,
            "{OVERLAPS_MAX} that were replaced sign on, and no more may: rotate after {room_at}, when an overlap has ended, or \
             with `overlapS: 0`, which ends all of them at once"
        )
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
    ///
    /// # Errors
    /// When as many as may sign beside one of them already do; neither is rotated then.
    pub fn rotated(self, rotation: Rotation, now: Timestamp, entropy: &dyn Entropy) -> Result<Self, OverlapsFull> {
        let Rotation { secret, key, overlap_s } = rotation;
        Ok(Self {
            secret: if secret {
                self.secret.rotated(SigningSecret::fresh(entropy), now, overlap_s)?
            } else {
                self.secret
            },
            key: if key { self.key.rotated(SigningKey::fresh(entropy), now, overlap_s)? } else { self.key },
        })
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

    /// The keys of a webhook after a rotation. Where it had none, or gave them up, all are made; its tenant's, and those that
    /// it gave up, sign on while their overlaps last.
    ///
    /// # Errors
    /// When as many as may sign beside another already do.
    pub fn rotated(
        own: Option<&Self>,
        rotation: Rotation,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, OverlapsFull> {
        let (secrets, keys) = match own {
            Some(Self { keys, until: None }) => {
                return Ok(Self { keys: keys.clone().rotated(rotation, now, entropy)?, until: None });
            }
            Some(Self { keys, until: Some(end) }) => (keys.secret.ending(*end), keys.key.ending(*end)),
            None => (Vec::new(), Vec::new()),
        };
        let until = overlap_end(now, rotation.overlap_s);
        let new = SigningKeys::fresh(entropy);
        let secret = Previous { replaced: Replaced::Tenants, until };
        let key = Previous { replaced: Replaced::Tenants, until };
        let keys = SigningKeys {
            secret: Rotating::after(secret, secrets, new.secret.current, now)?,
            key: Rotating::after(key, keys, new.key.current, now)?,
        };
        Ok(Self { keys, until: None })
    }

    /// The keys of a webhook that goes back to its tenant's: for so long they sign on beside those. Where the tenant's had not ended
    /// yet they are the oldest until then: receivers may never have changed over from them.
    pub fn removed(&self, now: Timestamp, overlap_s: u32) -> Option<Self> {
        let until = overlap_end(now, overlap_s);
        let SigningKeys { secret, key } = self.keys.clone();
        let keys =
            SigningKeys { secret: secret.with_tenants_until(now, until), key: key.with_tenants_until(now, until) };
        (overlap_s > 0).then_some(Self { keys, until: Some(until) })
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
    /// What signs for a webhook: its own keys, or those of its tenant, as they now are.
    pub fn at(now: Timestamp, tenant: &'a SigningKeys, own: Option<&'a OwnKeys>) -> Self {
        let own = own.filter(|own| own.until.is_none_or(|end| now < end));
        let secrets = active(now, &tenant.secret, own.map(|own| (&own.keys.secret, own.until)));
        let keys = active(now, &tenant.key, own.map(|own| (&own.keys.key, own.until)));
        Self { secrets: secrets.into_iter().map(|(secret, _)| secret).collect(), keys }
    }

    /// What verifies the asymmetric signatures, and until when.
    pub fn public(&self) -> impl Iterator<Item = (PublicKey, Option<Timestamp>)> {
        self.keys.iter().map(|(key, until)| (key.public(), *until))
    }
}

/// The secrets, or the keys, that sign: the tenant's, or a webhook's own, which end where they were removed.
fn active<'a, T>(
    now: Timestamp,
    tenants: &'a Rotating<T>,
    own: Option<(&'a Rotating<T>, Option<Timestamp>)>,
) -> Vec<(&'a T, Option<Timestamp>)> {
    match own {
        None => tenants.signing(now, None),
        Some((own, None)) => once_each(own.signing(now, Some(tenants))),
        Some((own, Some(end))) => {
            let own = own.signing(now, Some(tenants)).into_iter();
            let mut all = tenants.signing(now, None);
            all.extend(own.map(|(value, until)| (value, first_end(until, end))));
            once_each(all)
        }
    }
}

/// Each of them once, until the last of its ends: as the oldest that it is, since receivers may have changed over from it and not
/// back. The tenant's are there twice for a webhook that took over from them, and gave that up again within the overlap.
fn once_each<'a, T>(all: Vec<(&'a T, Option<Timestamp>)>) -> Vec<(&'a T, Option<Timestamp>)> {
    let mut each: Vec<(&'a T, Option<Timestamp>)> = Vec::with_capacity(all.len());
    for (value, end) in all {
        let newer = each.iter().position(|(known, _)| std::ptr::eq(*known, value));
        let end = match newer.map(|place| each.remove(place)) {
            None => end,
            Some((_, newer_end)) => newer_end.zip(end).map(|(one, other)| one.max(other)),
        };
        each.push((value, end));
    }
    each
}

#[cfg(test)]
mod tests;
