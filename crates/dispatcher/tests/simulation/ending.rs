//! The conditions that hold once the trouble is over and everything has ended.

use super::model::{Model, Phase, Verdict, holds};
use super::run::Report;
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::delivery::{Delivery, DeliveryState};
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::payload::FrozenPayload;
use std::collections::BTreeMap;

/// The rows of the store at the end of a run.
pub struct FinalRows {
    pub rows: Vec<Delivery>,
    pub attempts: Vec<Attempt>,
    pub payloads: Vec<(DeliveryId, FrozenPayload)>,
}

impl Model {
    /// The deliveries that have not ended yet.
    pub fn unfinished(&self) -> impl Iterator<Item = (&DeliveryId, &super::model::Owed)> {
        self.owed.iter().filter(|(_, owed)| owed.phase != Phase::Ended)
    }

    /// Every delivery that was owed is there, has ended, and its row tells the truth.
    pub fn ended(&mut self, kept: &FinalRows) -> Verdict {
        let unfinished = self.unfinished().next();
        holds!(unfinished.is_none(), "it is calm, and yet {unfinished:?} never ends");
        holds!(kept.rows.len() == self.owed.len(), "{} are owed, {} are kept", self.owed.len(), kept.rows.len());
        for row in &kept.rows {
            self.compare_row(row)?;
        }
        let mut attempts: BTreeMap<DeliveryId, Vec<&Attempt>> = BTreeMap::new();
        kept.attempts.iter().for_each(|attempt| attempts.entry(attempt.delivery_id).or_default().push(attempt));
        for (id, owed) in &self.owed {
            let own = attempts.remove(id).unwrap_or_default();
            let numbers: Vec<u32> = own.iter().map(|attempt| attempt.number).collect();
            let all: Vec<u32> = (1..=owed.count).collect();
            holds!(numbers == all, "{id} has the attempts {numbers:?} of {all:?}");
            let is_delivered = owed.state == DeliveryState::Delivered;
            holds!(owed.has_arrived || !is_delivered, "{id} is delivered and never arrived");
            let delays = self.webhook(owed.webhook)?.delays_s.len();
            let most = delays + 1 + owed.gone as usize;
            holds!(owed.spent as usize <= most, "{id} was tried {} times", owed.spent);
            let spent_all = owed.spent as usize > delays || owed.is_test;
            holds!(owed.state != DeliveryState::Failed || spent_all, "{id} failed after {} attempts", owed.spent);
        }
        self.accounted_for(&kept.attempts)?;
        let frozen: BTreeMap<_, _> = kept.payloads.iter().map(|(id, payload)| (*id, payload.json.clone())).collect();
        for (id, owed) in &self.owed {
            holds!(frozen.get(id) == owed.payload.as_ref(), "the payload of {id} is not what was frozen");
        }
        Ok(())
    }

    /// Each request has its attempt in the log, or was in flight as its process lost the lease: only a request
    /// without an attempt arrives twice.
    fn accounted_for(&self, attempts: &[Attempt]) -> Verdict {
        for ((id, token), request) in &self.requests {
            let is_logged =
                attempts.iter().any(|attempt| attempt.delivery_id == *id && attempt.started_at == request.began_at);
            let was_lost = self.lost.contains(&(*id, *token));
            holds!(is_logged || was_lost || self.dead.contains(&request.process), "{request:?} of {id} is in no log");
        }
        Ok(())
    }

    pub fn report(&self) -> Report {
        let count = |state| self.owed.values().filter(|owed| owed.state == state).count() as u64;
        Report {
            delivered: count(DeliveryState::Delivered),
            failed: count(DeliveryState::Failed),
            cancelled: count(DeliveryState::Cancelled),
            expired: count(DeliveryState::Expired),
            render_failed: count(DeliveryState::RenderFailed),
            held: self.counts.held,
            orphans: self.counts.orphans,
            gone_on: self.counts.gone_on,
            refused: self.counts.refused,
            trips: self.counts.trips,
            replayed: self.counts.replayed,
            kills: self.dead.len() as u64,
            told: Vec::new(),
        }
    }
}
