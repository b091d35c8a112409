//! Heartbeats: the leases of what is in flight in this process are kept alive, so that they can be short.
//!
//! A lease that is short is what lets others take up a dead process's work within seconds. What ends before a beat comes
//! round costs nothing; the rest costs one statement a beat, however many there are. Where the store cannot be reached the
//! leases end, others take the deliveries over, and the fencing tokens keep this process from settling them.

use super::outage::Outage;
use super::stages::{Stages, key};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Fenced, StoreError};
use hookgraph_domain::time::{Timestamp, plus_ms};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A claim: whose, and its token.
type Key = (DeliveryId, i64);

/// The leases that this process holds, and until when. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(Arc<Mutex<BTreeMap<Key, Timestamp>>>);

/// A lease that is kept alive until this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    leases: Leases,
    key: Key,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.0.lock().remove(&self.key);
    }
}

impl Leases {
    /// Keeps the lease of a claim alive.
    pub(super) fn keep(&self, claim: &ClaimedDelivery) -> Lease {
        let key = (claim.delivery.id, claim.delivery.fencing_token);
        self.0.lock().insert(key, claim.leased_until);
        Lease { leases: self.clone(), key }
    }

    /// Whether a lease holds at that time.
    pub(super) fn hold_at(&self, key: Key, at: Timestamp) -> bool {
        self.0.lock().get(&key).is_some_and(|until| at <= *until)
    }

    /// Those that end at that time or before.
    fn ending(&self, at: Timestamp) -> Vec<Key> {
        self.0.lock().iter().filter(|(_, until)| **until <= at).map(|(key, _)| *key).collect()
    }

    /// Notes until when those of the leases hold that were extended.
    fn extended(&self, keys: &[Key], answers: &[Fenced], until: Timestamp) {
        let mut leases = self.0.lock();
        for (key, _) in keys.iter().zip(answers).filter(|(_, answer)| **answer == Fenced::Done) {
            leases.entry(*key).and_modify(|held| *held = until);
        }
    }
}

/// Beats until it is dropped. A store that fails is asked again before the next beat: the leases run on meanwhile.
pub(super) async fn beat(stages: Arc<Stages>, leases: Leases) {
    let beat_ms = stages.limits.beat_ms;
    let mut outage = Outage::of("extend");
    let mut wait = Duration::from_millis(beat_ms);
    loop {
        // After an outage it is asked again by whoever hears first that the store answers.
        stages.trouble.wait(wait).await;
        // Younger ones wait for the next beat: most of them end before it.
        let keys = leases.ending(beat_is_due_to(&stages));
        wait = Duration::from_millis(beat_ms);
        if keys.is_empty() {
            if !stages.trouble.is_on(stages.now()) {
                outage.over();
            }
            continue;
        }
        match extend(&stages, &leases, &keys).await {
            Ok(()) => {
                outage.over();
            }
            Err(error) => wait = wait.min(outage.failed(&error)),
        }
    }
}

/// Extends at once what a claim brought so late that a beat is due to it.
///
/// # Errors
/// The store's: then little may be left of those leases.
pub(super) async fn extend_late(
    stages: &Stages,
    leases: &Leases,
    claims: &[ClaimedDelivery],
) -> Result<(), StoreError> {
    let at = beat_is_due_to(stages);
    let late: Vec<Key> = claims.iter().filter(|claim| claim.leased_until <= at).map(key).collect();
    if late.is_empty() { Ok(()) } else { extend(stages, leases, &late).await }
}

/// Until when a lease holds to which a beat is due.
fn beat_is_due_to(stages: &Stages) -> Timestamp {
    plus_ms(stages.now(), stages.limits.lease_ms.saturating_sub(stages.limits.beat_ms))
}

async fn extend(stages: &Stages, leases: &Leases, keys: &[Key]) -> Result<(), StoreError> {
    let until = plus_ms(stages.now(), stages.limits.lease_ms);
    let answers = stages.write(stages.services.queue.extend(keys, until)).await?;
    leases.extended(keys, &answers, until);
    Ok(())
}
