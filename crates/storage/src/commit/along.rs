//! The claim that goes along with a recording: what was just recorded is leased in the same transaction, for the worker of this
//! process, where that has room. It costs no commit of its own, and nobody need be woken for what it leased.

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

/// Who claims in this process, if anyone does, and how it went. Clones share it.
#[derive(Clone, Default)]
pub struct KnownClaimer(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    claimer: Option<Weak<dyn Claimer>>,
    is_failing: bool,
    /// Nothing is claimed along before.
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

    /// A claim that went along failed: none does for a while, and a line says so where it went well before.
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
    /// The claim that went along failed.
    ForTheClaim(StoreError),
    /// Anything else did.
    Otherwise(E),
}

impl<E: From<StoreError>> NotCommitted<E> {
    /// Why a commit failed, with which what a claim writes may have gone. What is busy may have been committed all the same.
    pub fn at_commit(error: StoreError, with_claim: bool) -> Self {
        if with_claim && !matches!(error, StoreError::Busy(_)) {
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

/// A claim that went along, to be handed over once it is committed.
pub(super) struct Along {
    wanted: Box<dyn WantedClaim>,
    claims: Claims,
}

impl Along {
    /// Whether whoever wanted the claim looks for this again by itself.
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
    /// Asks whether a claim is wanted of so many deliveries that are about to be recorded. Many are not claimed along on
    /// PostgreSQL: the worker's own claims run beside the next recording there, and carry more under load.
    pub(super) fn want_claim(&mut self, due_count: usize) {
        let is_small = self.store.backend() == DbBackend::Sqlite || due_count <= CLAIMED_ALONG_MAX;
        if matches!(self.claiming, Claiming::IfWanted) && is_small && due_count > 0 {
            self.wanted = self.store.claimer.wanted(self.at);
        }
    }

    /// Claims after the events were recorded, if that is wanted, and says of every change how much that took of it.
    pub(super) async fn claim_along(&mut self, recorded: &mut [Recorded]) -> Result<Option<Along>, StoreError> {
        let mut claimed_ids = HashSet::new();
        let mut along = None;
        if let Some(wanted) = self.wanted.take() {
            let AtOnce { claimed, unsure_count, mut left, is_crowded, .. } =
                claim_within(self.store, self.transaction, wanted.request(), &mut self.feed).await?;
            claimed_ids.extend(claimed.iter().map(|claim| claim.delivery.id.0));
            // Of those it is not sure of, a claim of its own holds, cancels or leases what there is. Another makes way.
            left.has_more |= unsure_count > 0 || is_crowded;
            along = Some(Along { wanted, claims: Claims { deliveries: claimed, left } });
        }
        for one in recorded {
            // A change that raises nothing may have made other things due.
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
