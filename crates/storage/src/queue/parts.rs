//! What a claimed delivery comes with: its event, webhook, signer and payload, read in batches.

use crate::entities::{delivery, event, payload, tenant};
use crate::error::{corrupt, store_error};
use crate::rows;
use crate::store::SqlStore;
use hookgraph_domain::delivery::{ClaimedDelivery, Signer};
use hookgraph_domain::event::Event;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

pub(super) struct Parts {
    webhooks: HashMap<Uuid, Arc<Webhook>>,
    events: HashMap<Uuid, Arc<Event>>,
    signers: HashMap<Uuid, Arc<Signer>>,
    payloads: HashMap<Uuid, FrozenPayload>,
}

impl Parts {
    /// Reads what those deliveries need. What cannot be read is left out and logged: its deliveries wait, the others go.
    pub async fn load(
        store: &SqlStore,
        transaction: &DatabaseTransaction,
        deliveries: &[delivery::Model],
        webhooks: HashMap<Uuid, Webhook>,
    ) -> Result<Self, StoreError> {
        let mut parts = Self {
            webhooks: webhooks.into_iter().map(|(id, webhook)| (id, Arc::new(webhook))).collect(),
            events: HashMap::new(),
            signers: HashMap::new(),
            payloads: HashMap::new(),
        };
        if deliveries.is_empty() {
            return Ok(parts);
        }
        let event_ids: BTreeSet<Uuid> = deliveries.iter().map(|row| row.event_id).collect();
        let found = event::Entity::find().filter(event::Column::Id.is_in(event_ids)).all(transaction).await;
        for row in found.map_err(store_error)? {
            let id = row.id;
            keep(&mut parts.events, id, "event", rows::event::from_row(row).map(Arc::new));
        }
        let tenant_ids: BTreeSet<Uuid> = deliveries.iter().map(|row| row.tenant_id).collect();
        let found = tenant::Entity::find().filter(tenant::Column::Id.is_in(tenant_ids)).all(transaction).await;
        for row in found.map_err(store_error)? {
            let id = row.id;
            let signer = rows::tenant::from_row(row, &*store.vault).map(|tenant| Arc::new(tenant.signer()));
            keep(&mut parts.signers, id, "tenant", signer);
        }
        let ids = deliveries.iter().map(|row| row.id);
        let found = payload::Entity::find().filter(payload::Column::DeliveryId.is_in(ids)).all(transaction).await;
        for row in found.map_err(store_error)? {
            let (id, payload) = rows::attempt::payload_from_row(row)?;
            parts.payloads.insert(id.0, payload);
        }
        Ok(parts)
    }

    /// Whether all that the delivery needs could be read.
    pub fn are_whole(&self, row: &delivery::Model) -> bool {
        self.webhooks.contains_key(&row.webhook_id)
            && self.events.contains_key(&row.event_id)
            && self.signers.contains_key(&row.tenant_id)
    }

    pub fn claimed(&self, row: delivery::Model, leased_until: Timestamp) -> Result<ClaimedDelivery, StoreError> {
        let missing = |what: &str| corrupt("claimed delivery", format!("its {what} is missing"));
        Ok(ClaimedDelivery {
            event: self.events.get(&row.event_id).cloned().ok_or_else(|| missing("event"))?,
            webhook: self.webhooks.get(&row.webhook_id).cloned().ok_or_else(|| missing("webhook"))?,
            signer: self.signers.get(&row.tenant_id).cloned().ok_or_else(|| missing("tenant"))?,
            payload: self.payloads.get(&row.id).cloned(),
            delivery: rows::delivery::from_row(row)?,
            leased_until,
        })
    }
}

fn keep<T>(map: &mut HashMap<Uuid, T>, id: Uuid, what: &str, read: Result<T, StoreError>) {
    match read {
        Ok(value) => {
            map.insert(id, value);
        }
        Err(error) => tracing::error!(what, %id, %error, "a row cannot be read, its deliveries wait"),
    }
}
