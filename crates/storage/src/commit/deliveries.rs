//! Writes of deliveries that a person asks for, one by one or all that is due for a webhook.

use super::Work;
use super::events::IsTest;
use super::feed::FeedLog;
use crate::entities::{delivery, event, webhook};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::statements::{insert_new, whole};
use hookgraph_domain::change::CommitError;
use hookgraph_domain::delivery::{DeliveryEvent, DeliveryState, NewDelivery};
use hookgraph_domain::fan_out::held_reason;
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use sea_orm::sea_query::{Expr, LockType, Query, SimpleExpr, UpdateStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
};

/// A delivery that is due at once, as a row.
pub fn new_row(
    id: DeliveryId,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    event_id: EventId,
    at: Timestamp,
) -> delivery::Model {
    delivery::Model {
        id: id.0,
        tenant_id: tenant_id.0,
        webhook_id: webhook_id.0,
        event_id: event_id.0,
        is_test: false,
        is_fan_out: false,
        replay_id: None,
        state: DeliveryState::Pending.as_str().to_owned(),
        state_reason: None,
        due_at_us: Some(from_time(at)),
        due_since_us: from_time(at),
        leased_until_us: None,
        attempts_spent: 0,
        attempt_count: 0,
        fencing_token: 0,
        cancel_requested: false,
        created_at_us: from_time(at),
        updated_at_us: from_time(at),
    }
}

/// What becomes of all that is due for a webhook.
pub enum DueChange<'a> {
    /// It ends; what is in flight ends as it settles.
    Cancel { reason: &'a str },
    /// It is kept; what is in flight is kept as it settles.
    Hold { reason: &'a str },
    /// What was kept is due.
    Release,
}

impl DueChange<'_> {
    /// The webhook's row is locked by the caller.
    pub async fn apply(
        self,
        transaction: &DatabaseTransaction,
        webhook_id: WebhookId,
        at: Timestamp,
        feed: &mut FeedLog,
    ) -> Result<(), StoreError> {
        const DUE: [DeliveryState; 2] = [DeliveryState::Pending, DeliveryState::Retrying];
        let mut update = to_webhook(webhook_id, at);
        match self {
            DueChange::Cancel { reason } => {
                update.and_where(in_states(&[DUE[0], DUE[1], DeliveryState::Held]));
                update.value(delivery::Column::State, DeliveryState::Cancelled.as_str());
                update.value(delivery::Column::StateReason, reason);
                update.value(delivery::Column::DueAtUs, Option::<i64>::None);
                let mut flag = to_webhook(webhook_id, at);
                flag.and_where(in_states(&[DeliveryState::InFlight]));
                flag.value(delivery::Column::CancelRequested, true);
                transaction.execute(&flag).await.map_err(store_error)?;
            }
            DueChange::Hold { reason } => {
                // A test goes out whatever its webhook's status.
                update.and_where(delivery::Column::IsTest.eq(false));
                update.and_where(in_states(&DUE));
                update.value(delivery::Column::State, DeliveryState::Held.as_str());
                update.value(delivery::Column::StateReason, reason);
                update.value(delivery::Column::DueAtUs, Option::<i64>::None);
            }
            DueChange::Release => {
                update.and_where(in_states(&[DeliveryState::Held]));
                update.value(delivery::Column::State, due_state());
                update.value(delivery::Column::StateReason, Option::<String>::None);
                update.value(delivery::Column::DueAtUs, from_time(at));
            }
        }
        update.returning_all();
        for row in transaction.query_all(&update).await.map_err(store_error)? {
            feed.delivery(&delivery::Model::from_query_result(&row, "").map_err(store_error)?);
        }
        Ok(())
    }
}

fn to_webhook(webhook_id: WebhookId, at: Timestamp) -> UpdateStatement {
    let mut update = Query::update();
    update.table(delivery::Entity);
    update.value(delivery::Column::UpdatedAtUs, from_time(at));
    update.and_where(delivery::Column::WebhookId.eq(webhook_id.0));
    update
}

fn in_states(states: &[DeliveryState]) -> SimpleExpr {
    delivery::Column::State.is_in(states.iter().map(|state| state.as_str()))
}

/// `PENDING` where no attempt is spent, `RETRYING` else.
fn due_state() -> SimpleExpr {
    Expr::case(delivery::Column::AttemptsSpent.eq(0), DeliveryState::Pending.as_str())
        .finally(DeliveryState::Retrying.as_str())
        .into()
}

impl Work<'_> {
    pub(super) async fn insert_delivery(&mut self, asked: NewDelivery) -> Result<(), CommitError> {
        let webhook = self.shared_webhook(asked.webhook_id).await?;
        let webhook = webhook.filter(|webhook| webhook.tenant_id == asked.tenant_id && webhook.deleted_at.is_none());
        let Some(webhook) = webhook else {
            return Err(CommitError::Refused(format!("there is no webhook {}", asked.webhook_id)));
        };
        let event_id = match asked.event {
            DeliveryEvent::Recorded(event_id) => {
                let found = event::Entity::find_by_id(event_id.0)
                    .filter(event::Column::TenantId.eq(asked.tenant_id.0))
                    .one(self.transaction)
                    .await
                    .map_err(store_error)?;
                if found.is_none() {
                    return Err(CommitError::Refused(format!("there is no event {event_id}")));
                }
                event_id
            }
            DeliveryEvent::Synthetic(event) => {
                self.insert_events(std::slice::from_ref(&*event), IsTest::Yes).await?;
                event.id
            }
        };
        let mut row = new_row(asked.id, asked.tenant_id, asked.webhook_id, event_id, self.at);
        let payload_of = super::flow::purposed(&mut row, asked.purpose, &webhook)?;
        self.feed.delivery(&row);
        let row: delivery::ActiveModel = whole(row);
        if insert_new(self.transaction, row).await? {
            self.copy_payload(payload_of, asked.id).await
        } else {
            Err(CommitError::AlreadyExists(format!("delivery {}", asked.id)))
        }
    }

    pub(super) async fn retry_delivery(&mut self, id: DeliveryId) -> Result<(), CommitError> {
        let (mut row, webhook) = self.locked_delivery(id).await?;
        let state = rows::delivery::state(&row.state)?;
        if !state.is_final() {
            let refusal = format!("delivery {id} is {}: only one that has ended can be retried", state.as_str());
            return Err(CommitError::Refused(refusal));
        }
        if webhook.deleted_at.is_some() {
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
        Ok(self.write_delivery(row).await?)
    }

    pub(super) async fn cancel_delivery(&mut self, id: DeliveryId, reason: &str) -> Result<(), CommitError> {
        let (mut row, _) = self.locked_delivery(id).await?;
        let state = rows::delivery::state(&row.state)?;
        if state.is_final() {
            let refusal = format!("delivery {id} is {}: it has ended already", state.as_str());
            return Err(CommitError::Refused(refusal));
        }
        if state == DeliveryState::InFlight {
            delivery::Entity::update_many()
                .col_expr(delivery::Column::CancelRequested, Expr::value(true))
                .col_expr(delivery::Column::UpdatedAtUs, Expr::value(from_time(self.at)))
                .filter(delivery::Column::Id.eq(id.0))
                .exec(self.transaction)
                .await
                .map_err(store_error)?;
            return Ok(());
        }
        row.state = DeliveryState::Cancelled.as_str().to_owned();
        row.state_reason = Some(reason.to_owned());
        row.due_at_us = None;
        Ok(self.write_delivery(row).await?)
    }

    async fn write_delivery(&mut self, mut row: delivery::Model) -> Result<(), StoreError> {
        row.updated_at_us = from_time(self.at);
        self.feed.delivery(&row);
        let id = row.id;
        let row: delivery::ActiveModel = whole(row);
        delivery::Entity::update_many()
            .set(row)
            .filter(delivery::Column::Id.eq(id))
            .exec(self.transaction)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// The delivery and its webhook, both locked, in the order that every writer keeps.
    async fn locked_delivery(&self, id: DeliveryId) -> Result<(delivery::Model, Webhook), CommitError> {
        let gone = || CommitError::Refused(format!("there is no delivery {id}"));
        let webhook_id: Option<uuid::Uuid> = delivery::Entity::find_by_id(id.0)
            .select_only()
            .column(delivery::Column::WebhookId)
            .into_tuple()
            .one(self.transaction)
            .await
            .map_err(store_error)?;
        let webhook = self.shared_webhook(WebhookId(webhook_id.ok_or_else(gone)?)).await?.ok_or_else(gone)?;
        let row = delivery::Entity::find_by_id(id.0)
            .lock(LockType::NoKeyUpdate)
            .one(self.transaction)
            .await
            .map_err(store_error)?;
        Ok((row.ok_or_else(gone)?, webhook))
    }

    async fn shared_webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let row =
            webhook::Entity::find_by_id(id.0).lock(LockType::Share).one(self.transaction).await.map_err(store_error)?;
        row.map(|row| rows::webhook::from_row(row, &*self.store.vault)).transpose()
    }
}
