//! Rotations by table, and by what was promised of each.

use super::*;
use crate::delivery::Signer;
use crate::sample::{delivery, keys, now, signer};
use crate::signing::{JWT_HEADER, SIGNATURE_HEADER, SignAs, SignedParts, SigningScheme, sign};
use crate::verification::{Credentials, SavedRequest, verify};
use proptest::prelude::*;
use std::collections::BTreeSet;
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

/// Whether the JWT of a request and its Standard Webhooks signature verify by a secret, so many seconds later.
fn verified(tenant: &SigningKeys, own: Option<&OwnKeys>, secret: &SigningSecret, seconds: u64) -> [bool; 2] {
    let signer = Signer { keys: tenant.clone(), ..signer() };
    let parts = SignedParts { method: "POST", url: "https://receiver.example/", body_json: Some("{}") };
    let sign_as = SignAs { signer: &signer, own_keys: own, scheme: SigningScheme::Symmetric, user_id: None };
    let request = SavedRequest {
        method: parts.method.to_owned(),
        url: parts.url.to_owned(),
        webhook_url: None,
        headers: sign(parts, sign_as, delivery().id, after(seconds)),
        body: "{}".to_owned(),
    };
    let credentials = Credentials { secret: Some(secret.clone()), key: None };
    let checks = verify(&request, &credentials, after(seconds));
    [JWT_HEADER, SIGNATURE_HEADER]
        .map(|header| checks.iter().filter(|check| check.what.starts_with(header)).all(|check| check.result.is_ok()))
}

#[test]
fn the_one_before_signs_beside_the_new_one_until_the_overlap_ends() {
    let rotated = keys(1).rotated(ALL, now(), &Counting(100.into())).unwrap();
    assert_eq!(secrets(&rotated, None, 59), [secret(100), secret(1)]);
    assert_eq!(secrets(&rotated, None, 60), [secret(100)]);
    let until = Some(after(60));
    assert_eq!(ActiveKeys::at(after(59), &rotated, None).keys, [(&key(101), None), (&key(1), until)]);
    assert_eq!(ActiveKeys::at(after(60), &rotated, None).keys, [(&key(101), None)]);
    let leaked = keys(1).rotated(Rotation { overlap_s: 0, ..ALL }, now(), &Counting(100.into())).unwrap();
    assert_eq!(secrets(&leaked, None, 0), [secret(100)]);
}

#[test]
fn a_second_rotation_within_an_overlap_silences_nothing_that_receivers_hold() {
    let entropy = Counting(100.into());
    let first = keys(1).rotated(ALL, now(), &entropy).unwrap();
    let second = first.rotated(ALL, after(10), &entropy).unwrap();
    assert_eq!(secrets(&second, None, 10), [secret(102), secret(100), secret(1)]);
    assert_eq!(verified(&second, None, &secret(1), 59), [true, true]);
    assert_eq!(verified(&second, None, &secret(100), 59), [false, true]);
    assert_eq!(verified(&second, None, &secret(1), 60), [false, false]);
    assert_eq!(verified(&second, None, &secret(100), 60), [true, true]);
    let public: Vec<_> = ActiveKeys::at(after(59), &second, None).public().collect();
    let ends = [None, Some(after(70)), Some(after(60))];
    assert_eq!(public, [103, 101, 1].map(|byte| key(byte).public()).into_iter().zip(ends).collect::<Vec<_>>());
    let leaked = second.rotated(Rotation { overlap_s: 0, ..ALL }, after(20), &entropy).unwrap();
    assert_eq!(secrets(&leaked, None, 20), [secret(104)]);
}

#[test]
fn no_more_overlap_than_may_and_a_refusal_says_when_there_is_room() {
    let entropy = Counting(100.into());
    let only_secret = Rotation { key: false, ..ALL };
    let mut keys = keys(1);
    for second in 0..OVERLAPS_MAX as u64 {
        keys = keys.rotated(only_secret, after(second), &entropy).unwrap();
    }
    let full = OverlapsFull { room_at: after(60) };
    assert_eq!(keys.clone().rotated(only_secret, after(59), &entropy), Err(full));
    assert_eq!(
        full.to_string(),
        "8 that were replaced sign on, and no more may: rotate after 2023-11-14T22:14:20.250Z, when an overlap has ended, or \
         with `overlapS: 0`, which ends all of them at once"
    );
    assert_eq!(secrets(&keys, None, 59).len(), OVERLAPS_MAX + 1);
    assert!(keys.clone().rotated(only_secret, after(60), &entropy).is_ok());
    let leaked = keys.rotated(Rotation { overlap_s: 0, ..only_secret }, after(59), &entropy).unwrap();
    assert_eq!(secrets(&leaked, None, 59).len(), 1);
}

#[test]
fn what_is_not_asked_for_is_not_rotated() {
    let rotated = keys(1).rotated(Rotation { key: false, ..ALL }, now(), &Counting(100.into())).unwrap();
    assert_eq!((rotated.secret.current, rotated.key), (secret(100), Rotating::new(key(1))));
    let rotated = keys(1).rotated(Rotation { secret: false, ..ALL }, now(), &Counting(100.into())).unwrap();
    assert_eq!((rotated.secret, rotated.key.current), (Rotating::new(secret(1)), key(100)));
}

#[test]
fn a_webhooks_first_own_keys_take_over_from_its_tenants() {
    let only_key = Rotation { secret: false, ..ALL };
    let own = OwnKeys::rotated(None, only_key, now(), &Counting(100.into())).unwrap();
    assert_eq!(secrets(&keys(1), Some(&own), 0), [secret(100), secret(1)]);
    assert_eq!(secrets(&keys(1), Some(&own), 60), [secret(100)]);
    let again = OwnKeys::rotated(Some(&own), ALL, after(70), &Counting(110.into())).unwrap();
    assert_eq!(secrets(&keys(1), Some(&again), 70), [secret(110), secret(100)]);
    let again = OwnKeys::rotated(Some(&own), ALL, after(50), &Counting(110.into())).unwrap();
    assert_eq!(secrets(&keys(1), Some(&again), 50), [secret(110), secret(100), secret(1)]);
    let leaked = Rotation { overlap_s: 0, ..ALL };
    let leaked = OwnKeys::rotated(Some(&again), leaked, after(50), &Counting(120.into())).unwrap();
    assert_eq!(secrets(&keys(1), Some(&leaked), 50), [secret(120)]);
}

#[test]
fn what_a_tenant_rotates_is_rotated_for_webhooks_that_take_over_from_it() {
    let entropy = Counting(100.into());
    let tenant = keys(1).rotated(Rotation { overlap_s: 30, ..ALL }, now(), &entropy).unwrap();
    let own = OwnKeys::rotated(None, ALL, after(10), &entropy).unwrap();
    assert_eq!(secrets(&tenant, Some(&own), 29), [secret(102), secret(100), secret(1)]);
    assert_eq!(secrets(&tenant, Some(&own), 30), [secret(102), secret(100)]);
    let public: Vec<_> = ActiveKeys::at(after(29), &tenant, Some(&own)).public().map(|(_, end)| end).collect();
    assert_eq!(public, [None, Some(after(70)), Some(after(30))]);
    let leaked = tenant.rotated(Rotation { overlap_s: 0, ..ALL }, after(20), &entropy).unwrap();
    assert_eq!(secrets(&leaked, Some(&own), 20), [secret(102), secret(104)]);
    assert_eq!(verified(&leaked, Some(&own), &secret(1), 20), [false, false]);
    assert_eq!(secrets(&leaked, Some(&own), 70), [secret(102)]);
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
    // Receivers still hold what was removed, and then the tenant's.
    let anew = OwnKeys::rotated(Some(&leaving), ALL, after(10), &Counting(100.into())).unwrap();
    assert_eq!(secrets(&keys(1), Some(&anew), 59), [secret(100), secret(1), secret(2)]);
    assert_eq!(secrets(&keys(1), Some(&anew), 60), [secret(100), secret(1)]);
    assert_eq!(secrets(&keys(1), Some(&anew), 70), [secret(100)]);
}

#[test]
fn the_tenants_keys_are_there_once_though_a_webhook_took_over_from_them_and_gave_that_up() {
    let own = OwnKeys::rotated(None, ALL, now(), &Counting(100.into())).unwrap();
    let leaving = own.removed(after(10), 100).unwrap();
    let public = |seconds| ActiveKeys::at(after(seconds), &keys(1), Some(&leaving)).public().collect::<Vec<_>>();
    let (tenants, own) = ((key(1).public(), None), (key(101).public(), Some(after(110))));
    assert_eq!(public(59), [own, tenants], "the tenant's are the oldest, and end no more");
    assert_eq!(public(109), [own, tenants], "nor do they leave the JWT, which they have signed all along");
    assert_eq!(public(110), [tenants]);
}

/// A tenant and a webhook of it, and what was promised: secrets with when they end, in seconds.
struct Promised {
    tenant: SigningKeys,
    tenants_before: Vec<(SigningSecret, u64)>,
    own: Option<OwnKeys>,
    own_before: Vec<(SigningSecret, u64)>,
    /// Until when the tenant's sign beside the webhook's own.
    taking_over_until: u64,
    /// When its own end, once they were removed.
    leaving_until: Option<u64>,
}

impl Promised {
    fn new() -> Self {
        let (tenants_before, own_before) = (Vec::new(), Vec::new());
        let (taking_over_until, leaving_until) = (0, None);
        Self { tenant: keys(1), tenants_before, own: None, own_before, taking_over_until, leaving_until }
    }

    fn tenant_rotates(&mut self, at: u64, overlap_s: u32, entropy: &Counting) {
        let rotation = Rotation { key: false, overlap_s, ..ALL };
        let Ok(rotated) = self.tenant.clone().rotated(rotation, after(at), entropy) else { return };
        if overlap_s == 0 {
            self.tenants_before.clear();
        } else {
            self.tenants_before.push((self.tenant.secret.current.clone(), at + u64::from(overlap_s)));
        }
        self.tenant = rotated;
    }

    fn webhook_rotates(&mut self, at: u64, overlap_s: u32, entropy: &Counting) {
        let rotation = Rotation { key: false, overlap_s, ..ALL };
        let Ok(rotated) = OwnKeys::rotated(self.own.as_ref(), rotation, after(at), entropy) else { return };
        let until = at + u64::from(overlap_s);
        let current = self.own.as_ref().map(|own| own.keys.secret.current.clone());
        match (overlap_s, self.leaving_until.take()) {
            (0, _) => (self.own_before, self.taking_over_until) = (Vec::new(), 0),
            (_, Some(end)) => {
                self.own_before.iter_mut().for_each(|(_, until)| *until = end.min(*until));
                self.own_before.extend(current.map(|current| (current, end)));
                self.taking_over_until = self.taking_over_until.min(end).max(until);
            }
            (_, None) => match current {
                Some(current) => self.own_before.push((current, until)),
                None => self.taking_over_until = until,
            },
        }
        self.own = Some(rotated);
    }

    fn removed(&mut self, at: u64, overlap_s: u32) {
        let Some(own) = self.own.as_ref().filter(|own| own.are_in_use()) else { return };
        self.own = own.removed(after(at), overlap_s);
        if self.own.is_none() {
            (self.own_before, self.taking_over_until) = (Vec::new(), 0);
        } else {
            let end = at + u64::from(overlap_s);
            self.leaving_until = Some(end);
            if at < self.taking_over_until {
                self.taking_over_until = self.taking_over_until.max(end);
            }
        }
    }

    /// What signs by what was promised.
    fn expected(&self, at: u64) -> BTreeSet<String> {
        let live = |before: &[(SigningSecret, u64)]| -> Vec<String> {
            before.iter().filter(|(_, until)| at < *until).map(|(secret, _)| secret.expose().to_owned()).collect()
        };
        let mut own = live(&self.own_before);
        own.extend(self.own.as_ref().map(|own| own.keys.secret.current.expose().to_owned()));
        let mut tenants = live(&self.tenants_before);
        tenants.push(self.tenant.secret.current.expose().to_owned());
        let own_signs = self.own.is_some() && self.leaving_until.is_none_or(|end| at < end);
        let tenants_sign = self.own.is_none() || self.leaving_until.is_some() || at < self.taking_over_until;
        let signing = [(own, own_signs), (tenants, tenants_sign)];
        signing.into_iter().filter(|(_, signs)| *signs).flat_map(|(secrets, _)| secrets).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_replaced_verifies_until_its_overlap_ends_and_the_jwt_is_the_oldest_ones(
        rotations in proptest::collection::vec((0_u64..30, prop_oneof![1 => Just(0_u32), 9 => 1_u32..300]), 1..14),
    ) {
        let (entropy, mut seconds) = (Counting(100.into()), 0);
        let mut tenant = keys(1);
        // With when each ends, the newest first.
        let mut before: Vec<(SigningSecret, u64)> = Vec::new();
        for (later_s, overlap_s) in rotations {
            seconds += later_s;
            before.retain(|(_, until)| seconds < *until);
            let rotation = Rotation { key: false, overlap_s, ..ALL };
            match tenant.clone().rotated(rotation, after(seconds), &entropy) {
                Ok(rotated) => {
                    if overlap_s == 0 {
                        before.clear();
                    } else {
                        before.insert(0, (tenant.secret.current.clone(), seconds + u64::from(overlap_s)));
                    }
                    tenant = rotated;
                }
                Err(full) => {
                    prop_assert!(overlap_s > 0 && before.len() == OVERLAPS_MAX);
                    let first_end = before.iter().map(|(_, until)| after(*until)).min();
                    prop_assert_eq!(Some(full.room_at), first_end);
                }
            }
            let ends: Vec<u64> = before.iter().flat_map(|(_, until)| [until - 1, *until]).collect();
            for at in ends.into_iter().chain([seconds]) {
                let live = before.iter().filter(|(_, until)| at < *until).map(|(secret, _)| secret);
                let expected: Vec<_> = std::iter::once(&tenant.secret.current).chain(live).cloned().collect();
                prop_assert_eq!(&secrets(&tenant, None, at), &expected);
                if let [.., oldest] = expected.as_slice() {
                    prop_assert_eq!(verified(&tenant, None, oldest, at), [true, true]);
                }
                if let [newest, _, ..] = expected.as_slice() {
                    prop_assert_eq!(verified(&tenant, None, newest, at), [false, true]);
                }
            }
        }
    }

    #[test]
    fn whoever_rotates_each_signs_as_long_as_was_promised_and_no_longer(
        steps in proptest::collection::vec((0_u8..4, 0_u64..30, prop_oneof![1 => Just(0_u32), 5 => 1_u32..100]), 1..12),
    ) {
        let (entropy, mut seconds) = (Counting(100.into()), 0);
        let mut promised = Promised::new();
        for (step, later_s, overlap_s) in steps {
            seconds += later_s;
            match step {
                0 => promised.tenant_rotates(seconds, overlap_s, &entropy),
                1 => promised.removed(seconds, overlap_s),
                _ => promised.webhook_rotates(seconds, overlap_s, &entropy),
            }
            for at in (seconds..seconds + 110).step_by(3) {
                let signing = secrets(&promised.tenant, promised.own.as_ref(), at);
                let names: BTreeSet<_> = signing.iter().map(|secret| secret.expose().to_owned()).collect();
                prop_assert_eq!(names.len(), signing.len(), "each once");
                prop_assert_eq!(names, promised.expected(at));
            }
        }
    }
}
