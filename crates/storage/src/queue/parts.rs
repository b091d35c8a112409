//! The parts of claimed deliveries: event, webhook, signer and payload, read in batches.

use super::aside::{Aside, Unread};
use crate::batch::{self, Cell, IDS, Kind, Table, query};
use crate::connections::DatabaseTransaction;
use crate::entities::delivery::{PAYLOAD_DEFAULT, PAYLOAD_NONE, PAYLOAD_RENDERED};
use crate::entities::{delivery, event, payload};
use crate::error::corrupt;
use crate::micros::{from_time, to_time};
use crate::rows;
use crate::standing::Standing;
use crate::store::SqlStore;
use hookgraph_domain::delivery::{ClaimedDelivery, Signer};
use hookgraph_domain::event::Event;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{ClaimRequest, RowKind, StoreError};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

const EVENT_KEYS: Table = Table { name: "event_keys", columns: &[("tenant_id", Kind::Uuid), ("id", Kind::Uuid)] };

#[derive(Default)]
pub(super) struct Parts {
    webhooks: HashMap<Uuid, Arc<Webhook>>,
    events: HashMap<Uuid, Arc<Event>>,
    signers: HashMap<Uuid, Arc<Signer>>,
    payloads: HashMap<Uuid, FrozenPayload>,
}

impl Parts {
    /// Reads the parts of `deliveries`.
    pub async fn load(
        store: &SqlStore,
        transaction: &DatabaseTransaction,
        deliveries: &[delivery::Model],
        standings: &HashMap<Uuid, Standing>,
        webhooks: HashMap<Uuid, Arc<Webhook>>,
    ) -> Result<Self, StoreError> {
        if deliveries.is_empty() {
            return Ok(Self::default());
        }
        let backend = store.backend();
        let keys: BTreeSet<(Uuid, Uuid)> = deliveries.iter().map(|row| (row.tenant_id, row.event_id)).collect();
        let sql = format!(
            "SELECT event.* FROM event JOIN {} AS given ON event.tenant_id = given.tenant_id AND event.id = given.id",
            EVENT_KEYS.source(backend, 1)
        );
        let keys = keys.into_iter().map(|(tenant_id, id)| vec![Cell::Uuid(tenant_id), Cell::Uuid(id)]).collect();
        let events: Vec<event::Model> = query(transaction, &sql, EVENT_KEYS.parameters(backend, keys)).await?;
        Self::of(store, transaction, deliveries, standings, webhooks, events).await
    }

    /// Reads the parts of `deliveries` beside their events. A part that cannot be read is left out and logged: its
    /// deliveries are set aside, the others are sent.
    pub async fn of(
        store: &SqlStore,
        transaction: &DatabaseTransaction,
        deliveries: &[delivery::Model],
        standings: &HashMap<Uuid, Standing>,
        webhooks: HashMap<Uuid, Arc<Webhook>>,
        events: impl IntoIterator<Item = event::Model>,
    ) -> Result<Self, StoreError> {
        let signers = store.opened.signers(transaction, standings, &*store.vault).await?;
        let mut parts = Self { webhooks, signers, ..Self::default() };
        for row in events {
            let id = row.id;
            if let Some(event) = store.unreadable.passed_over(RowKind::Event, id, rows::event::from_row(row)) {
                parts.events.insert(id, Arc::new(event));
            }
        }
        let rendered: Vec<Uuid> =
            deliveries.iter().filter(|row| row.payload_kind == PAYLOAD_RENDERED).map(|row| row.id).collect();
        if !rendered.is_empty() {
            let backend = store.backend();
            let source = IDS.source(backend, 1);
            let sql = format!("SELECT payload.* FROM payload JOIN {source} AS given ON payload.delivery_id = given.id");
            let found: Vec<payload::Model> = query(transaction, &sql, batch::ids(backend, rendered)).await?;
            for row in found {
                let (id, read) = (row.delivery_id, rows::attempt::payload_from_row(row));
                if let Some((_, payload)) = store.unreadable.passed_over(RowKind::Payload, id, read) {
                    parts.payloads.insert(id, payload);
                }
            }
        }
        Ok(parts)
    }

    /// The first part of the delivery that could not be read, if any.
    pub fn unread(&self, row: &delivery::Model) -> Option<Unread> {
        if !self.webhooks.contains_key(&row.webhook_id) {
            return Some(Unread::Webhook);
        }
        if !self.signers.contains_key(&row.tenant_id) {
            return Some(Unread::Tenant);
        }
        if !self.events.contains_key(&row.event_id) {
            return Some(Unread::Event);
        }
        let is_lost = row.payload_kind == PAYLOAD_RENDERED && !self.payloads.contains_key(&row.id);
        is_lost.then_some(Unread::Payload)
    }

    /// Freezes the default payload of every delivery whose webhook has no payload query and whose payload is not frozen
    /// yet.
    pub fn freeze_defaults(&self, rows: &mut [delivery::Model], now: Timestamp) {
        let has_no_query = |id: &Uuid| self.webhooks.get(id).is_some_and(|webhook| webhook.graphql_query.is_none());
        for row in rows.iter_mut().filter(|row| row.payload_kind == PAYLOAD_NONE && has_no_query(&row.webhook_id)) {
            row.payload_kind = PAYLOAD_DEFAULT.to_owned();
            row.default_frozen_at_us = Some(from_time(now));
        }
    }

    /// The claimed delivery of a row. A row that cannot be read is added to `asides`.
    pub fn claimed_or_aside(
        &self,
        store: &SqlStore,
        row: delivery::Model,
        request: &ClaimRequest,
        was_orphaned: bool,
        asides: &mut Vec<Aside>,
    ) -> Option<ClaimedDelivery> {
        let (id, aside) = (row.id, Aside::new(&row, Unread::Delivery));
        let claimed =
            store.unreadable.passed_over(RowKind::Delivery, id, self.claimed(row, request.leased_until, was_orphaned));
        if claimed.is_none() {
            asides.push(aside);
        }
        claimed
    }

    /// The claimed delivery of a row; `was_orphaned` says whether its lease before had ended by itself.
    fn claimed(
        &self,
        row: delivery::Model,
        leased_until: Timestamp,
        was_orphaned: bool,
    ) -> Result<ClaimedDelivery, StoreError> {
        let missing = |what: &str| corrupt("claimed delivery", format!("its {what} is missing"));
        let event = self.events.get(&row.event_id).cloned().ok_or_else(|| missing("event"))?;
        let payload = match row.default_frozen_at_us {
            Some(at_us) => Some(FrozenPayload::default_of(&event, WebhookId(row.webhook_id), to_time(at_us)?)),
            None => self.payloads.get(&row.id).cloned(),
        };
        Ok(ClaimedDelivery {
            event,
            webhook: self.webhooks.get(&row.webhook_id).cloned().ok_or_else(|| missing("webhook"))?,
            signer: self.signers.get(&row.tenant_id).cloned().ok_or_else(|| missing("tenant"))?,
            payload,
            delivery: rows::delivery::from_row(row)?,
            leased_until,
            was_orphaned,
        })
    }
}
