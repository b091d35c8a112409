//! The breaker: when a receiver that keeps failing is left alone, how it is probed, and when it is trusted again.
//!
//! ```text
//!                  a window's failing share is reached
//!        CLOSED ─────────────────────────────────────────▶ OPEN ◀──────────────┐
//!   webhook ACTIVE                                  webhook SUSPENDED          │
//!        ▲                                    what is due is held, not spent   │ the probe failed:
//!        │                                                  │                  │ a longer wait
//!        │                                                  │ probe_at         │
//!        │ the probe was delivered:                         ▼                  │
//!        └── what is held drains at a pace ──────────── HALF-OPEN ─────────────┘
//!                                          one held delivery is due, the others wait
//! ```
//!
//! The [`Window`] lives in the memory of each process: it is touched by every attempt, and what it knows is worthless a
//! minute later. It counts what was claimed under the webhook's status as it is: requests of before that hang until the receiver
//! is back would open the breaker again. The state lives in the webhook's row, so that all processes agree and a restart forgets no
//! suspension.
//! A probe is a real delivery: its attempt is in the log, but a failed one is not spent and the delivery is held again.
//! Where the answer that opened it, or that a probe failed with, has a `Retry-After`, the next probe waits for that too.
//! A person who resumes, pauses or disables the webhook has the last word over the breaker.

use crate::ids::DeliveryId;
use crate::limits::{
    BREAKER_ATTEMPTS_MIN, BREAKER_BUCKETS, BREAKER_FAILING_PERCENT_MIN, BREAKER_WINDOW_MS, PROBE_LOST_MS,
    PROBE_WAIT_MS_MAX, PROBE_WAIT_MS_MIN,
};
use crate::time::{Timestamp, plus_ms};
use crate::webhook::Webhook;

/// Where the breaker of a webhook stands, beside the webhook's status: all at rest unless that is `SUSPENDED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// When the next probe may begin; none while the breaker is closed.
    pub probe_at: Option<Timestamp>,
    /// Probes that failed since it opened.
    pub probes_failed: u32,
    /// The delivery that probes: the only one that is sent.
    pub probe_id: Option<DeliveryId>,
}

impl Breaker {
    /// As it opens.
    pub fn opened(now: Timestamp) -> Self {
        Self { probe_at: Some(plus_ms(now, probe_wait_ms(0))), probes_failed: 0, probe_id: None }
    }

    /// Which of those held deliveries, oldest first, probes next: another than the last one, whether that failed or was lost. One that
    /// can never be sent is held again once the next one probes: after one that was lost the one behind it has its turn, or two of
    /// those would take turns for ever.
    pub fn next_probe(self, held: &[DeliveryId]) -> Option<DeliveryId> {
        let place = match self.probe_id {
            Some(lost) => held.iter().position(|id| *id > lost).unwrap_or(0),
            None => self.probes_failed as usize % held.len().max(1),
        };
        held.get(place).copied()
    }

    /// With that delivery probing. One that never comes back, because it was cancelled or could not be rendered, makes way
    /// for another after [`PROBE_LOST_MS`].
    pub fn probing(self, probe_id: DeliveryId, now: Timestamp) -> Self {
        Self { probe_at: Some(plus_ms(now, PROBE_LOST_MS)), probe_id: Some(probe_id), ..self }
    }

    /// After a probe that failed.
    pub fn probe_failed(self, now: Timestamp) -> Self {
        let probes_failed = self.probes_failed.saturating_add(1);
        Self { probe_at: Some(plus_ms(now, probe_wait_ms(probes_failed))), probes_failed, probe_id: None }
    }

    /// With no probe before so long from `now`, in milliseconds: what the receiver asked for makes the wait longer, never
    /// shorter.
    pub fn left_alone(self, asked_ms: u64, now: Timestamp) -> Self {
        Self { probe_at: self.probe_at.map(|probe_at| probe_at.max(plus_ms(now, asked_ms))), ..self }
    }
}

/// The wait before the next probe after so many failed ones, in milliseconds: it doubles from [`PROBE_WAIT_MS_MIN`] up to
/// [`PROBE_WAIT_MS_MAX`].
pub fn probe_wait_ms(probes_failed: u32) -> u64 {
    let factor = 1_u64.checked_shl(probes_failed).unwrap_or(u64::MAX);
    PROBE_WAIT_MS_MIN.saturating_mul(factor).min(PROBE_WAIT_MS_MAX)
}

/// What made a breaker open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// Attempts of the window.
    pub attempts: u32,
    /// Those of them that failed.
    pub failed: u32,
}

impl std::fmt::Display for Trip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { attempts, failed } = self;
        write!(f, "{failed} of {attempts} attempts failed within {} s", BREAKER_WINDOW_MS / 1_000)
    }
}

/// The attempts of the last [`BREAKER_WINDOW_MS`] of one webhook in one process, in [`BREAKER_BUCKETS`] buckets: those that were
/// claimed under one status of it.
#[derive(Clone, Debug, Default)]
pub struct Window {
    buckets: [Bucket; BREAKER_BUCKETS],
    /// Since when the webhook has had that status.
    status_since: Timestamp,
    /// The last version of it that was claimed.
    version: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which stretch of time it counts, by number since 1970.
    stretch: i64,
    attempts: u32,
    failed: u32,
}

/// What one bucket spans, in milliseconds.
const BUCKET_MS: i64 = BREAKER_WINDOW_MS / BREAKER_BUCKETS as i64;

impl Window {
    /// Whether what was claimed of the webhook as it then stood counts. Where its status is another one since, the window begins anew.
    pub fn follows(&mut self, webhook: &Webhook) -> bool {
        let is_same = webhook.status_since == self.status_since;
        // Which status is the newer one is told by the version: the clock may have been set back.
        if webhook.version <= self.version {
            return is_same;
        }
        if !is_same {
            self.buckets = Default::default();
        }
        (self.status_since, self.version) = (webhook.status_since, webhook.version);
        true
    }

    /// Counts an attempt of the webhook as it was claimed, and says whether the breaker shall open now; then the window begins anew.
    ///
    /// Only attempts that say something of the receiver are to be counted: no tests, no faults of ours.
    pub fn record(&mut self, failed: bool, webhook: &Webhook, now: Timestamp) -> Option<Trip> {
        if !self.follows(webhook) {
            return None;
        }
        let stretch = now.timestamp_millis().div_euclid(BUCKET_MS);
        let place = usize::try_from(stretch.rem_euclid(BREAKER_BUCKETS as i64)).unwrap_or_default();
        let bucket = &mut self.buckets[place];
        if bucket.stretch != stretch {
            *bucket = Bucket { stretch, ..Bucket::default() };
        }
        bucket.attempts = bucket.attempts.saturating_add(1);
        bucket.failed = bucket.failed.saturating_add(u32::from(failed));
        let trip = self.counted(now);
        let share_is_reached =
            u64::from(trip.failed) * 100 >= u64::from(trip.attempts) * u64::from(BREAKER_FAILING_PERCENT_MIN);
        // A success never opens it, even where the share is reached with it.
        let trips = failed && trip.attempts >= BREAKER_ATTEMPTS_MIN && share_is_reached;
        trips.then(|| {
            self.buckets = Default::default();
            trip
        })
    }

    /// What is counted at that time.
    pub fn counted(&self, now: Timestamp) -> Trip {
        let newest = now.timestamp_millis().div_euclid(BUCKET_MS);
        let oldest = newest - BREAKER_BUCKETS as i64 + 1;
        let live = self.buckets.iter().filter(|bucket| (oldest..=newest).contains(&bucket.stretch));
        live.fold(Trip { attempts: 0, failed: 0 }, |sum, bucket| Trip {
            attempts: sum.attempts.saturating_add(bucket.attempts),
            failed: sum.failed.saturating_add(bucket.failed),
        })
    }
}

#[cfg(test)]
mod tests;
