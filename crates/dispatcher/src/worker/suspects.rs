//! Suspects: settlements that failed alone while others were written. The settler tries each of them by itself, after
//! the others and not before its time; its `//!` holds the whole policy.

use super::slots::Slot;
use crate::limits::{STORE_BACKOFF_MS_MAX, SUSPECT_FAILURES_MAX, SUSPECT_MS_MAX};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::settle::Settlement;
use std::time::Duration;
use tokio::time::Instant;

/// A settlement that may itself be the cause of its failure.
pub(super) struct Suspect {
    pub(super) settlement: Settlement,
    pub(super) slot: Slot,
    /// When it may be tried again.
    next_at: Instant,
    /// How long it waits after its next failure, in milliseconds.
    wait_ms: u64,
    /// How often it failed while others were written.
    failures: u32,
    /// The last failure, once there were too many of them.
    bare_after: Option<StoreError>,
}

impl Suspect {
    /// A suspect that may be tried at once: it may have failed because of an outage.
    pub(super) fn new(settlement: Settlement, slot: Slot) -> Self {
        let (next_at, wait_ms) = (Instant::now(), STORE_BACKOFF_MS_MAX);
        Self { settlement, slot, next_at, wait_ms, failures: 0, bare_after: None }
    }

    /// The failure for which the settlement is to be written without the texts of its attempt; none while it is tried
    /// whole. A database may refuse a text for ever and call each refusal a failure that passes.
    pub(super) fn bare_after(&self) -> Option<&StoreError> {
        self.bare_after.as_ref()
    }

    /// The suspect after it failed once more while others were written.
    pub(super) fn failed(mut self, error: &StoreError) -> Self {
        // On a full disk small settlements may be written while large ones fail: such a failure proves nothing.
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

/// All suspects of the settler.
#[derive(Default)]
pub(super) struct Suspects(Vec<Suspect>);

impl Suspects {
    pub(super) fn add(&mut self, suspect: Suspect) {
        self.0.push(suspect);
    }

    /// When the next suspect may be tried; none where there is no suspect.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.0.iter().map(|suspect| suspect.next_at).min()
    }

    /// Takes the suspect that has waited longest for its turn, if its turn has come.
    pub(super) fn take_due(&mut self) -> Option<Suspect> {
        if self.next_at()? <= Instant::now() { self.take_next() } else { None }
    }

    /// Takes the suspect whose turn is next, whether it has come or not.
    pub(super) fn take_next(&mut self) -> Option<Suspect> {
        let (place, _) = self.0.iter().enumerate().min_by_key(|(_, suspect)| suspect.next_at)?;
        Some(self.0.remove(place))
    }

    /// Lets every suspect be tried at once: the store answers again after an outage, and the outage may have been the
    /// cause.
    pub(super) fn are_due(&mut self) {
        let now = Instant::now();
        self.0.iter_mut().for_each(|suspect| suspect.next_at = suspect.next_at.min(now));
    }
}
