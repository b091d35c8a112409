//! Writes of the flow loop: some of what is held becomes due, replays move on.

use super::Work;
use crate::entities::{delivery, payload, replay};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::statements::{insert_new, whole};
use hookgraph_domain::change::{CommitError, Expected, replay_label};
use hookgraph_domain::delivery::{DeliveryPurpose, DeliveryState};
use hookgraph_domain::fan_out::held_reason;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::replay::Replay;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};

/// Makes a new row what it is made for, and answers whose payload it bears.
pub(super) fn purposed(
    row: &mut delivery::Model,
    purpose: DeliveryPurpose,
    webhook: &Webhook,
) -> Result<Option<DeliveryId>, CommitError> {
    let DeliveryPurpose::Replay { replay_id, payload_of } = purpose else {
        row.is_test = true;
        return Ok(None);
    };
    if webhook.status == WebhookStatus::Disabled {
        return Err(CommitError::Refused(format!("webhook {} is DISABLED", webhook.id)));
    }
    row.replay_id = Some(replay_id.0);
    if webhook.status.holds() {
        row.state = DeliveryState::Held.as_str().to_owned();
        row.state_reason = Some(held_reason(webhook.status));
        row.due_at_us = None;
    }
    Ok(payload_of)
}

impl Work<'_> {
    /// Freezes the same payload for another delivery, where there is one.
    pub(super) async fn copy_payload(&self, from: Option<DeliveryId>, to: DeliveryId) -> Result<(), CommitError> {
        let Some(from) = from else { return Ok(()) };
        let found = payload::Entity::find_by_id(from.0).one(self.transaction).await.map_err(store_error)?;
        if let Some(found) = found {
            let copy: payload::ActiveModel = whole(payload::Model { delivery_id: to.0, ..found });
            insert_new(self.transaction, copy).await?;
        }
        Ok(())
    }

    pub(super) async fn release_deliveries(
        &mut self,
        webhook_id: WebhookId,
        ids: &[DeliveryId],
    ) -> Result<(), CommitError> {
        self.lock_webhook(webhook_id).await?;
        let due_state = Expr::case(delivery::Column::AttemptsSpent.eq(0), DeliveryState::Pending.as_str())
            .finally(DeliveryState::Retrying.as_str());
        let mut update = Query::update();
        update
            .table(delivery::Entity)
            .value(delivery::Column::State, due_state)
            .value(delivery::Column::StateReason, Option::<String>::None)
            .value(delivery::Column::DueAtUs, from_time(self.at))
            .value(delivery::Column::UpdatedAtUs, from_time(self.at))
            .and_where(delivery::Column::WebhookId.eq(webhook_id.0))
            .and_where(delivery::Column::State.eq(DeliveryState::Held.as_str()))
            .and_where(delivery::Column::Id.is_in(ids.iter().map(|id| id.0)))
            .returning_all();
        for row in self.transaction.query_all(&update).await.map_err(store_error)? {
            self.feed.delivery(&delivery::Model::from_query_result(&row, "").map_err(store_error)?);
        }
        Ok(())
    }

    pub(super) async fn put_replay(&self, replay: &Replay, expected: Expected) -> Result<(), CommitError> {
        let row: replay::ActiveModel = whole(rows::replay::to_row(replay)?);
        match expected {
            Expected::Absent => {
                if !insert_new(self.transaction, row).await? {
                    return Err(CommitError::AlreadyExists(replay_label(replay.id)));
                }
            }
            Expected::Version(version) => {
                let updated = replay::Entity::update_many()
                    .set(row)
                    .filter(replay::Column::Id.eq(replay.id.0))
                    .filter(replay::Column::Version.eq(version))
                    .exec(self.transaction)
                    .await
                    .map_err(store_error)?;
                if updated.rows_affected == 0 {
                    return Err(CommitError::Conflict(replay_label(replay.id)));
                }
            }
        }
        Ok(())
    }
}
