//! People: they record events, and now and then pause, resume, switch off and on, delete, cancel, retry, test and
//! replay, as the API's mutations do. They give up changes to rows that others have changed meanwhile.

use super::model::Phase;
use super::plan::TENANT;
use super::world::World;
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, DeliveryState, NewDelivery};
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ids::{DeliveryId, EventId, WebhookId};
use hookgraph_domain::ports::Entropy;
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use hookgraph_testkit::sample;

impl World {
    /// The tenant and its webhooks.
    pub fn begin(&self) {
        let mut change = Change::at(self.now());
        change.writes.push(Write::InsertTenant(sample::tenant(TENANT, "acme")));
        let webhooks = self.plan.webhooks.iter().cloned();
        change.writes.extend(webhooks.map(|webhook| Write::PutWebhook { webhook, expected: Expected::Absent }));
        self.asked("a tenant", change);
    }

    /// One step: of the people, and of the trouble in the world.
    pub fn step(&self) {
        let (dice, plan) = (&self.dice, &self.plan);
        if dice.happens(plan.outages) {
            self.lose_the_store_for(dice.between(500, 40_000));
        }
        if dice.happens(plan.clock_jumps) {
            const DAY_MS: u64 = 24 * 3_600 * 1_000;
            let ms = dice.pick(&[1_000, 20_000, 120_000, 6 * DAY_MS, 31 * DAY_MS]).copied().unwrap_or_default();
            self.jump_ms(ms);
        }
        if !plan.people_meddle || dice.happens(600) {
            return self.record();
        }
        let ids: Vec<WebhookId> = plan.webhooks.iter().map(|webhook| webhook.id).collect();
        let Some(webhook) = dice.pick(&ids).and_then(|id| self.webhooks(&[*id]).pop()) else { return };
        match dice.below(12) {
            0 => self.pause(&webhook),
            1 | 2 => self.resume(&webhook),
            3 => self.switch_off(&webhook),
            4 if dice.happens(300) => self.delete(&webhook),
            5 | 6 => self.cancel(),
            7 | 8 => self.retry(),
            9 => self.test(&webhook),
            10 => self.replay(&webhook),
            _ => self.tune(&webhook),
        }
    }

    /// Resumes every webhook that holds.
    pub fn resume_all(&self) {
        for webhook in &self.plan.webhooks {
            if let Some(webhook) = self.webhooks(&[webhook.id]).pop() {
                self.resume(&webhook);
            }
        }
    }

    fn asked(&self, what: &str, change: Change) {
        self.tell(|| format!("someone asks for {what}"));
        if let Err(error) = self.commit(change) {
            self.tell(|| format!("refused: {error}"));
        }
        self.wake();
    }

    fn record(&self) {
        let mut change = Change::at(self.now());
        for _ in 0..self.dice.between(1, 3) {
            let order = self.dice.below(4).to_string();
            change.events.push(self.event(&order));
        }
        let ids: Vec<EventId> = change.events.iter().map(|event| event.id).collect();
        self.tell(|| "someone asks for events".to_owned());
        if let Err(error) = self.commit(change) {
            return self.tell(|| format!("refused: {error}"));
        }
        self.claim_along();
        if self.is_left_due(&ids) {
            self.wake();
        }
    }

    fn event(&self, order: &str) -> NewEvent {
        sample::event(self.entropy.uuid(self.now()).into(), TENANT, order)
    }

    fn put(&self, webhook: &Webhook, next: Webhook, what: &str, then: Option<Write>) {
        if webhook.deleted_at.is_some() {
            return;
        }
        let mut change = Change::at(self.now());
        let next = Webhook { version: webhook.version + 1, updated_at: self.now(), ..next };
        change.writes.push(Write::PutWebhook { webhook: next, expected: Expected::Version(webhook.version) });
        change.writes.extend(then);
        self.asked(&format!("{what} of {}", webhook.id), change);
    }

    fn pause(&self, webhook: &Webhook) {
        if matches!(webhook.status, WebhookStatus::Active | WebhookStatus::Suspended) {
            let next = webhook.clone().with_status(WebhookStatus::Paused, None, self.now());
            let hold = Write::HoldDue { webhook_id: webhook.id, reason: "the webhook is PAUSED".to_owned() };
            self.put(webhook, next, "a pause", Some(hold));
        }
    }

    fn resume(&self, webhook: &Webhook) {
        if webhook.status != WebhookStatus::Active {
            let next = webhook.clone().with_status(WebhookStatus::Active, None, self.now());
            self.put(webhook, next, "a resume", None);
        }
    }

    fn switch_off(&self, webhook: &Webhook) {
        let next = webhook.clone().with_status(WebhookStatus::Disabled, None, self.now());
        let cancel = Write::CancelDue { webhook_id: webhook.id, reason: "its webhook was switched off".to_owned() };
        self.put(webhook, next, "an end", Some(cancel));
    }

    fn delete(&self, webhook: &Webhook) {
        let next = Webhook { deleted_at: Some(self.now()), ..webhook.clone() };
        let cancel = Write::CancelDue { webhook_id: webhook.id, reason: "its webhook was deleted".to_owned() };
        self.put(webhook, next, "the deletion", Some(cancel));
    }

    fn tune(&self, webhook: &Webhook) {
        let mut next = webhook.clone();
        next.flow.concurrency = self.dice.between(1, 6) as u32;
        self.put(webhook, next, "another concurrency", None);
    }

    /// One of the deliveries whose phase fits.
    fn some_delivery(&self, fits: impl Fn(Phase) -> bool) -> Option<DeliveryId> {
        let ids: Vec<DeliveryId> =
            self.model.lock().owed.iter().filter(|(_, owed)| fits(owed.phase)).map(|(id, _)| *id).collect();
        self.dice.pick(&ids).copied()
    }

    fn cancel(&self) {
        let Some(delivery_id) = self.some_delivery(|phase| phase != Phase::Ended) else { return };
        let mut change = Change::at(self.now());
        change.writes.push(Write::CancelDelivery { delivery_id, reason: "cancelled by a person".to_owned() });
        self.asked(&format!("the cancelling of {delivery_id}"), change);
    }

    fn retry(&self) {
        let Some(id) = self.some_delivery(|phase| phase == Phase::Ended) else { return };
        let mut change = Change::at(self.now());
        change.writes.push(Write::RetryDelivery(id));
        self.asked(&format!("a retry of {id}"), change);
    }

    fn test(&self, webhook: &Webhook) {
        let mut change = Change::at(self.now());
        change.writes.push(Write::InsertDelivery(NewDelivery {
            id: self.entropy.uuid(self.now()).into(),
            tenant_id: TENANT,
            webhook_id: webhook.id,
            event: DeliveryEvent::Synthetic(Box::new(self.event("made up"))),
            purpose: DeliveryPurpose::Test,
        }));
        self.asked(&format!("a test of {}", webhook.id), change);
    }

    fn replay(&self, webhook: &Webhook) {
        if webhook.deleted_at.is_some() || webhook.status == WebhookStatus::Disabled {
            return;
        }
        let now = self.now();
        let payload = if self.dice.coin() { ReplayPayload::Frozen } else { ReplayPayload::Fresh };
        let replay = Replay {
            id: self.entropy.uuid(now).into(),
            tenant_id: TENANT,
            webhook_id: webhook.id,
            from: now - chrono::TimeDelta::days(1),
            before: plus_ms(now, 1_000),
            states: if self.dice.coin() { Vec::new() } else { vec![DeliveryState::Delivered] },
            rate_per_second: self.dice.between(1, 5) as u32,
            payload,
            state: ReplayState::Running,
            reason: None,
            position: None,
            made_count: 0,
            next_at: now,
            user_id: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let mut change = Change::at(now);
        change.writes.push(Write::PutReplay { replay, expected: Expected::Absent });
        self.asked(&format!("a replay of {}", webhook.id), change);
    }
}
