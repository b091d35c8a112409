//! Recording: events, their tombstones, and their fan out.

use super::Work;
use super::deliveries::new_row;
use crate::entities::{delivery, event, event_skip, tombstone, webhook};
use crate::error::store_error;
use crate::rows;
use crate::statements::{insert_all, whole};
use hookgraph_domain::change::{CommitError, Committed};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::event::{EventTypeKey, NewEvent};
use hookgraph_domain::fan_out::{self, Match};
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::webhook::Webhook;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashMap;

impl Work<'_> {
    pub(super) async fn record(&mut self, events: Vec<NewEvent>) -> Result<Committed, CommitError> {
        self.insert_events(&events, IsTest::No).await?;
        let mut subscribers: HashMap<(TenantId, EventTypeKey), Vec<Webhook>> = HashMap::new();
        let mut deliveries: Vec<delivery::Model> = Vec::new();
        let mut skips: Vec<event_skip::ActiveModel> = Vec::new();
        for event in &events {
            self.feed.event(event);
            let key = (event.tenant_id, event.event_type.clone());
            if !subscribers.contains_key(&key) {
                let found = self.subscribers(&key).await?;
                subscribers.insert(key.clone(), found);
            }
            for webhook in &subscribers[&key] {
                match fan_out::decide(webhook) {
                    Match::Delivery { state, reason } => {
                        deliveries.push(self.fanned_out(event, webhook.id, state, reason));
                    }
                    Match::Skip(reason) => skips.push(event_skip::ActiveModel {
                        event_id: Set(event.id.0),
                        webhook_id: Set(webhook.id.0),
                        reason: Set(reason.as_str().to_owned()),
                    }),
                }
            }
        }
        for row in &deliveries {
            self.feed.delivery(row);
        }
        let committed =
            Committed { event_ids: events.iter().map(|event| event.id).collect(), delivery_count: deliveries.len() };
        let deliveries: Vec<delivery::ActiveModel> = deliveries.into_iter().map(whole).collect();
        insert_all(self.transaction, deliveries).await?;
        insert_all(self.transaction, skips).await?;
        Ok(committed)
    }

    pub(super) async fn insert_events(&self, events: &[NewEvent], is_test: IsTest) -> Result<(), StoreError> {
        let mut event_rows: Vec<event::ActiveModel> = Vec::with_capacity(events.len());
        let mut tombstones: Vec<tombstone::ActiveModel> = Vec::new();
        for event in events {
            event_rows.push(whole(rows::event::to_row(event, is_test == IsTest::Yes, self.at)?));
            if let Some(record) = &event.tombstone {
                tombstones.push(whole(rows::event::tombstone_to_row(event.id, record)));
            }
        }
        insert_all(self.transaction, event_rows).await?;
        insert_all(self.transaction, tombstones).await
    }

    fn fanned_out(
        &self,
        event: &NewEvent,
        webhook_id: WebhookId,
        state: DeliveryState,
        reason: Option<String>,
    ) -> delivery::Model {
        let id = DeliveryId(self.store.entropy.uuid(self.at));
        let mut row = new_row(id, event.tenant_id, webhook_id, EventId(event.id.0), self.at);
        row.is_fan_out = true;
        row.state = state.as_str().to_owned();
        row.state_reason = reason;
        if state == DeliveryState::Held {
            row.due_at_us = None;
        }
        row
    }

    /// The webhooks of that type, locked against a change of their status until this change is committed: else what a
    /// concurrent change cancels or holds could miss a delivery made here.
    async fn subscribers(&self, key: &(TenantId, EventTypeKey)) -> Result<Vec<Webhook>, StoreError> {
        let (tenant_id, event_type) = key;
        let found = webhook::Entity::find()
            .filter(webhook::Column::TenantId.eq(tenant_id.0))
            .filter(webhook::Column::Concern.eq(event_type.concern.as_str()))
            .filter(webhook::Column::Event.eq(event_type.event.as_str()))
            .filter(webhook::Column::DeletedAtUs.is_null())
            .order_by_asc(webhook::Column::Id)
            .lock(LockType::Share)
            .all(self.transaction)
            .await
            .map_err(store_error)?;
        found.into_iter().map(|row| rows::webhook::from_row(row, &*self.store.vault)).collect()
    }
}

/// Whether an event was made up for a test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IsTest {
    Yes,
    No,
}
