//! The claim along with a recording: deliveries are leased in the transaction that records them, for this process's
//! worker, where that has room. Such a claim costs no commit of its own, and needs no wake-up for the deliveries that
//! it leased.

use super::Work;
use super::events::{Due, Recorded};
use crate::limits::{CLAIM_ALONG_PAUSE_MS, CLAIMED_ALONG_MAX};
use crate::queue::{AtOnce, claim_within};
use crate::store::SqlStore;
use hookgraph_domain::change::{Claimed, CommitError};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::{Claimer, Claims, StoreError, WantedClaim};
use hookgraph_domain::time::{Timestamp, plus_ms};
use parking_lot::Mutex;
use sea_orm::DbBackend;
use std::collections::HashSet;
use std::sync::{Arc, Weak};

/// The claimer of this process, if there is one, and how its last claim along went. Clones share the state.
#[derive(Clone, Default)]
pub struct KnownClaimer(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    claimer: Option<Weak<dyn Claimer>>,
    is_failing: bool,
    /// The time before which nothing is claimed along.
    not_before: Timestamp,
}

impl KnownClaimer {
    pub fn set(&self, claimer: Weak<dyn Claimer>) {
        self.0.lock().claimer = Some(claimer);
    }

    fn wanted(&self, at: Timestamp) -> Option<Box<dyn WantedClaim>> {
        let claimer = {
            let known = self.0.lock();
            known.claimer.as_ref().filter(|_| at >= known.not_before).and_then(Weak::upgrade)?
        };
        claimer.wanted()
    }

    /// Notes that a claim along failed: recordings claim nothing for a while. The first failure after a success is
    /// logged.
    pub fn failed(&self, error: &StoreError, at: Timestamp) {
        let mut known = self.0.lock();
        known.not_before = plus_ms(at, CLAIM_ALONG_PAUSE_MS);
        if !std::mem::replace(&mut known.is_failing, true) {
            tracing::warn!(%error, "what is recorded is claimed later: it could not be claimed along");
        }
    }

    fn worked(&self) {
        self.0.lock().is_failing = false;
    }
}

/// Whether a recording claims along.
#[derive(Clone, Copy)]
pub enum Claiming {
    IfWanted,
    Nothing,
}

/// Why a transaction committed nothing.
pub(super) enum NotCommitted<E> {
    /// The claim along failed.
    ForTheClaim(StoreError),
    /// Anything else failed.
    Otherwise(E),
}

impl<E: From<StoreError>> NotCommitted<E> {
    /// The reason for a failed commit, which with `with_claim` also sends statements of the claim. A commit that failed
    /// as busy may have reached the database all the same, so it is not tried again without the claim; nor is one that
    /// found no room.
    pub fn at_commit(error: StoreError, with_claim: bool) -> Self {
        if with_claim && !matches!(error, StoreError::Busy(_) | StoreError::Full(_)) {
            Self::ForTheClaim(error)
        } else {
            Self::Otherwise(error.into())
        }
    }

    pub fn into_inner(self) -> E {
        match self {
            Self::ForTheClaim(error) => error.into(),
            Self::Otherwise(error) => error,
        }
    }
}

impl<E: From<StoreError>> From<StoreError> for NotCommitted<E> {
    fn from(error: StoreError) -> Self {
        Self::Otherwise(error.into())
    }
}

impl From<CommitError> for NotCommitted<CommitError> {
    fn from(error: CommitError) -> Self {
        Self::Otherwise(error)
    }
}

/// A claim along with a recording, handed over once it is committed.
pub(super) struct Along {
    wanted: Box<dyn WantedClaim>,
    claims: Claims,
}

impl Along {
    /// Whether the claimer looks for this delivery again by itself.
    fn is_known_of(&self, due: &Due) -> bool {
        let webhook_id = WebhookId(due.webhook_id);
        self.claims.left.without_room.binary_search(&webhook_id).is_ok() && self.wanted.waits_for_slots(webhook_id)
    }

    pub fn hand_over(self, store: &SqlStore) {
        store.claimer.worked();
        store.observer.orphans_found(self.claims.orphan_count());
        self.wanted.take(self.claims);
    }
}

impl Work<'_> {
    /// Asks the claimer whether it wants a claim along with `due_count` deliveries that are about to be recorded.
    /// PostgreSQL does not claim many along: the worker's own claims run there beside the next recording, and reach
    /// more deliveries under load.
    pub(super) fn want_claim(&mut self, due_count: usize) {
        let is_small = self.store.backend() == DbBackend::Sqlite || due_count <= CLAIMED_ALONG_MAX;
        if matches!(self.claiming, Claiming::IfWanted) && is_small && due_count > 0 {
            self.wanted = self.store.claimer.wanted(self.at);
        }
    }

    /// Claims after the events were recorded, if that is wanted, and notes in each change how much of it was claimed.
    pub(super) async fn claim_along(&mut self, recorded: &mut [Recorded]) -> Result<Option<Along>, StoreError> {
        let mut claimed_ids = HashSet::new();
        let mut along = None;
        if let Some(wanted) = self.wanted.take() {
            let AtOnce { claimed, unsure_count, mut left, is_crowded, .. } =
                claim_within(self.store, self.transaction, wanted.request(), &mut self.feed).await?;
            claimed_ids.extend(claimed.iter().map(|claim| claim.delivery.id.0));
            // A separate claim holds, cancels or leases the deliveries of webhooks that may have stopped, and makes
            // way.
            left.has_more |= unsure_count > 0 || is_crowded;
            along = Some(Along { wanted, claims: Claims { deliveries: claimed, left } });
        }
        for one in recorded {
            // A change without events may have made deliveries due by its writes.
            let raises = !one.committed.event_ids.is_empty();
            let mut unclaimed = one.due.iter().filter(|due| !claimed_ids.contains(&due.id)).peekable();
            one.committed.claimed = match &along {
                _ if raises && unclaimed.peek().is_none() => Claimed::All,
                Some(along) if raises && unclaimed.all(|due| along.is_known_of(due)) => Claimed::WhatHadRoom,
                _ => Claimed::NotAll,
            };
        }
        Ok(along)
    }
}
