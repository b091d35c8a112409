//! Writes of webhooks, and of their due deliveries.

use super::Work;
use super::stopping::Stop;
use crate::entities::{replay, webhook};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::statements::{insert_new, whole};
use hookgraph_domain::change::{CommitError, Expected};
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::limits::WEBHOOKS_PER_EVENT_TYPE_MAX;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::replay::{ReplayState, WAITS_FOR_WEBHOOK};
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use sea_orm::sea_query::{Expr, ExprTrait, LockType};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};

fn label(id: WebhookId) -> String {
    format!("webhook {id}")
}

/// A webhook before its change, as far as the change depends on it.
struct Before {
    keeps_order: bool,
    is_disabled: bool,
}

impl Work<'_> {
    pub(super) async fn put_webhook(&mut self, webhook: &Webhook, expected: Expected) -> Result<(), CommitError> {
        if webhook.deleted_at.is_none() {
            self.check_room(webhook).await?;
        }
        let row: webhook::ActiveModel = whole(rows::webhook::to_row(webhook, &*self.store.vault)?);
        match expected {
            Expected::Absent => {
                if !insert_new(self.transaction, row).await? {
                    return Err(CommitError::AlreadyExists(label(webhook.id)));
                }
            }
            Expected::Version(version) => {
                let before = self.as_it_stands(webhook.id).await?;
                // Replays are locked before their webhook, as in a replay's batch.
                self.wake_replays(webhook).await?;
                if before.is_disabled && webhook.status != WebhookStatus::Disabled && webhook.deleted_at.is_none() {
                    self.require_cancelled(webhook.id).await?;
                }
                let updated = webhook::Entity::update_many()
                    .set(row)
                    .filter(webhook::Column::Id.eq(webhook.id.0))
                    .filter(webhook::Column::Version.eq(version))
                    .exec(self.transaction)
                    .await
                    .map_err(store_error)?;
                if updated.rows_affected == 0 {
                    return Err(CommitError::Conflict(label(webhook.id)));
                }
                let ordering = webhook.flow.ordering;
                // The deliveries of a deleted webhook are cancelled anyway.
                if before.keeps_order != (ordering == Ordering::ByRecord) && webhook.deleted_at.is_none() {
                    self.begin_lines(webhook.id, ordering).await?;
                }
            }
        }
        Ok(())
    }

    async fn as_it_stands(&self, id: WebhookId) -> Result<Before, StoreError> {
        let found: Option<(String, String)> = webhook::Entity::find_by_id(id.0)
            .select_only()
            .column(webhook::Column::Ordering)
            .column(webhook::Column::Status)
            .into_tuple()
            .one(self.transaction)
            .await
            .map_err(store_error)?;
        let (ordering, status) = found.unwrap_or_default();
        Ok(Before {
            keeps_order: ordering == Ordering::ByRecord.as_str(),
            is_disabled: status == WebhookStatus::Disabled.as_str(),
        })
    }

    /// Lets replays that wait for a webhook go on at once when it sends again.
    async fn wake_replays(&self, webhook: &Webhook) -> Result<(), StoreError> {
        if webhook.status != WebhookStatus::Active {
            return Ok(());
        }
        let now_us = from_time(self.at);
        replay::Entity::update_many()
            .col_expr(replay::Column::NextAtUs, Expr::value(now_us))
            .col_expr(replay::Column::Version, Expr::col(replay::Column::Version).add(1))
            .filter(replay::Column::WebhookId.eq(webhook.id.0))
            .filter(replay::Column::State.eq(ReplayState::Running.as_str()))
            .filter(replay::Column::Reason.starts_with(WAITS_FOR_WEBHOOK))
            .filter(replay::Column::NextAtUs.gt(now_us))
            .exec(self.transaction)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// Refuses one webhook too many on an event type. They are counted under a lock on the tenant, so that two inserts
    /// at once cannot both take the last place.
    async fn check_room(&self, webhook: &Webhook) -> Result<(), CommitError> {
        self.require_tenant(webhook.tenant_id, LockType::NoKeyUpdate).await?;
        let others = webhook::Entity::find()
            .filter(webhook::Column::TenantId.eq(webhook.tenant_id.0))
            .filter(webhook::Column::Concern.eq(webhook.event_type.concern.as_str()))
            .filter(webhook::Column::Event.eq(webhook.event_type.event.as_str()))
            .filter(webhook::Column::DeletedAtUs.is_null())
            .filter(webhook::Column::Id.ne(webhook.id.0))
            .count(self.transaction)
            .await
            .map_err(store_error)?;
        if others >= u64::from(WEBHOOKS_PER_EVENT_TYPE_MAX) {
            return Err(CommitError::Refused(format!(
                "{} has {others} webhooks, {WEBHOOKS_PER_EVENT_TYPE_MAX} are allowed per event type",
                webhook.event_type
            )));
        }
        Ok(())
    }

    /// Locks a webhook against settles and fan outs until this change is committed, so that its deliveries stay the
    /// same between the statements of a change to all of them.
    pub(super) async fn lock_webhook(&self, webhook_id: WebhookId) -> Result<(), StoreError> {
        let _: Option<i64> = webhook::Entity::find_by_id(webhook_id.0)
            .select_only()
            .column(webhook::Column::Version)
            .lock(LockType::NoKeyUpdate)
            .into_tuple()
            .one(self.transaction)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// Begins to hold or cancel the due deliveries of a webhook.
    pub(super) async fn stop_due(&mut self, webhook_id: WebhookId, stop: Stop<'_>) -> Result<(), CommitError> {
        self.lock_webhook(webhook_id).await?;
        Ok(stop.begin(self.transaction, webhook_id, self.at, &mut self.feed, &mut self.stopped).await?)
    }
}
