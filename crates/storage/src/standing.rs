//! How webhooks stand: the columns that a transaction reads of every webhook that it touches. The rest of a webhook,
//! and its tenant's signing keys, are read and decrypted once per version and cached in this process.

use crate::batch::{self, IDS, query};
use crate::entities::{tenant, webhook};
use crate::error::store_error;
use crate::limits::OPENED_ENTRIES_MAX;
use crate::rows;
use crate::unreadable::Unreadable;
use hookgraph_domain::delivery::Signer;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ports::{RowKind, SecretVault, StoreError};
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use moka::sync::Cache;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct StandingRow {
    id: Uuid,
    tenant_id: Uuid,
    version: i64,
    tenant_version: i64,
    status: String,
    ordering: String,
    deleted_at_us: Option<i64>,
    tenant_deleted_at_us: Option<i64>,
}

/// How a webhook stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub tenant_id: Uuid,
    pub version: i64,
    pub tenant_version: i64,
    pub status: WebhookStatus,
    pub ordering: Ordering,
    pub is_deleted: bool,
    /// Whether the webhook's tenant is deleted. The statement may have waited for the webhook's lock after it read the
    /// tenant.
    pub is_of_deleted_tenant: bool,
}

impl Standing {
    /// Whether the webhook's due deliveries are sent.
    pub fn sends(&self) -> bool {
        self.status == WebhookStatus::Active && !self.is_deleted
    }
}

/// The lock that a reader of webhooks takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WebhookLock {
    None,
    Share,
    Update,
    /// A share lock; webhooks that another transaction has locked are left out.
    ShareIfFree,
}

/// Caches of decrypted webhooks and signers, by id and version. A version never changes once it is committed.
#[derive(Clone)]
pub struct Opened {
    webhooks: Cache<(Uuid, i64), Arc<Webhook>>,
    signers: Cache<(Uuid, i64), Arc<Signer>>,
    unreadable: Unreadable,
}

impl Opened {
    pub fn new(unreadable: Unreadable) -> Self {
        Self { webhooks: Cache::new(OPENED_ENTRIES_MAX), signers: Cache::new(OPENED_ENTRIES_MAX), unreadable }
    }

    /// Reads how the webhooks with those ids stand, and locks them in the order of their ids, which every writer keeps.
    /// A webhook that is missing was removed with its tenant.
    pub async fn standings<C: ConnectionTrait>(
        connection: &C,
        ids: impl IntoIterator<Item = Uuid>,
        lock: WebhookLock,
    ) -> Result<HashMap<Uuid, Standing>, StoreError> {
        let ids: BTreeSet<Uuid> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let backend = connection.get_database_backend();
        let lock = match (backend, lock) {
            (DbBackend::Postgres, WebhookLock::Share) => " FOR SHARE OF webhook",
            (DbBackend::Postgres, WebhookLock::Update) => " FOR NO KEY UPDATE OF webhook",
            (DbBackend::Postgres, WebhookLock::ShareIfFree) => " FOR SHARE OF webhook SKIP LOCKED",
            _ => "",
        };
        let sql = format!(
            "SELECT webhook.id, webhook.tenant_id, webhook.version, webhook.status, webhook.ordering, \
             webhook.deleted_at_us, tenant.version AS tenant_version, tenant.deleted_at_us AS tenant_deleted_at_us \
             FROM webhook JOIN tenant ON tenant.id = webhook.tenant_id \
             WHERE webhook.id IN (SELECT id FROM {} AS given) ORDER BY webhook.id{lock}",
            IDS.source(backend, 1)
        );
        let rows: Vec<StandingRow> = query(connection, &sql, batch::ids(backend, ids)).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.standing())).collect())
    }

    /// The webhooks, decrypted. A webhook that cannot be read is left out and logged, and does not stop the others.
    /// This must be called before the transaction writes a webhook, so that only committed versions are cached.
    pub async fn webhooks<C: ConnectionTrait>(
        &self,
        connection: &C,
        standings: &HashMap<Uuid, Standing>,
        vault: &dyn SecretVault,
    ) -> Result<HashMap<Uuid, Arc<Webhook>>, StoreError> {
        let mut found = HashMap::with_capacity(standings.len());
        let mut missing = Vec::new();
        for (id, standing) in standings {
            match self.webhooks.get(&(*id, standing.version)) {
                Some(webhook) => {
                    found.insert(*id, webhook);
                }
                None => missing.push(*id),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let rows = webhook::Entity::find().filter(webhook::Column::Id.is_in(missing)).all(connection).await;
        for row in rows.map_err(store_error)? {
            let (id, version) = (row.id, row.version);
            let read = rows::webhook::from_row(row, vault);
            if let Some(webhook) = self.unreadable.passed_over(RowKind::Webhook, id, read) {
                let webhook = Arc::new(webhook);
                self.webhooks.insert((id, version), webhook.clone());
                found.insert(id, webhook);
            }
        }
        Ok(found)
    }

    /// The signers of the webhooks' tenants.
    pub async fn signers<C: ConnectionTrait>(
        &self,
        connection: &C,
        standings: &HashMap<Uuid, Standing>,
        vault: &dyn SecretVault,
    ) -> Result<HashMap<Uuid, Arc<Signer>>, StoreError> {
        let mut found = HashMap::new();
        let mut missing = BTreeSet::new();
        for standing in standings.values() {
            match self.signers.get(&(standing.tenant_id, standing.tenant_version)) {
                Some(signer) => {
                    found.insert(standing.tenant_id, signer);
                }
                None => {
                    missing.insert(standing.tenant_id);
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let rows = tenant::Entity::find().filter(tenant::Column::Id.is_in(missing)).all(connection).await;
        for row in rows.map_err(store_error)? {
            let (id, version) = (row.id, row.version);
            let read = rows::tenant::from_row(row, vault);
            if let Some(tenant) = self.unreadable.passed_over(RowKind::Tenant, id, read) {
                let signer = Arc::new(tenant.signer());
                self.signers.insert((id, version), signer.clone());
                found.insert(id, signer);
            }
        }
        Ok(found)
    }
}

impl StandingRow {
    /// How the row's webhook stands. A status that this version of the program does not know counts as one that holds.
    fn standing(&self) -> Standing {
        Standing {
            tenant_id: self.tenant_id,
            version: self.version,
            tenant_version: self.tenant_version,
            status: WebhookStatus::from_name(&self.status).unwrap_or(WebhookStatus::Invalid),
            ordering: Ordering::from_name(&self.ordering).unwrap_or_default(),
            is_deleted: self.deleted_at_us.is_some(),
            is_of_deleted_tenant: self.tenant_deleted_at_us.is_some(),
        }
    }
}
