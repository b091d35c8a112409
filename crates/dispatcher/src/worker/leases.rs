//! Leases: heartbeats keep the leases of deliveries in flight alive, so that a lease can be short.
//!
//! A short lease lets others take up a dead process's work within seconds. A delivery that ends before the next beat
//! costs nothing; all others together cost one statement a beat, however many they are. Where the store cannot be
//! reached the leases end, others take the deliveries over, and the fencing tokens keep this process from settling
//! them. Deliveries that this process takes over from itself go on as they are ([`Leases::renew`]).

use super::backoff::Backoff;
use super::stages::{Stages, key};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Fenced, StoreError};
use hookgraph_domain::time::{Timestamp, plus_ms};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A claim: its delivery and its fencing token.
pub(super) type ClaimKey = (DeliveryId, i64);

/// The leases that this process holds, each by the claim with which the work under it began. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(Arc<Mutex<BTreeMap<ClaimKey, HeldLease>>>);

/// A lease as it stands.
#[derive(Clone, Copy, Debug)]
struct HeldLease {
    /// The token of the last claim that renewed it.
    token: i64,
    until: Timestamp,
}

/// The lease that stands under that claim.
fn under(leases: &mut BTreeMap<ClaimKey, HeldLease>, (id, token): ClaimKey) -> Option<&mut HeldLease> {
    let of_delivery = leases.range_mut((id, i64::MIN)..=(id, i64::MAX));
    of_delivery.map(|(_, held)| held).find(|held| held.token == token)
}

/// A lease that is kept alive until this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    leases: Leases,
    began_as: ClaimKey,
}

impl Lease {
    /// The claim that a write under the lease names.
    pub(super) fn key(&self) -> ClaimKey {
        let (id, token) = self.began_as;
        (id, self.leases.0.lock().get(&self.began_as).map_or(token, |held| held.token))
    }

    /// Whether a later claim than the one with which the work began has renewed the lease.
    pub(super) fn was_renewed(&self) -> bool {
        self.key() != self.began_as
    }

    /// Whether the lease holds at the time `at`.
    pub(super) fn holds_at(&self, at: Timestamp) -> bool {
        self.leases.0.lock().get(&self.began_as).is_some_and(|held| at <= held.until)
    }

    /// Ends the lease, unless a claim with another token has renewed it, and answers whether it ended.
    pub(super) fn ends_under(&self, token: i64) -> bool {
        let mut leases = self.leases.0.lock();
        let is_last = leases.get(&self.began_as).is_none_or(|held| held.token == token);
        if is_last {
            leases.remove(&self.began_as);
        }
        is_last
    }

    /// Ends the lease.
    pub(super) fn end(&self) {
        self.leases.0.lock().remove(&self.began_as);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end();
    }
}

impl Leases {
    /// Keeps the lease of a claim alive.
    pub(super) fn keep(&self, claim: &ClaimedDelivery) -> Lease {
        let (key, token) = (key(claim), claim.delivery.fencing_token);
        self.0.lock().insert(key, HeldLease { token, until: claim.leased_until });
        Lease { leases: self.clone(), began_as: key }
    }

    /// Renews a lease, where the claim took over a delivery that is still under way in this process, and answers
    /// whether it did. Then nothing begins under the claim. The old lease ended while the store was away, or as the
    /// clock was set ahead.
    ///
    /// To begin the delivery again would send it twice, and to give the claim back would make the store refuse the
    /// outcome of the first request. The work under way may go on under the newer token instead: the old lease ended
    /// by itself and the newer token is the next one, so nothing was written in between. The outcome is written under
    /// the newer token. A delivery whose request has not begun is given back under the newer token, to be claimed
    /// again: the old claim read its webhook too long ago. The store refuses to freeze its payload under the old one.
    ///
    /// A claim that was committed and whose answer was lost renews nothing. Once its lease has ended, too, the next
    /// claim is two tokens on, as it is after another process's claim, and the delivery is sent beside a request that
    /// is still under way.
    pub(super) fn renew(&self, claim: &ClaimedDelivery) -> bool {
        if !claim.was_orphaned {
            return false;
        }
        let (id, token) = key(claim);
        let mut leases = self.0.lock();
        let Some(held) = under(&mut leases, (id, token - 1)) else { return false };
        *held = HeldLease { token, until: claim.leased_until };
        true
    }

    /// The leases that end at the time `at` or before.
    fn ending(&self, at: Timestamp) -> Vec<ClaimKey> {
        let leases = self.0.lock();
        let ending = leases.iter().filter(|(_, held)| held.until <= at);
        ending.map(|((id, _), held)| (*id, held.token)).collect()
    }

    /// Notes that the leases of these claims hold until `until`, as far as the store's answers say so.
    fn extended(&self, keys: &[ClaimKey], answers: &[Fenced], until: Timestamp) {
        let mut leases = self.0.lock();
        for (key, _) in keys.iter().zip(answers).filter(|(_, answer)| **answer == Fenced::Done) {
            if let Some(held) = under(&mut leases, *key) {
                held.until = until;
            }
        }
    }
}

/// Extends the leases, beat after beat, until the future is dropped. A store that fails is asked again before the
/// next beat: the leases run on meanwhile.
pub(super) async fn beat(stages: Arc<Stages>, leases: Leases) {
    let beat_ms = stages.limits.beat_ms;
    let mut backoff = Backoff::of("extend");
    let mut wait = Duration::from_millis(beat_ms);
    loop {
        // The wait ends early when the store answers any call after it was away.
        stages.trouble.wait(wait).await;
        // Younger leases wait for the next beat: most of their deliveries end before it.
        let keys = leases.ending(beat_is_due_to(&stages));
        wait = Duration::from_millis(beat_ms);
        if keys.is_empty() {
            if !stages.trouble.is_on(stages.now()) {
                backoff.over();
            }
            continue;
        }
        match extend(&stages, &leases, &keys).await {
            Ok(()) => {
                backoff.over();
            }
            Err(error) => wait = wait.min(backoff.failed(&error)),
        }
    }
}

/// Extends at once the leases of claims that came so late that a beat is due to them.
///
/// # Errors
/// The store's: then little may be left of those leases.
pub(super) async fn extend_late(
    stages: &Stages,
    leases: &Leases,
    claims: &[ClaimedDelivery],
) -> Result<(), StoreError> {
    let at = beat_is_due_to(stages);
    let late: Vec<ClaimKey> = claims.iter().filter(|claim| claim.leased_until <= at).map(key).collect();
    if late.is_empty() { Ok(()) } else { extend(stages, leases, &late).await }
}

/// The latest end of a lease to which a beat is due.
fn beat_is_due_to(stages: &Stages) -> Timestamp {
    plus_ms(stages.now(), stages.limits.lease_ms.saturating_sub(stages.limits.beat_ms))
}

async fn extend(stages: &Stages, leases: &Leases, keys: &[ClaimKey]) -> Result<(), StoreError> {
    let until = plus_ms(stages.now(), stages.limits.lease_ms);
    let answers = stages.write(stages.services.queue.extend(keys, until)).await?;
    leases.extended(keys, &answers, until);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{due, noon};
    use super::*;

    /// A claim of one delivery. Its lease holds for as many seconds as its token says.
    fn claim(token: i64, was_orphaned: bool) -> ClaimedDelivery {
        let leased_until = after_s(token.unsigned_abs());
        let mut claim = ClaimedDelivery { was_orphaned, leased_until, ..due(1, 1, "200") };
        claim.delivery.fencing_token = token;
        claim
    }

    fn after_s(seconds: u64) -> Timestamp {
        plus_ms(noon(), seconds * 1_000)
    }

    #[test]
    fn a_claim_of_a_delivery_under_way_here_renews_its_lease() {
        let leases = Leases::default();
        let lease = leases.keep(&claim(1, false));
        let id = lease.key().0;
        for token in [2, 3] {
            assert!(leases.renew(&claim(token, true)));
            assert_eq!(lease.key(), (id, token));
        }
        assert!(lease.holds_at(after_s(3)) && !lease.holds_at(after_s(4)));
        assert_eq!(leases.ending(after_s(3)), [(id, 3)], "beats name the last token");
        leases.extended(&[(id, 2)], &[Fenced::Done], after_s(9));
        assert!(!lease.holds_at(after_s(4)), "a late answer for the claim before changes nothing");
        leases.extended(&[(id, 3)], &[Fenced::Done], after_s(9));
        assert!(lease.holds_at(after_s(9)));
        drop(lease);
        assert!(leases.ending(after_s(60)).is_empty());
    }

    #[test]
    fn a_claim_of_a_delivery_that_was_given_back_or_anothers_meanwhile_renews_nothing() {
        for (token, was_orphaned) in [(2, false), (3, true)] {
            let leases = Leases::default();
            let lease = leases.keep(&claim(1, false));
            assert!(!leases.renew(&claim(token, was_orphaned)), "{token}");
            assert_eq!(lease.key().1, 1);
        }
    }

    #[test]
    fn a_lease_does_not_end_under_a_token_before_its_last() {
        let leases = Leases::default();
        let lease = leases.keep(&claim(1, false));
        assert!(leases.renew(&claim(2, true)));
        assert!(!lease.ends_under(1));
        assert!(lease.ends_under(2));
        assert!(!leases.renew(&claim(3, true)), "the delivery is not under way any more");
    }

    #[test]
    fn a_lease_knows_whether_it_was_renewed() {
        let leases = Leases::default();
        let lease = leases.keep(&claim(1, false));
        assert!(!lease.was_renewed());
        assert!(leases.renew(&claim(2, true)));
        assert!(lease.was_renewed());
    }
}
