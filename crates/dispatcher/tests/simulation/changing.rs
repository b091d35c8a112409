//! People's changes, applied to the model: each write that commits, and the fan out of its events.

use super::model::{KnownWebhook, Model, News, Owed, Phase, Verdict, holds};
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryPurpose, DeliveryState};
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::feed::{FeedChange, FeedEntry};
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;
use std::collections::BTreeMap;

impl Model {
    /// Applies a change that was committed.
    pub fn committed(&mut self, change: &Change, news: &News) -> Verdict {
        for write in &change.writes {
            self.wrote(write, change.at)?;
        }
        for event in &change.events {
            self.recorded(event, change.at, news)?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "an arm for each write")]
    fn wrote(&mut self, write: &Write, at: Timestamp) -> Verdict {
        match write {
            Write::InsertTenant(_) => {}
            Write::PutWebhook { webhook, .. } => {
                let before = self.webhooks.get(&webhook.id);
                let known = KnownWebhook::of(webhook, before);
                let begins = known.probe.is_some() && before.is_none_or(|before| before.probe != known.probe);
                let may_begin = known.left_alone_until.is_none_or(|until| until <= at);
                let is_right = !begins || may_begin;
                holds!(is_right, "{} is probed, though its receiver asked to be left alone", webhook.id);
                self.webhooks.insert(webhook.id, known);
            }
            Write::CancelDue { webhook_id, .. } => {
                self.each(*webhook_id, &[Phase::Leased], |_, owed| {
                    owed.cancel = true;
                    false
                });
                self.each(*webhook_id, &[Phase::Due, Phase::Held], |_, owed| {
                    owed.end(DeliveryState::Cancelled);
                    true
                });
            }
            // So little is due here that nothing was left when it stopped.
            Write::StopMore { .. } => {}
            Write::HoldDue { webhook_id, .. } => self.hold_due(*webhook_id),
            Write::ReleaseDeliveries { webhook_id, delivery_ids } => {
                self.each(*webhook_id, &[Phase::Held], |id, owed| {
                    let is_named = delivery_ids.contains(&id);
                    if is_named {
                        owed.be_due_again(at);
                    }
                    is_named
                });
            }
            Write::PutReplay { replay, .. } => {
                self.replays.insert(replay.id, replay.clone());
            }
            Write::InsertDelivery(asked) => {
                let event = match &asked.event {
                    DeliveryEvent::Recorded(id) => *id,
                    DeliveryEvent::Synthetic(event) => {
                        self.events.insert(event.id, event.record_label.clone());
                        event.id
                    }
                };
                let mut owed = Owed::new(asked.webhook_id, event, at);
                match asked.purpose {
                    DeliveryPurpose::Test => owed.is_test = true,
                    DeliveryPurpose::Replay { replay_id, payload_of } => {
                        owed.replay = Some(replay_id);
                        owed.payload = payload_of.and_then(|original| self.owed.get(&original)?.payload.clone());
                        let twice = self.owed.values().any(|it| it.replay == Some(replay_id) && it.event == event);
                        holds!(!twice, "event {event} is replayed twice by {replay_id}");
                        self.counts.replayed += 1;
                        if self.webhook(asked.webhook_id)?.holds() {
                            owed.be_held();
                        }
                    }
                }
                self.owed.insert(asked.id, owed);
                self.changed.insert(asked.id);
            }
            Write::RetryDelivery(id) => {
                let owed = self.owed.get(id).ok_or("a retry of what is not owed")?;
                holds!(owed.phase == Phase::Ended, "{id} was retried before its end");
                let is_held = self.webhook(owed.webhook)?.holds() && !owed.is_test;
                let owed = self.change(*id)?;
                (owed.spent, owed.since, owed.cancel) = (0, at, false);
                if is_held { owed.be_held() } else { owed.be_due_again(at) }
            }
            Write::CancelDelivery { delivery_id, .. } => {
                let owed = self.owed.get_mut(delivery_id).ok_or("a cancel of what is not owed")?;
                if owed.phase == Phase::Leased {
                    owed.cancel = true;
                } else {
                    self.change(*delivery_id)?.end(DeliveryState::Cancelled);
                }
            }
            other => return Err(format!("the model knows no {other:?}")),
        }
        Ok(())
    }

    /// Each webhook that is neither deleted nor disabled gets one delivery of the event.
    fn recorded(&mut self, event: &NewEvent, at: Timestamp, news: &News) -> Verdict {
        self.events.insert(event.id, event.record_label.clone());
        let is_told = |entry: &FeedEntry| {
            let FeedChange::EventRecorded { event_id, .. } = &entry.what else { return false };
            *event_id == event.id
        };
        holds!(news.entries.iter().filter(|entry| is_told(entry)).count() == 1, "event {} is not told once", event.id);
        let mut made: BTreeMap<WebhookId, DeliveryId> = BTreeMap::new();
        for row in news.rows.iter().filter(|row| row.event_id == event.id) {
            let double = made.insert(row.webhook_id, row.id);
            holds!(double.is_none(), "event {} is owed twice to {}", event.id, row.webhook_id);
        }
        for (webhook_id, webhook) in &self.webhooks {
            let is_owed = !webhook.is_deleted && webhook.status != WebhookStatus::Disabled;
            match (is_owed, made.remove(webhook_id)) {
                (true, Some(id)) => {
                    let mut owed = Owed::new(*webhook_id, event.id, at);
                    if webhook.holds() {
                        owed.be_held();
                    }
                    self.owed.insert(id, owed);
                    self.changed.insert(id);
                }
                (false, None) => {}
                (is_owed, id) => return Err(format!("{webhook:?} is owed {id:?}, should be: {is_owed}")),
            }
        }
        Ok(())
    }
}
