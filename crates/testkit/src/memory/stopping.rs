//! Stopping: the deliveries of webhooks that stop are held or cancelled, up to a limit at once.

use super::state::State;
use hookgraph_domain::delivery::{Delivery, DeliveryState};
use hookgraph_domain::fan_out::{cancelled_reason, held_reason};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::limits::STOPPED_AT_ONCE_MAX;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;

impl State {
    pub(super) fn hold_due(&mut self, webhook_id: WebhookId, reason: &str, at: Timestamp) {
        if self.hold_some(webhook_id, reason, at) {
            self.stopping.entry(webhook_id).or_insert(at);
        }
    }

    pub(super) fn cancel_due(&mut self, webhook_id: WebhookId, reason: &str, at: Timestamp) {
        self.cancel_some(webhook_id, reason, at, true);
        self.stopping.entry(webhook_id).or_insert(at);
    }

    /// Cancels the last due deliveries of a webhook that is switched on, and tells whether those were all.
    pub(super) fn has_cancelled_all(&mut self, webhook_id: WebhookId, at: Timestamp) -> bool {
        if !self.stopping.contains_key(&webhook_id) {
            return true;
        }
        let is_all = !self.cancel_some(webhook_id, cancelled_reason(false), at, false);
        if is_all {
            self.stopping.remove(&webhook_id);
        }
        is_all
    }

    pub(super) fn stop_more(&mut self, webhook_id: WebhookId, at: Timestamp) {
        let Some(webhook) = self.webhooks.get(&webhook_id) else { return };
        let (status, is_deleted) = (webhook.status, webhook.deleted_at.is_some());
        let has_more = match status {
            _ if is_deleted => self.cancel_some(webhook_id, cancelled_reason(true), at, true),
            WebhookStatus::Disabled => self.cancel_some(webhook_id, cancelled_reason(false), at, false),
            status if status.holds() => self.hold_some(webhook_id, &held_reason(status), at),
            _ => false,
        };
        if has_more {
            self.stopping.insert(webhook_id, at);
        } else {
            self.stopping.remove(&webhook_id);
        }
    }

    /// Holds the deliveries that are due first, and tells whether there are more.
    fn hold_some(&mut self, webhook_id: WebhookId, reason: &str, at: Timestamp) -> bool {
        let probe_id = self.webhooks.get(&webhook_id).and_then(|webhook| webhook.breaker.probe_id);
        let mut due = self.of_webhook(webhook_id, |delivery| {
            let is_due = matches!(delivery.state, DeliveryState::Pending | DeliveryState::Retrying);
            is_due && !delivery.is_test && Some(delivery.id) != probe_id
        });
        due.sort_by_key(|delivery| (delivery.due_at, delivery.id));
        self.rest(due, DeliveryState::Held, reason, at)
    }

    /// Cancels the oldest deliveries, and tells whether there are more. A delivery in flight ends when it is settled.
    fn cancel_some(&mut self, webhook_id: WebhookId, reason: &str, at: Timestamp, with_tests: bool) -> bool {
        use DeliveryState::{Held, InFlight, Pending, Retrying};
        for Delivery { webhook_id: of, state, is_test, cancel_requested, .. } in
            self.deliveries.values_mut().map(|kept| &mut kept.delivery)
        {
            *cancel_requested |= *of == webhook_id && *state == InFlight && (with_tests || !*is_test);
        }
        let owed = self.of_webhook(webhook_id, |delivery| {
            matches!(delivery.state, Pending | Retrying | Held) && (with_tests || !delivery.is_test)
        });
        self.rest(owed, DeliveryState::Cancelled, reason, at)
    }

    fn of_webhook(&self, webhook_id: WebhookId, is_meant: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        let all = self.deliveries.values().map(|kept| &kept.delivery);
        all.filter(|delivery| delivery.webhook_id == webhook_id && is_meant(delivery)).cloned().collect()
    }

    fn rest(&mut self, mut owed: Vec<Delivery>, state: DeliveryState, reason: &str, at: Timestamp) -> bool {
        owed.truncate(STOPPED_AT_ONCE_MAX as usize);
        let is_full = owed.len() == STOPPED_AT_ONCE_MAX as usize;
        for delivery in owed {
            let reason = Some(reason.to_owned());
            let rested = Delivery { state, state_reason: reason, due_at: None, updated_at: at, ..delivery };
            self.put_delivery(rested, None, at);
        }
        is_full
    }
}
