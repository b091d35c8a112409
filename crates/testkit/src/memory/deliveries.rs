//! Writes of deliveries that a person asks for.

use super::commit::check;
use super::state::State;
use hookgraph_domain::change::{CommitError, Write, replay_label};
use hookgraph_domain::delivery::{Delivery, DeliveryEvent, DeliveryPurpose, DeliveryState, NewDelivery};
use hookgraph_domain::fan_out::held_reason;
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;

/// A delivery that is due at once.
pub(super) fn fresh(
    id: DeliveryId,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    event_id: EventId,
    at: Timestamp,
) -> Delivery {
    Delivery {
        id,
        tenant_id,
        webhook_id,
        event_id,
        is_test: false,
        replay_id: None,
        state: DeliveryState::Pending,
        state_reason: None,
        due_at: Some(at),
        due_since: at,
        attempts_spent: 0,
        attempt_count: 0,
        fencing_token: 0,
        cancel_requested: false,
        created_at: at,
        updated_at: at,
    }
}

/// Makes a held delivery due.
fn set_free(delivery: &mut Delivery, at: Timestamp) {
    delivery.state = if delivery.attempts_spent == 0 { DeliveryState::Pending } else { DeliveryState::Retrying };
    (delivery.state_reason, delivery.due_at) = (None, Some(at));
}

fn refused<T>(why: String) -> Result<T, CommitError> {
    Err(CommitError::Refused(why))
}

impl State {
    pub(super) fn apply_to_deliveries(&mut self, write: Write, at: Timestamp) -> Result<(), CommitError> {
        use DeliveryState::Held;
        match write {
            Write::CancelDue { webhook_id, reason } => self.cancel_due(webhook_id, &reason, at),
            Write::StopMore { webhook_id } => self.stop_more(webhook_id, at),
            Write::HoldDue { webhook_id, reason } => self.hold_due(webhook_id, &reason, at),
            Write::ReleaseDeliveries { webhook_id, delivery_ids } => self.move_all(webhook_id, &[Held], at, |it| {
                if delivery_ids.contains(&it.id) {
                    set_free(it, at);
                }
            }),
            Write::PutReplay { replay, expected } => {
                let current = self.replays.get(&replay.id).map(|replay| replay.version);
                check(current, expected, || replay_label(replay.id))?;
                self.replays.insert(replay.id, replay);
            }
            Write::InsertDelivery(asked) => self.insert_delivery(asked, at)?,
            Write::RetryDelivery(id) => self.retry(id, at)?,
            Write::CancelDelivery { delivery_id, reason } => self.cancel(delivery_id, reason, at)?,
            other => return refused(format!("{other:?} is no write of deliveries")),
        }
        Ok(())
    }

    fn move_all(
        &mut self,
        webhook_id: WebhookId,
        from: &[DeliveryState],
        at: Timestamp,
        change: impl Fn(&mut Delivery),
    ) {
        let matching = self.deliveries.values().map(|kept| &kept.delivery);
        let matching: Vec<Delivery> = matching
            .filter(|delivery| delivery.webhook_id == webhook_id && from.contains(&delivery.state))
            .cloned()
            .collect();
        for before in matching {
            let mut delivery = before.clone();
            change(&mut delivery);
            if delivery == before {
                continue;
            }
            delivery.updated_at = at;
            self.put_delivery(delivery, None, at);
        }
    }

    fn insert_delivery(&mut self, asked: NewDelivery, at: Timestamp) -> Result<(), CommitError> {
        let webhook = self.webhooks.get(&asked.webhook_id);
        let live = webhook.filter(|webhook| webhook.tenant_id == asked.tenant_id && webhook.deleted_at.is_none());
        let Some(status) = live.map(|webhook| webhook.status) else {
            return refused(format!("there is no webhook {}", asked.webhook_id));
        };
        let event_id = match asked.event {
            DeliveryEvent::Recorded(id) if self.events.get(&id).is_some_and(|it| it.tenant_id == asked.tenant_id) => id,
            DeliveryEvent::Recorded(id) => return refused(format!("there is no event {id}")),
            DeliveryEvent::Synthetic(event) => {
                let id = event.id;
                self.insert_event(*event, true, at);
                id
            }
        };
        let mut delivery = fresh(asked.id, asked.tenant_id, asked.webhook_id, event_id, at);
        match asked.purpose {
            DeliveryPurpose::Test => delivery.is_test = true,
            DeliveryPurpose::Replay { replay_id, payload_of } => {
                if status == WebhookStatus::Disabled {
                    return refused(format!("webhook {} is DISABLED", asked.webhook_id));
                }
                delivery.replay_id = Some(replay_id);
                if status.holds() {
                    (delivery.state, delivery.due_at) = (DeliveryState::Held, None);
                    delivery.state_reason = Some(held_reason(status));
                }
                let frozen = payload_of.and_then(|original| self.payloads.get(&original).cloned());
                self.payloads.extend(frozen.map(|payload| (asked.id, payload)));
            }
        }
        self.put_delivery(delivery, None, at);
        Ok(())
    }

    fn retry(&mut self, id: DeliveryId, at: Timestamp) -> Result<(), CommitError> {
        let Some(mut delivery) = self.deliveries.get(&id).map(|kept| kept.delivery.clone()) else {
            return refused(format!("there is no delivery {id}"));
        };
        if !delivery.state.is_final() {
            return refused(format!("delivery {id} has not ended"));
        }
        let webhook = self.webhooks.get(&delivery.webhook_id).filter(|webhook| webhook.deleted_at.is_none());
        let Some(status) = webhook.map(|webhook| webhook.status).filter(|status| *status != WebhookStatus::Disabled)
        else {
            return refused(format!("the webhook of delivery {id} is deleted or DISABLED"));
        };
        if !self.events.contains_key(&delivery.event_id) {
            return refused(format!("the event of delivery {id} is gone"));
        }
        let held = status.holds() && !delivery.is_test;
        delivery.state = if held { DeliveryState::Held } else { DeliveryState::Pending };
        delivery.state_reason = held.then(|| held_reason(status));
        delivery.due_at = (!held).then_some(at);
        (delivery.due_since, delivery.updated_at) = (at, at);
        (delivery.attempts_spent, delivery.cancel_requested) = (0, false);
        self.put_delivery(delivery, None, at);
        Ok(())
    }

    fn cancel(&mut self, id: DeliveryId, reason: String, at: Timestamp) -> Result<(), CommitError> {
        let Some(kept) = self.deliveries.get_mut(&id) else { return refused(format!("there is no delivery {id}")) };
        if kept.delivery.state.is_final() {
            return refused(format!("delivery {id} has ended"));
        }
        kept.delivery.updated_at = at;
        if kept.delivery.state == DeliveryState::InFlight {
            kept.delivery.cancel_requested = true;
            return Ok(());
        }
        let mut delivery = kept.delivery.clone();
        (delivery.state, delivery.state_reason, delivery.due_at) = (DeliveryState::Cancelled, Some(reason), None);
        self.put_delivery(delivery, None, at);
        Ok(())
    }
}
