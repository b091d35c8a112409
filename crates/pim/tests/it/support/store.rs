//! Records, tenants, copy tasks and webhooks in memory. Every read is counted, every event kept.

use async_trait::async_trait;
use hookgraph_domain::change::{Change, Claimed, CommitError, Committed, Expected, Write, copy_task_label};
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ids::{CopyTaskId, EventId, TenantId, WebhookId};
use hookgraph_domain::page::{Direction, RecordQuery, RecordSort, WebhookQuery};
use hookgraph_domain::ports::{RecordReader, StoreError, TenantReader, UnitOfWork, WebhookReader};
use hookgraph_domain::record::{Link, Name, Record, RecordKind, RecordRef};
use hookgraph_domain::tenant::{CopyState, CopyTask, Tenant};
use hookgraph_domain::webhook::Webhook;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// The store.
#[derive(Default)]
pub struct RecordStore {
    tables: Mutex<Tables>,
}

/// A record as the table keeps it.
#[derive(Clone)]
pub struct RecordRow {
    pub record: Record,
    pub links: Vec<Link>,
    pub names: Vec<Name>,
}

#[derive(Clone, Default)]
pub struct Tables {
    pub records: BTreeMap<(TenantId, RecordRef), RecordRow>,
    pub tenants: BTreeMap<TenantId, Tenant>,
    pub tasks: BTreeMap<CopyTaskId, CopyTask>,
    pub webhooks: BTreeMap<WebhookId, Webhook>,
    pub events: Vec<NewEvent>,
    pub read_count: usize,
}

impl RecordStore {
    /// The tables of the store.
    pub fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap()
    }

    fn counted(&self) -> MutexGuard<'_, Tables> {
        let mut tables = self.tables();
        tables.read_count += 1;
        tables
    }
}

impl Tables {
    fn apply(&mut self, write: Write) -> Result<(), CommitError> {
        match write {
            Write::PutRecord { record, expected, links, names } => {
                let place = (record.tenant_id, record.reference.clone());
                let version = self.records.get(&place).map(|kept| kept.record.version);
                expect(version, expected, &record.reference.key)?;
                for name in &names {
                    let is_taken = |(other, kept): (&(TenantId, RecordRef), &RecordRow)| {
                        other.0 == place.0 && *other != place && kept.names.contains(name)
                    };
                    if self.records.iter().any(is_taken) {
                        return Err(CommitError::NameTaken(name.clone()));
                    }
                }
                self.records.insert(place, RecordRow { record, links, names });
            }
            Write::DeleteRecord { tenant_id, reference, expected_version } => {
                let key = reference.key.clone();
                let removed = self.records.remove(&(tenant_id, reference));
                expect(removed.map(|kept| kept.record.version), Expected::Version(expected_version), &key)?;
            }
            Write::RequireRecord { tenant_id, reference } => {
                if !self.records.contains_key(&(tenant_id, reference.clone())) {
                    return Err(CommitError::Missing(reference));
                }
            }
            Write::InsertTenant(tenant) => {
                if self.tenants.values().any(|other| other.identifier == tenant.identifier) {
                    return Err(CommitError::AlreadyExists(format!("tenant {:?}", tenant.identifier)));
                }
                self.tenants.insert(tenant.id, tenant);
            }
            Write::UpdateTenant(tenant) => {
                let version = self.tenants.get(&tenant.id).map(|old| old.version);
                expect(version, Expected::Version(tenant.version - 1), &tenant.identifier)?;
                self.tenants.insert(tenant.id, tenant);
            }
            Write::DeleteTenant(id) => {
                self.tenants.remove(&id);
                self.records.retain(|(tenant_id, _), _| *tenant_id != id);
                self.webhooks.retain(|_, webhook| webhook.tenant_id != id);
            }
            Write::PutCopyTask { task, expected } => {
                expect(self.tasks.get(&task.id).map(|old| old.version), expected, &copy_task_label(task.id))?;
                self.tasks.insert(task.id, task);
            }
            Write::PutWebhook { webhook, expected } => {
                expect(self.webhooks.get(&webhook.id).map(|old| old.version), expected, &webhook.name)?;
                self.webhooks.insert(webhook.id, webhook);
            }
            Write::Audit(_) => {}
            other => panic!("no resolver of records writes {other:?}"),
        }
        Ok(())
    }

    fn matching(&self, query: &RecordQuery) -> Vec<Record> {
        let is_meant = |kept: &&RecordRow| {
            let has = |(relation, target): &(String, String)| {
                kept.links.iter().any(|link| link.relation == *relation && link.target == *target)
            };
            kept.record.tenant_id == query.tenant_id
                && kept.record.reference.kind == query.kind
                && query.linked.iter().all(has)
        };
        self.records.values().filter(is_meant).map(|kept| kept.record.clone()).collect()
    }
}

fn expect(found: Option<i64>, expected: Expected, what: &str) -> Result<(), CommitError> {
    match (found, expected) {
        (None, Expected::Absent) => Ok(()),
        (Some(found), Expected::Version(version)) if found == version => Ok(()),
        (Some(_), Expected::Absent) => Err(CommitError::AlreadyExists(what.to_owned())),
        _ => Err(CommitError::Conflict(what.to_owned())),
    }
}

#[async_trait]
impl UnitOfWork for RecordStore {
    async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        let mut tables = self.tables();
        let mut changed = tables.clone();
        change.writes.into_iter().try_for_each(|write| changed.apply(write))?;
        let event_ids = change.events.iter().map(|event| event.id).collect();
        changed.events.extend(change.events);
        *tables = changed;
        Ok(Committed { event_ids, delivery_count: 0, claimed: Claimed::NotAll })
    }
}

#[async_trait]
impl RecordReader for RecordStore {
    async fn records(&self, tenant_id: TenantId, kind: RecordKind, keys: &[String]) -> Result<Vec<Record>, StoreError> {
        let tables = self.counted();
        let found = keys.iter().filter_map(|key| tables.records.get(&(tenant_id, RecordRef::new(kind, key.as_str()))));
        Ok(found.map(|kept| kept.record.clone()).collect())
    }

    async fn records_by_name(
        &self,
        tenant_id: TenantId,
        scope: &str,
        values: &[String],
    ) -> Result<Vec<(String, Record)>, StoreError> {
        let tables = self.counted();
        let own = tables.records.values().filter(|kept| kept.record.tenant_id == tenant_id);
        let named = own.flat_map(|kept| kept.names.iter().map(move |name| (name, &kept.record)));
        let meant = named.filter(|(name, _)| name.scope == scope && values.contains(&name.value));
        Ok(meant.map(|(name, record)| (name.value.clone(), record.clone())).collect())
    }

    async fn linked_keys(
        &self,
        tenant_id: TenantId,
        kind: RecordKind,
        relation: &str,
        targets: &[String],
        limit_per_target: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let tables = self.counted();
        let own = tables.records.values();
        let own = own.filter(|kept| kept.record.tenant_id == tenant_id && kept.record.reference.kind == kind);
        let links = own.flat_map(|kept| kept.links.iter().map(move |link| (link, &kept.record.reference.key)));
        let mut meant: Vec<_> =
            links.filter(|(link, _)| link.relation == relation && targets.contains(&link.target)).collect();
        meant.sort_by_key(|(link, key)| (link.target.clone(), link.rank, (*key).clone()));
        let mut counts = BTreeMap::new();
        meant.retain(|(link, _)| {
            let count = counts.entry(link.target.as_str()).or_insert(0);
            *count += 1;
            *count <= limit_per_target
        });
        Ok(meant.into_iter().map(|(link, key)| (link.target.clone(), key.clone())).collect())
    }

    async fn record_page(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        let mut found = self.counted().matching(query);
        let place = |at, key: &str| match query.sort {
            RecordSort::Key => (None, key.to_owned()),
            RecordSort::CreatedAt | RecordSort::UpdatedAt => (Some(at), key.to_owned()),
        };
        let place_of = |record: &Record| {
            let at = if query.sort == RecordSort::UpdatedAt { record.updated_at } else { record.created_at };
            place(at, &record.reference.key)
        };
        found.sort_by_key(place_of);
        if query.direction == Direction::Descending {
            found.reverse();
        }
        if let Some(after) = &query.after {
            let after = place(after.at, &after.key);
            found.retain(|record| match query.direction {
                Direction::Ascending => place_of(record) > after,
                Direction::Descending => place_of(record) < after,
            });
        }
        found.truncate(query.limit as usize);
        Ok(found)
    }

    async fn record_count(&self, query: &RecordQuery) -> Result<u64, StoreError> {
        Ok(self.counted().matching(query).len() as u64)
    }

    async fn tombstone(&self, event_id: EventId) -> Result<Option<Record>, StoreError> {
        let tables = self.counted();
        Ok(tables.events.iter().find(|event| event.id == event_id).and_then(|event| event.tombstone.clone()))
    }
}

#[async_trait]
impl TenantReader for RecordStore {
    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        Ok(self.counted().tenants.get(&id).cloned())
    }

    async fn tenant_by_identifier(&self, identifier: &str) -> Result<Option<Tenant>, StoreError> {
        Ok(self.counted().tenants.values().find(|tenant| tenant.identifier == identifier).cloned())
    }

    async fn tenant_count(&self) -> Result<u64, StoreError> {
        Ok(self.counted().tenants.len() as u64)
    }

    async fn copy_task(&self, id: CopyTaskId) -> Result<Option<CopyTask>, StoreError> {
        Ok(self.counted().tasks.get(&id).cloned())
    }

    async fn running_copy_tasks(&self, limit: u32) -> Result<Vec<CopyTask>, StoreError> {
        let tables = self.counted();
        let mut running: Vec<_> =
            tables.tasks.values().filter(|task| task.state == CopyState::Running).cloned().collect();
        running.sort_by_key(|task| (task.created_at, task.id));
        running.truncate(limit as usize);
        Ok(running)
    }
}

#[async_trait]
impl WebhookReader for RecordStore {
    async fn webhooks(&self, _tenant_id: TenantId, ids: &[WebhookId]) -> Result<Vec<Webhook>, StoreError> {
        let tables = self.counted();
        Ok(ids.iter().filter_map(|id| tables.webhooks.get(id)).cloned().collect())
    }

    async fn webhook_page(&self, query: &WebhookQuery) -> Result<Vec<Webhook>, StoreError> {
        let tables = self.counted();
        let own = tables.webhooks.values().filter(|webhook| webhook.tenant_id == query.tenant_id);
        let later = own.filter(|webhook| query.after.is_none_or(|after| webhook.id.0 > after));
        Ok(later.take(query.limit as usize).cloned().collect())
    }

    async fn webhooks_checked_otherwise(
        &self,
        _schema_sha256: &str,
        _after: Option<WebhookId>,
        _limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        Ok(Vec::new())
    }
}
