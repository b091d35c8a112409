//! Writes of the flow loop: held deliveries become due, replays move on.

use super::Work;
use crate::batch::{self, IDS, query};
use crate::deliveries;
use crate::entities::delivery::{DUE_COLUMNS, Model, PAYLOAD_RENDERED};
use crate::entities::{payload, replay};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::standing::Standing;
use crate::statements::{insert_new, whole};
use hookgraph_domain::change::{CommitError, Expected, replay_label};
use hookgraph_domain::delivery::{DeliveryPurpose, DeliveryState};
use hookgraph_domain::fan_out::held_reason;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::replay::Replay;
use hookgraph_domain::webhook::WebhookStatus;
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter};

#[derive(FromQueryResult)]
struct Label {
    record_label: String,
}

impl Work<'_> {
    /// Sets a new row's fields for its purpose, and freezes the payload that a replay takes over.
    pub(super) async fn purposed(
        &self,
        row: &mut Model,
        purpose: DeliveryPurpose,
        webhook: &Standing,
    ) -> Result<(), CommitError> {
        let DeliveryPurpose::Replay { replay_id, payload_of } = purpose else {
            row.is_test = true;
            return Ok(());
        };
        if webhook.status == WebhookStatus::Disabled {
            return Err(CommitError::Refused(format!("webhook {} is DISABLED", row.webhook_id)));
        }
        row.replay_id = Some(replay_id.0);
        if webhook.status.holds() {
            row.state = DeliveryState::Held.as_str().to_owned();
            row.state_reason = Some(held_reason(webhook.status));
            row.due_at_us = None;
        }
        if let Some(from) = payload_of {
            self.copy_payload(from, row).await?;
        }
        Ok(())
    }

    /// Copies the frozen payload of the delivery `from`, if it has one, to `row`.
    async fn copy_payload(&self, from: DeliveryId, row: &mut Model) -> Result<(), CommitError> {
        let Some(original) = deliveries::find(self.transaction, from.0).await? else { return Ok(()) };
        if original.payload_kind != PAYLOAD_RENDERED {
            row.payload_kind = original.payload_kind;
            row.default_frozen_at_us = original.default_frozen_at_us;
            return Ok(());
        }
        // A row marked as rendered without a payload could never be sent.
        let found = payload::Entity::find_by_id(from.0).one(self.transaction).await.map_err(store_error)?;
        if let Some(found) = found {
            row.payload_kind = original.payload_kind;
            let copy: payload::ActiveModel = whole(payload::Model { delivery_id: row.id, ..found });
            insert_new(self.transaction, copy).await?;
        }
        Ok(())
    }

    /// Makes those held deliveries of a webhook due.
    pub(super) async fn release_deliveries(
        &mut self,
        webhook_id: WebhookId,
        ids: &[DeliveryId],
    ) -> Result<(), CommitError> {
        self.lock_webhook(webhook_id).await?;
        let backend = self.store.backend();
        let source = IDS.source(backend, 3);
        let release = format!(
            "UPDATE due SET state = CASE WHEN attempts_spent = 0 THEN 'PENDING' ELSE 'RETRYING' END, \
             state_reason = NULL, due_at_us = $2, updated_at_us = $2 WHERE webhook_id = $1 AND state = 'HELD' \
             AND id IN (SELECT id FROM {source} AS given) RETURNING {DUE_COLUMNS}"
        );
        let mut values = vec![webhook_id.0.into(), from_time(self.at).into()];
        values.extend(batch::ids(backend, ids.iter().map(|id| id.0)));
        let released: Vec<Model> = query(self.transaction, &release, values).await?;
        Ok(released.iter().try_for_each(|row| self.feed.delivery(row))?)
    }

    /// The record of a delivery's event, which is locked until this change is committed; none if the event is gone.
    pub(super) async fn record_label(&self, row: &Model) -> Result<Option<String>, StoreError> {
        let lock = if self.store.backend() == DbBackend::Postgres { " FOR KEY SHARE" } else { "" };
        let sql = format!("SELECT record_label FROM event WHERE tenant_id = $1 AND id = $2{lock}");
        let found: Vec<Label> = query(self.transaction, &sql, vec![row.tenant_id.into(), row.event_id.into()]).await?;
        Ok(found.into_iter().next().map(|event| event.record_label))
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
