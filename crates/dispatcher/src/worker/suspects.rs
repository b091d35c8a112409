//! Settlements that failed alone, though others were written: each is tried alone, after the others, and not before its time.

use super::slots::Slot;
use crate::limits::{STORE_BACKOFF_MS_MAX, SUSPECT_FAILURES_MAX, SUSPECT_MS_MAX};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::settle::Settlement;
use std::time::Duration;
use tokio::time::Instant;

/// One of them.
pub(super) struct Suspect {
    pub(super) settlement: Settlement,
    pub(super) slot: Slot,
    next_at: Instant,
    wait_ms: u64,
    /// How often it failed while others were written.
    failures: u32,
    /// Why it is to be written without what was sent and answered.
    bare_after: Option<StoreError>,
}

impl Suspect {
    /// One that is due at once: it may have met with an outage.
    pub(super) fn new(settlement: Settlement, slot: Slot) -> Self {
        let (next_at, wait_ms) = (Instant::now(), STORE_BACKOFF_MS_MAX);
        Self { settlement, slot, next_at, wait_ms, failures: 0, bare_after: None }
    }

    /// Why it is to be written without what was sent and answered, if it is: what is refused for ever may come as a failure that looks
    /// as if it passed.
    pub(super) fn bare_after(&self) -> Option<&StoreError> {
        self.bare_after.as_ref()
    }

    /// It failed once more while others were written.
    pub(super) fn failed(mut self, error: &StoreError) -> Self {
        // Of a disk that is full a small write tells nothing.
        if !matches!(error, StoreError::Full(_)) {
            self.failures += 1;
            if self.failures > SUSPECT_FAILURES_MAX {
                self.bare_after = Some(error.clone());
            }
        }
        self.next_at = Instant::now() + Duration::from_millis(self.wait_ms);
        self.wait_ms = (2 * self.wait_ms).min(SUSPECT_MS_MAX);
        self
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Suspects(Vec<Suspect>);

impl Suspects {
    pub(super) fn add(&mut self, suspect: Suspect) {
        self.0.push(suspect);
    }

    /// When the next one may be tried; none where there are none.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.0.iter().map(|suspect| suspect.next_at).min()
    }

    /// Takes the one that has waited longest for its turn, if any may be tried, whose turn has come or not.
    pub(super) fn take(&mut self, whose_turn_or_not: bool) -> Option<Suspect> {
        let (place, first) = self.0.iter().enumerate().min_by_key(|(_, suspect)| suspect.next_at)?;
        (whose_turn_or_not || first.next_at <= Instant::now()).then(|| self.0.remove(place))
    }

    /// After an outage, which some of them may have met with.
    pub(super) fn are_due(&mut self) {
        let now = Instant::now();
        self.0.iter_mut().for_each(|suspect| suspect.next_at = suspect.next_at.min(now));
    }
}
