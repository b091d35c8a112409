//! The judgement of claims, payloads, leases and requests.

use super::model::{Lease, Model, News, Phase, ProcessId, Request, Verdict, holds};
use super::plan::Plan;
use super::receiver::Script;
use hookgraph_dispatcher::limits::FIRST_ATTEMPTS_PERCENT;
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::limits::RATE_BURST_MS;
use hookgraph_domain::ports::{ClaimRequest, Fenced, Freeze};
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::WebhookStatus;
use std::sync::Arc;

impl Model {
    /// Judges a claim: it takes only deliveries that are due and nobody's, in order, within every bound. On the way
    /// it may end or hold deliveries that their webhook does not send.
    pub fn claimed(
        &mut self,
        who: ProcessId,
        request: &ClaimRequest,
        claims: &[ClaimedDelivery],
        news: &News,
    ) -> Verdict {
        let is_claimed = |id: &DeliveryId| claims.iter().any(|claim| claim.delivery.id == *id);
        for row in news.rows.iter().filter(|row| !is_claimed(&row.id)) {
            self.is_free(row.id, request.now)?;
            self.lose(row.id);
            self.change(row.id)?.be_due_again(request.now);
            self.stand_under(row.id, request.now)?;
        }
        for claim in claims {
            self.stands_first(claim.delivery.id)?;
        }
        for claim in claims {
            self.claimed_one(who, request, claim)?;
        }
        let retries = claims.iter().filter(|claim| claim.delivery.attempts_spent > 0).count();
        holds!(claims.len() <= request.limit as usize, "{} claimed, {} asked", claims.len(), request.limit);
        holds!(retries <= request.retries_max as usize, "{retries} retries claimed, {} asked", request.retries_max);
        for webhook_id in claims.iter().map(|claim| claim.delivery.webhook_id) {
            self.is_within_slots(webhook_id, request, claims)?;
        }
        Ok(())
    }

    /// The delivery is due, or leased by a process whose lease has ended.
    fn is_free(&self, id: DeliveryId, now: Timestamp) -> Verdict {
        let owed = self.owed.get(&id).ok_or_else(|| format!("{id} is not owed"))?;
        let is_free = match (owed.phase, owed.lease) {
            (Phase::Due, _) => owed.due.0 <= now,
            (Phase::Leased, Some(lease)) => lease.until <= now,
            _ => false,
        };
        holds!(is_free, "{id} was taken while it is not free: {owed:?}");
        Ok(())
    }

    /// Notes that the process that leased the delivery has lost its lease.
    fn lose(&mut self, id: DeliveryId) {
        if let Some(owed) = self.owed.get(&id).filter(|owed| owed.phase == Phase::Leased) {
            self.lost.insert((id, owed.token));
        }
    }

    /// No earlier delivery of the same record to the same webhook is unfinished, where the webhook keeps order.
    fn stands_first(&self, id: DeliveryId) -> Verdict {
        let owed = &self.owed[&id];
        if self.webhook(owed.webhook)?.ordering == Ordering::None || owed.is_test || owed.replay.is_some() {
            return Ok(());
        }
        let earlier = self.owed.range(..id).find(|(_, earlier)| {
            earlier.webhook == owed.webhook
                && !earlier.is_test
                && earlier.replay.is_none()
                && earlier.phase != Phase::Ended
                && self.events[&earlier.event] == self.events[&owed.event]
        });
        holds!(earlier.is_none(), "{id} overtakes {earlier:?}");
        Ok(())
    }

    fn claimed_one(&mut self, who: ProcessId, request: &ClaimRequest, claim: &ClaimedDelivery) -> Verdict {
        let id = claim.delivery.id;
        self.is_free(id, request.now)?;
        self.lose(id);
        let owed = &self.owed[&id];
        let webhook = self.webhook(owed.webhook)?.clone();
        holds!(webhook.sends(id, owed.is_test) && !owed.cancel, "{id} was claimed, though its webhook is {webhook:?}");
        let before = owed.lease;
        holds!(before.is_some() == claim.was_orphaned, "{id}: an orphan is {}", claim.was_orphaned);
        if let Some(lease) = before {
            self.counts.orphans += 1;
            let lost = self.leases_are_safe && !self.dead.contains(&lease.process);
            holds!(!lost, "{:?} lives and lost its lease of {id}", lease.process);
        }
        let is_probe = webhook.status == WebhookStatus::Suspended && webhook.probe == Some(id) && !owed.is_test;
        let own = before.filter(|lease| lease.process == who);
        let was_probe = own.is_some_and(|lease| lease.is_probe || lease.was_probe);
        let owed = self.change(id)?;
        (owed.phase, owed.state) = (Phase::Leased, hookgraph_domain::delivery::DeliveryState::InFlight);
        owed.token += 1;
        owed.lease = Some(Lease { process: who, until: request.leased_until, is_probe, was_probe });
        let payload = claim.payload.as_ref().map(|payload| payload.json.clone());
        if owed.payload.is_none() && !webhook.has_query {
            holds!(payload.is_some(), "{id} has no payload query and no payload");
            owed.payload = payload.clone();
        }
        holds!(owed.payload == payload, "{id} came with another payload than was frozen");
        let token = owed.token;
        if own.is_some() {
            self.renewed.insert((id, token));
        }
        Ok(())
    }

    /// A process is told what it claimed.
    pub fn told_of(&mut self, who: ProcessId, claims: &[ClaimedDelivery]) {
        for claim in claims {
            let last = self.claims.entry((who, claim.delivery.id)).or_default();
            *last = claim.delivery.fencing_token.max(*last);
        }
    }

    fn is_within_slots(&self, webhook_id: WebhookId, request: &ClaimRequest, claims: &[ClaimedDelivery]) -> Verdict {
        let live = |owed: &&super::model::Owed| {
            owed.webhook == webhook_id && owed.lease.is_some_and(|lease| lease.until > request.now)
        };
        let in_flight = self.owed.values().filter(live).count();
        let slots = self.webhook(webhook_id)?.concurrency.min(request.in_flight_per_webhook_max);
        holds!(in_flight <= slots as usize, "{in_flight} of {slots} slots of {webhook_id} are taken");
        let count = claims.iter().filter(|claim| claim.delivery.webhook_id == webhook_id).count();
        let limit = request.limits.iter().find(|(id, _)| *id == webhook_id).map(|(_, limit)| *limit);
        let limit = limit.unwrap_or(request.limit_per_webhook);
        holds!(count <= limit as usize, "{count} of {webhook_id} were claimed, {limit} may");
        Ok(())
    }

    /// A process has no more in flight than it may, and its retries leave room for first attempts.
    pub fn keeps_its_bounds(&self, who: ProcessId, plan: &Plan) -> Verdict {
        if !self.leases_are_safe {
            return Ok(());
        }
        let own: Vec<_> = self.owed.values().filter(|owed| owed.lease.is_some_and(|it| it.process == who)).collect();
        let most = plan.limits.in_flight_max;
        holds!(own.len() <= most as usize, "{who:?} has {} in flight, {most} may be", own.len());
        let retries = own.iter().filter(|owed| owed.spent > 0).count() as u32;
        let reserved = most * FIRST_ATTEMPTS_PERCENT / 100;
        holds!(
            retries <= most - reserved,
            "{who:?} has {retries} retries in flight, {reserved} of {most} are reserved"
        );
        Ok(())
    }

    /// Whether a write under a claim must take effect.
    pub fn is_under(&self, id: DeliveryId, token: i64) -> bool {
        self.owed.get(&id).is_some_and(|owed| owed.phase == Phase::Leased && owed.token == token)
    }

    pub fn froze(&mut self, freezes: &[Freeze], answers: &[Fenced]) -> Verdict {
        for (freeze, answer) in freezes.iter().zip(answers) {
            let id = freeze.delivery_id;
            let may = self.is_under(id, freeze.fencing_token) && self.owed[&id].payload.is_none();
            holds!((*answer == Fenced::Done) == may, "the freeze of {id} was {answer:?}, should be done: {may}");
            if may && let Some(owed) = self.owed.get_mut(&id) {
                owed.payload = Some(freeze.payload.json.clone());
            }
        }
        Ok(())
    }

    pub fn extended(&mut self, claims: &[(DeliveryId, i64)], until: Timestamp, answers: &[Fenced]) -> Verdict {
        for ((id, token), answer) in claims.iter().zip(answers) {
            let may = self.is_under(*id, *token);
            holds!((*answer == Fenced::Done) == may, "the lease of {id} was extended: {answer:?}, should be: {may}");
            if let Some(lease) = self.owed.get_mut(id).filter(|_| may).and_then(|owed| owed.lease.as_mut()) {
                lease.until = until;
            }
        }
        Ok(())
    }

    pub fn released(&mut self, claims: &[(DeliveryId, i64)], now: Timestamp) -> Verdict {
        for (id, token) in claims {
            if self.is_under(*id, *token) {
                self.change(*id)?.be_due_again(now);
                self.stand_under(*id, now)?;
            }
        }
        Ok(())
    }

    /// Judges a request that begins: it does so under a claim of its process that holds, once, with the frozen
    /// payload.
    pub fn began(&mut self, who: ProcessId, id: DeliveryId, body: Arc<str>, now: Timestamp) -> Verdict<i64> {
        let token = *self.claims.get(&(who, id)).ok_or_else(|| format!("{who:?} sends {id} without a claim"))?;
        let key = (id, token);
        holds!(!self.requests.contains_key(&key), "{who:?} sends {id} twice under one lease");
        let before = self.requests.get(&(id, token - 1)).filter(|_| self.renewed.contains(&key));
        let is_under_way = before.is_some_and(|request| request.process == who && request.answer.is_none());
        holds!(!is_under_way, "{who:?} sends {id} again, though its own request is under way");
        let owed = self.owed.get(&id).ok_or_else(|| format!("{id} is not owed"))?;
        holds!(self.is_under(id, token) || !self.leases_are_safe, "{who:?} sends {id} under a lease it lost: {owed:?}");
        holds!(owed.payload.as_ref() == Some(&body), "{id} is sent with {body}, frozen was {:?}", owed.payload);
        let webhook_id = owed.webhook;
        let webhook = self.webhook(webhook_id)?;
        let (rate, most, has_query) = (webhook.rate, webhook.concurrency_max as usize, webhook.has_query);
        let under_way = self.requests.iter().filter(|((other, _), request)| {
            request.answer.is_none()
                && !self.dead.contains(&request.process)
                && self.owed.get(other).is_some_and(|owed| owed.webhook == webhook_id)
        });
        let under_way: Vec<_> = under_way.map(|((other, _), _)| *other).collect();
        if self.leases_are_safe {
            holds!(!under_way.contains(&id), "{id} is sent twice at once");
            holds!(under_way.len() < most, "{} requests to {webhook_id} at once, {most} may be", under_way.len() + 1);
        }
        if let Some(rate) = rate.filter(|_| !has_query) {
            self.keeps_the_rate(who, webhook_id, rate, now)?;
        }
        self.requests.insert(key, Request { process: who, began_at: now, answer: None });
        Ok(token)
    }

    /// A process sends a burst at once and keeps to the rate from there on. (A render in between may bunch requests.)
    fn keeps_the_rate(&mut self, who: ProcessId, webhook_id: WebhookId, rate: u32, now: Timestamp) -> Verdict {
        let sent = self.sent_at.entry((who, webhook_id)).or_default();
        sent.push(now);
        let burst = (u64::from(rate) * RATE_BURST_MS).div_ceil(1_000).max(1);
        for window_s in [1, 5] {
            let since = now - chrono::TimeDelta::seconds(window_s);
            let count = sent.iter().filter(|at| **at > since).count() as u64;
            let most = u64::from(rate) * window_s as u64 + burst;
            holds!(count <= most, "{who:?} sent {count} to {webhook_id} in {window_s} s, {most} may be");
        }
        Ok(())
    }

    pub fn answered(&mut self, id: DeliveryId, token: i64, script: &Script, now: Timestamp) -> Verdict {
        let request = self.requests.get_mut(&(id, token)).ok_or("an answer without a request")?;
        request.answer = Some(script.clone());
        let process = request.process;
        let owed = self.owed.get_mut(&id).ok_or("an answer to what is not owed")?;
        owed.has_arrived |= script.code == OutcomeCode::Delivered;
        if !owed.is_test && script.code != OutcomeCode::ServerFault {
            let failed = script.code != OutcomeCode::Delivered;
            self.outcomes.entry((process, owed.webhook)).or_default().push((now, failed));
        }
        Ok(())
    }

    /// Whether a process may say that a breaker tripped at the time `now`.
    pub fn may_trip(&self, who: ProcessId, webhook: WebhookId, attempts: u32, failed: u32, now: Timestamp) -> Verdict {
        let seen = self.outcomes.get(&(who, webhook)).map_or(&[][..], Vec::as_slice);
        let since = plus_ms(now, 0) - chrono::TimeDelta::milliseconds(hookgraph_domain::limits::BREAKER_WINDOW_MS);
        let recent: Vec<_> = seen.iter().filter(|(at, _)| *at >= since).collect();
        let recent_failed = recent.iter().filter(|(_, failed)| *failed).count();
        let is_enough = attempts >= 20 && failed * 2 >= attempts;
        holds!(is_enough, "a breaker opened after {failed} of {attempts}");
        let is_true = attempts as usize <= recent.len() && failed as usize <= recent_failed;
        holds!(is_true, "a breaker opened after {failed} of {attempts}, were {recent_failed} of {}", recent.len());
        Ok(())
    }
}
