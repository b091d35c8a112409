//! Ports to time, randomness, secrets, wake-ups and planned failures.

use crate::change::{Claimed, Committed};
use crate::time::Timestamp;
use uuid::Uuid;

/// The only source of time.
pub trait Clock: Send + Sync {
    /// The time now, with at most microseconds.
    fn now(&self) -> Timestamp;
}

/// The only source of randomness.
pub trait Entropy: Send + Sync {
    /// A new UUID v7 of the time `now`. Within a process a later one sorts after an earlier one, by its first 80 bits
    /// already. So do the ids that follow from them ([`crate::ids::DeliveryId::of_fan_out`]), by which deliveries are
    /// sent in order.
    fn uuid(&self, now: Timestamp) -> Uuid;

    /// A number from 0 up to but not including 1.
    fn fraction(&self) -> f64;

    /// Fills a buffer for a key, secret or nonce.
    fn fill(&self, buffer: &mut [u8]);
}

/// Seals secrets for storage. The label (tenant and row) is authenticated: a sealed secret moved to another row does
/// not open.
pub trait SecretVault: Send + Sync {
    /// Seals a secret under a label.
    fn seal(&self, label: &str, secret: &[u8]) -> Vec<u8>;

    /// Opens a secret that was sealed under the label.
    ///
    /// # Errors
    /// [`VaultError`] when it was sealed with another key or label, or was changed.
    fn open(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError>;
}

/// A sealed secret that does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret does not open: it was sealed with another key, for another row, or was changed")]
pub struct VaultError;

/// Wakes those who wait for work or for news. A wake-up carries no data and may be lost without harm.
pub trait WakeUps: Send + Sync {
    /// A delivery may be due.
    fn due(&self);

    /// A delivery may be due that the worker of this process knows of already.
    fn due_elsewhere(&self);

    /// The feed may have grown.
    fn fed(&self);

    /// A change was committed.
    fn committed(&self, committed: &Committed) {
        match committed.claimed {
            Claimed::NotAll => self.due(),
            Claimed::WhatHadRoom => self.due_elsewhere(),
            Claimed::All => {}
        }
        self.fed();
    }
}

/// The other processes that work on the same database.
pub trait Neighbours: Send + Sync {
    /// Whether another process was heard of a moment ago: then each has a part of the load.
    fn are_active(&self) -> bool;
}

/// The places where the crash tests may end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failpoint {
    /// The change is committed; nobody was told yet.
    AfterRecord,
    /// The lease is committed.
    AfterClaim,
    /// The payload is rendered and not yet frozen.
    AfterRender,
    /// The payload is frozen, and nothing was sent.
    AfterFreeze,
    /// The answer was read, and nothing is settled.
    AfterSend,
    /// Inside the settling transaction, before its commit.
    InSettle,
}

impl Failpoint {
    /// Every failpoint.
    pub const ALL: [Failpoint; 6] =
        [Self::AfterRecord, Self::AfterClaim, Self::AfterRender, Self::AfterFreeze, Self::AfterSend, Self::InSettle];

    /// The name by which a test arms it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Failpoint::AfterRecord => "after_record",
            Failpoint::AfterClaim => "after_claim",
            Failpoint::AfterRender => "after_render",
            Failpoint::AfterFreeze => "after_freeze",
            Failpoint::AfterSend => "after_send",
            Failpoint::InSettle => "in_settle",
        }
    }
}

/// Failures that a test plans. In production nothing is planned: [`NoFailpoints`].
pub trait Failpoints: Send + Sync {
    /// Called when the process comes to the place; the call may not return.
    fn hit(&self, place: Failpoint);
}

/// No failure is planned.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFailpoints;

impl Failpoints for NoFailpoints {
    fn hit(&self, _place: Failpoint) {}
}
