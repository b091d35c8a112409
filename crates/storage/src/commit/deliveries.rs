//! Writes of single deliveries that a person asks for.

use super::Work;
use super::events::{EventRows, IsTest};
use crate::batch::{Collision, query};
use crate::deliveries::{self, new_row};
use crate::entities::delivery::{ENDED_COLUMNS, Model};
use crate::entities::event;
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::standing::{Opened, Standing, WebhookLock};
use hookgraph_domain::change::CommitError;
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryState, NewDelivery};
use hookgraph_domain::fan_out::held_reason;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::webhook::WebhookStatus;
use sea_orm::sea_query::LockType;
use sea_orm::{EntityTrait, QuerySelect};
use uuid::Uuid;

/// Ends a delivery as cancelled before it was sent.
pub fn cancel(row: &mut Model, reason: &str, at_us: i64) {
    row.state = DeliveryState::Cancelled.as_str().to_owned();
    row.state_reason = Some(reason.to_owned());
    row.due_at_us = None;
    row.updated_at_us = at_us;
}

impl Work<'_> {
    pub(super) async fn insert_delivery(&mut self, asked: NewDelivery) -> Result<(), CommitError> {
        let webhook = self.shared_webhook(asked.webhook_id).await?;
        let webhook = webhook.filter(|webhook| webhook.tenant_id == asked.tenant_id.0 && !webhook.is_deleted);
        let Some(webhook) = webhook else {
            return Err(CommitError::Refused(format!("there is no webhook {}", asked.webhook_id)));
        };
        let event_id = match asked.event {
            DeliveryEvent::Recorded(event_id) => {
                let key = (asked.tenant_id.0, event_id.0);
                // The lock keeps retention from removing the event until this change is committed.
                let found = event::Entity::find_by_id(key).lock(LockType::KeyShare).one(self.transaction).await;
                let found = found.map_err(store_error)?;
                if found.is_none() {
                    return Err(CommitError::Refused(format!("there is no event {event_id}")));
                }
                event_id
            }
            DeliveryEvent::Synthetic(event) => {
                let mut rows = EventRows::default();
                rows.add(self.at, &event, IsTest::Yes)?;
                rows.insert(self.transaction).await?;
                event.id
            }
        };
        let exists = || CommitError::AlreadyExists(format!("delivery {}", asked.id));
        if deliveries::find(self.transaction, asked.id.0).await?.is_some() {
            return Err(exists());
        }
        let mut row = new_row(asked.id, asked.tenant_id, asked.webhook_id, event_id, self.at);
        self.purposed(&mut row, asked.purpose, &webhook).await?;
        self.feed.delivery(&row)?;
        let inserted = deliveries::insert_due(self.transaction, &[row], Collision::IsPassedOver).await?;
        if inserted == 1 { Ok(()) } else { Err(exists()) }
    }

    /// Takes the delivery out of the history, so that of two retries at once only one finds it there.
    pub(super) async fn retry_delivery(&mut self, id: DeliveryId) -> Result<(), CommitError> {
        let webhook = self.webhook_of(id).await?;
        let take = format!("DELETE FROM delivery WHERE id = $1 RETURNING {ENDED_COLUMNS}");
        let taken: Vec<Model> = query(self.transaction, &take, vec![id.0.into()]).await?;
        let Some(mut row) = taken.into_iter().next() else {
            let state = deliveries::find(self.transaction, id.0).await?.ok_or_else(|| gone(id))?.state;
            let refusal = format!("delivery {id} is {state}: only one that has ended can be retried");
            return Err(CommitError::Refused(refusal));
        };
        if webhook.is_deleted {
            return Err(CommitError::Refused(format!("the webhook of delivery {id} is deleted")));
        }
        if webhook.status == WebhookStatus::Disabled {
            let refusal = format!("the webhook of delivery {id} is DISABLED: switch it on first");
            return Err(CommitError::Refused(refusal));
        }
        let held = webhook.status.holds() && !row.is_test;
        let next = if held { DeliveryState::Held } else { DeliveryState::Pending };
        row.state = next.as_str().to_owned();
        row.state_reason = held.then(|| held_reason(webhook.status));
        row.due_at_us = (!held).then(|| from_time(self.at));
        row.due_since_us = from_time(self.at);
        row.attempts_spent = 0;
        row.cancel_requested = false;
        let label = self.record_label(&row).await?.ok_or_else(|| {
            CommitError::Refused(format!("the event of delivery {id} is gone: it was kept as long as history is"))
        })?;
        let keeps_order = webhook.ordering == Ordering::ByRecord && !row.is_test && row.replay_id.is_none();
        row.order_key = keeps_order.then_some(label);
        row.updated_at_us = from_time(self.at);
        self.feed.delivery(&row)?;
        deliveries::insert_due(self.transaction, &[row], Collision::Fails).await?;
        Ok(())
    }

    pub(super) async fn cancel_delivery(&mut self, id: DeliveryId, reason: &str) -> Result<(), CommitError> {
        self.webhook_of(id).await?;
        let Some(mut row) = deliveries::locked_due(self.transaction, [id.0]).await?.pop() else {
            let state = deliveries::find(self.transaction, id.0).await?.ok_or_else(|| gone(id))?.state;
            return Err(CommitError::Refused(format!("delivery {id} is {state}: it has ended already")));
        };
        if rows::delivery::state(&row.state)? == DeliveryState::InFlight {
            row.cancel_requested = true;
            row.updated_at_us = from_time(self.at);
            return Ok(deliveries::update_due(self.transaction, &[row]).await?);
        }
        cancel(&mut row, reason, from_time(self.at));
        self.feed.delivery(&row)?;
        Ok(deliveries::end(self.transaction, &[row]).await?)
    }

    /// Locks the webhook of a delivery before the delivery itself, which is the order that every writer keeps.
    async fn webhook_of(&self, id: DeliveryId) -> Result<Standing, CommitError> {
        let row = deliveries::find(self.transaction, id.0).await?.ok_or_else(|| gone(id))?;
        self.shared_webhook(WebhookId(row.webhook_id)).await?.ok_or_else(|| gone(id))
    }

    async fn shared_webhook(&self, id: WebhookId) -> Result<Option<Standing>, StoreError> {
        let ids: [Uuid; 1] = [id.0];
        Ok(Opened::standings(self.transaction, ids, WebhookLock::Share).await?.remove(&id.0))
    }
}

fn gone(id: DeliveryId) -> CommitError {
    CommitError::Refused(format!("there is no delivery {id}"))
}
