//! The judgement of settlements: from the receiver's answer to the state of the delivery and of its webhook.

use super::model::{KnownWebhook, Model, Phase, Request, Verdict, holds};
use super::receiver::Script;
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::ports::Fenced;
use hookgraph_domain::settle::{HealthSignal, Settlement};
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::WebhookStatus;

const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// What is owed for longer ends.
const OWED_MS_MAX: u64 = 30 * DAY_MS;
/// A webhook that only fails for longer is disabled.
const FAILING_MS_MAX: u64 = 5 * DAY_MS;
/// What a fault of ours waits.
const FAULT_MS: u64 = 5_000;
/// What a token of the slowest rate may make a delivery wait, and more.
const TOKEN_MS_MAX: u64 = 2_000;

impl Model {
    pub fn settled(&mut self, settlements: &[Settlement], answers: &[Fenced]) -> Verdict {
        for (settlement, answer) in settlements.iter().zip(answers) {
            let id = settlement.delivery_id;
            let may = self.is_under(id, settlement.fencing_token);
            holds!((*answer == Fenced::Done) == may, "the settlement of {id} was {answer:?}, should be done: {may}");
            if may {
                self.settled_one(settlement)?;
            } else {
                self.counts.refused += 1;
            }
        }
        Ok(())
    }

    fn settled_one(&mut self, settlement: &Settlement) -> Verdict {
        let id = settlement.delivery_id;
        let (request, goes_on) = self.request_of(settlement);
        self.counts.gone_on += u64::from(goes_on);
        let attempt = settlement.attempt.as_ref();
        if let Some(attempt) = attempt {
            let number = self.owed[&id].count + 1;
            holds!(attempt.number == number, "attempt {} of {id} should be number {number}", attempt.number);
            self.change(id)?.count = number;
        }
        let is_sent = attempt.is_some_and(|attempt| attempt.request.is_some());
        holds!(is_sent == request.is_some(), "{id} was sent: {}, its settlement says {is_sent}", request.is_some());
        let Some(request) = request else { return self.settled_unsent(settlement) };
        let script = request.answer.ok_or_else(|| format!("{id} was settled before it was answered"))?;
        let code = attempt.map(|attempt| attempt.code);
        holds!(code == Some(script.code), "{id} was answered {script:?}, its attempt says {code:?}");

        let says_so =
            matches!(settlement.health, Some(HealthSignal::ProbeSucceeded | HealthSignal::ProbeFailed { .. }));
        let is_probe = self.owed[&id].lease.is_some_and(|lease| lease.is_probe || lease.was_probe && says_so);
        let webhook_id = self.owed[&id].webhook;
        self.answered_by_schedule(id, &script, is_probe, settlement.now)?;
        let mut stopped = false;
        if !self.owed[&id].is_test && script.code != OutcomeCode::ServerFault {
            let tripped = match settlement.health {
                Some(HealthSignal::Tripped { trip, .. }) => {
                    self.may_trip(request.process, webhook_id, trip.attempts, trip.failed, settlement.now)?;
                    true
                }
                _ => false,
            };
            stopped = self.health(webhook_id, &script, is_probe, tripped, settlement.now)?;
        }
        self.stand_under(id, settlement.now)?;
        if stopped {
            self.hold_due(webhook_id);
        }
        Ok(())
    }

    /// The request that a settlement is of, and whether it began under an earlier claim of the same process and went
    /// on under this one.
    fn request_of(&self, settlement: &Settlement) -> (Option<Request>, bool) {
        let mut key = (settlement.delivery_id, settlement.fencing_token);
        let own = self.requests.get(&key).cloned();
        let attempt = settlement.attempt.as_ref().filter(|attempt| attempt.request.is_some());
        let Some(attempt) = attempt.filter(|_| own.is_none()) else { return (own, false) };
        while self.renewed.contains(&key) {
            key.1 -= 1;
            let earlier = self.requests.get(&key).filter(|request| request.began_at == attempt.started_at);
            if let Some(request) = earlier {
                return (Some(request.clone()), true);
            }
        }
        (None, false)
    }

    /// Judges a settlement of a delivery that ended, or waits, without a request.
    fn settled_unsent(&mut self, settlement: &Settlement) -> Verdict {
        let (id, now) = (settlement.delivery_id, settlement.now);
        let owed = &self.owed[&id];
        let about = (owed.webhook, owed.event);
        let is_old = plus_ms(owed.since, OWED_MS_MAX) <= now;
        if settlement.attempt.is_some() {
            holds!(self.refused_renders.contains(&about), "{id} was not refused by any render");
            self.change(id)?.end_unless_cleared(DeliveryState::RenderFailed);
        } else if settlement.next.state == DeliveryState::Expired {
            holds!(is_old, "{id} expired early");
            self.change(id)?.end_unless_cleared(DeliveryState::Expired);
        } else if settlement.next.reason.is_some() {
            holds!(self.failed_renders.contains(&about), "no render of {id} failed");
            let due_at = plus_ms(now, FAULT_MS);
            self.change(id)?.be_due(DeliveryState::Retrying, (due_at, due_at));
        } else {
            // Postponed: its webhook stopped, someone cancels it, or there is no token for it.
            let owed = self.change(id)?;
            owed.be_due_again(now);
            owed.due.1 = plus_ms(now, TOKEN_MS_MAX);
        }
        self.stand_under(id, now)
    }

    /// The state after an answer, by the schedule alone.
    fn answered_by_schedule(&mut self, id: DeliveryId, script: &Script, is_probe: bool, now: Timestamp) -> Verdict {
        let delays_s = self.webhook(self.owed[&id].webhook)?.delays_s.clone();
        let owed = self.change(id)?;
        let is_old = plus_ms(owed.since, OWED_MS_MAX) <= now;
        match script.code {
            OutcomeCode::ServerFault if is_old => owed.end_unless_cleared(DeliveryState::Expired),
            OutcomeCode::ServerFault => {
                let due_at = plus_ms(now, FAULT_MS);
                owed.be_due(DeliveryState::Retrying, (due_at, due_at));
            }
            OutcomeCode::Delivered => {
                owed.spent += 1;
                owed.end_unless_cleared(DeliveryState::Delivered);
            }
            OutcomeCode::Gone => {
                owed.spent += 1;
                owed.gone += 1;
                if owed.is_test { owed.end_unless_cleared(DeliveryState::Failed) } else { owed.be_held() }
            }
            _ if is_probe && !is_old => owed.be_held(),
            _ => {
                let delay_ms = delays_s.get(owed.spent as usize).map(|delay_s| u64::from(*delay_s) * 1_000);
                owed.spent += 1;
                match delay_ms {
                    None => owed.end_unless_cleared(DeliveryState::Failed),
                    Some(_) if is_old => owed.end_unless_cleared(DeliveryState::Expired),
                    Some(delay_ms) => {
                        let asked_ms = script.asked_ms();
                        let least = plus_ms(now, delay_ms.max(asked_ms));
                        let most = plus_ms(now, (delay_ms + delay_ms / 10).max(asked_ms));
                        owed.be_due(DeliveryState::Retrying, (least, most));
                    }
                }
            }
        }
        Ok(())
    }

    /// Applies what an answer says of its webhook, and answers whether the webhook stops.
    fn health(
        &mut self,
        id: WebhookId,
        script: &Script,
        is_probe: bool,
        tripped: bool,
        now: Timestamp,
    ) -> Verdict<bool> {
        let webhook = self.webhooks.get_mut(&id).ok_or("no such webhook")?;
        let is_suspended = webhook.status == WebhookStatus::Suspended;
        let sends = is_suspended || webhook.status == WebhookStatus::Active;
        if webhook.is_deleted {
            return Ok(false);
        }
        if script.code == OutcomeCode::Delivered {
            webhook.failing_since = None;
            if is_probe && is_suspended {
                (webhook.status, webhook.probe) = (WebhookStatus::Active, None);
            }
            return Ok(false);
        }
        let is_too_long = webhook.failing_since.is_some_and(|since| plus_ms(since, FAILING_MS_MAX) <= now);
        webhook.failing_since.get_or_insert(now);
        if sends && (script.code == OutcomeCode::Gone || is_too_long) {
            (webhook.status, webhook.probe) = (WebhookStatus::AutoDisabled, None);
            return Ok(true);
        }
        let left_alone_until = Some(plus_ms(now, script.asked_ms()));
        if is_probe && is_suspended {
            (webhook.probe, webhook.left_alone_until) = (None, left_alone_until);
        }
        let opens = tripped && webhook.status == WebhookStatus::Active;
        if opens {
            (webhook.status, webhook.probe) = (WebhookStatus::Suspended, None);
            webhook.left_alone_until = left_alone_until;
            self.counts.trips += 1;
        }
        Ok(opens)
    }

    /// Compares a webhook's row with the model.
    pub fn compare_webhook(&self, id: WebhookId, row: &hookgraph_domain::webhook::Webhook) -> Verdict {
        let KnownWebhook { status, is_deleted, probe, failing_since, .. } = self.webhook(id)?;
        let is = (row.status, row.deleted_at.is_some(), row.breaker.probe_id, row.failing_since);
        let should = (*status, *is_deleted, *probe, *failing_since);
        holds!(is == should, "webhook {id} is {is:?} and should be {should:?}");
        Ok(())
    }
}

impl super::model::Owed {
    /// Ends the delivery, but keeps a cancel that was asked for until its effect is decided.
    fn end_unless_cleared(&mut self, state: DeliveryState) {
        let cancel = self.cancel;
        self.end(state);
        self.cancel = cancel;
        debug_assert_eq!(self.phase, Phase::Ended);
    }
}
