//! A store of records and events alone, that counts its reads. It knows no deliveries: nothing here makes any.

use async_trait::async_trait;
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::audit::{AuditEntry, AuditQuery};
use hookgraph_domain::change::{Change, CommitError, Committed, Expected, Write};
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, EventSkip, NewEvent};
use hookgraph_domain::feed::{FeedFilter, FeedPage};
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ids::{AttemptId, CopyTaskId, DeliveryId, EventId, TenantId, TokenId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, Direction, EventQuery, RecordQuery, RecordSort, WebhookQuery};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{
    AnswerReader, AuditReader, ClaimRequest, DeliveryQueue, Feed, Fenced, Freeze, History, HistoryKept, PrunePosition,
    PruneStep, RecordReader, Retention, StoreError, TenantReader, TokenReader, UnitOfWork, WebhookReader,
};
use hookgraph_domain::record::{Link, Name, Record, RecordKind, RecordRef};
use hookgraph_domain::retention::{HistoryCut, WorkCut};
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::tenant::{CopyTask, Tenant};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;
use hookgraph_domain::webhook::Webhook;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

type Kept = (Record, Vec<Link>, Vec<Name>);

/// Records of one tenant, and the events that were raised.
pub struct RecordStore {
    tenant: Tenant,
    records: Mutex<BTreeMap<RecordRef, Kept>>,
    pub events: Mutex<Vec<NewEvent>>,
    pub reads: AtomicUsize,
}

impl RecordStore {
    pub fn of(tenant: Tenant) -> Self {
        Self { tenant, records: Mutex::default(), events: Mutex::default(), reads: AtomicUsize::new(0) }
    }

    fn read(&self) -> std::sync::MutexGuard<'_, BTreeMap<RecordRef, Kept>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.records.lock().unwrap()
    }

    fn matching(&self, query: &RecordQuery) -> Vec<Record> {
        let records = self.read();
        let matches = |(record, links, _): &&Kept| {
            let has = |(relation, target): &(String, String)| {
                links.iter().any(|link| link.relation == *relation && link.target == *target)
            };
            record.reference.kind == query.kind && query.linked.iter().all(has)
        };
        let mut found: Vec<Record> = records.values().filter(matches).map(|(record, ..)| record.clone()).collect();
        found.sort_by_key(|record| match query.sort {
            RecordSort::CreatedAt => (record.created_at, record.reference.key.clone()),
            RecordSort::UpdatedAt => (record.updated_at, record.reference.key.clone()),
            RecordSort::Key => (Timestamp::UNIX_EPOCH, record.reference.key.clone()),
        });
        if query.direction == Direction::Descending {
            found.reverse();
        }
        found
    }
}

fn apply(records: &mut BTreeMap<RecordRef, Kept>, write: Write) -> Result<(), CommitError> {
    let version = |records: &BTreeMap<RecordRef, Kept>, reference| {
        records.get(reference).map(|(record, ..): &Kept| record.version)
    };
    match write {
        Write::PutRecord { record, expected, links, names } => {
            let found = version(records, &record.reference);
            match expected {
                Expected::Absent if found.is_some() => {
                    return Err(CommitError::AlreadyExists(record.reference.key));
                }
                Expected::Version(expected) if found != Some(expected) => {
                    return Err(CommitError::Conflict(record.reference.key));
                }
                _ => {}
            }
            let others = records.values().filter(|(other, ..)| other.reference != record.reference);
            if let Some(taken) = others.flat_map(|(.., names)| names).find(|taken| names.contains(taken)) {
                return Err(CommitError::NameTaken(taken.clone()));
            }
            records.insert(record.reference.clone(), (record, links, names));
        }
        Write::DeleteRecord { reference, expected_version, .. } => {
            if version(records, &reference) != Some(expected_version) {
                return Err(CommitError::Conflict(reference.key));
            }
            records.remove(&reference);
        }
        Write::RequireRecord { reference, .. } if !records.contains_key(&reference) => {
            return Err(CommitError::Missing(reference));
        }
        _ => {}
    }
    Ok(())
}

#[async_trait]
impl UnitOfWork for RecordStore {
    async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        let mut records = self.records.lock().unwrap();
        let mut next = records.clone();
        change.writes.into_iter().try_for_each(|write| apply(&mut next, write))?;
        *records = next;
        self.events.lock().unwrap().extend(change.events);
        Ok(Committed::default())
    }
}

#[async_trait]
impl RecordReader for RecordStore {
    async fn records(&self, _: TenantId, kind: RecordKind, keys: &[String]) -> Result<Vec<Record>, StoreError> {
        let records = self.read();
        let found = keys.iter().filter_map(|key| records.get(&RecordRef::new(kind, key.as_str())));
        Ok(found.map(|(record, ..)| record.clone()).collect())
    }

    async fn records_by_name(
        &self,
        _: TenantId,
        scope: &str,
        values: &[String],
    ) -> Result<Vec<(String, Record)>, StoreError> {
        let records = self.read();
        let borne = records.values().flat_map(|(record, _, names)| names.iter().map(move |name| (name, record)));
        let found = borne.filter(|(name, _)| name.scope == scope && values.contains(&name.value));
        Ok(found.map(|(name, record)| (name.value.clone(), record.clone())).collect())
    }

    async fn linked_keys(
        &self,
        _: TenantId,
        kind: RecordKind,
        relation: &str,
        targets: &[String],
        limit_per_target: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let records = self.read();
        let mut found = Vec::new();
        for target in targets {
            let of_kind = records.values().filter(|(record, ..)| record.reference.kind == kind);
            let links = of_kind.flat_map(|(record, links, _)| links.iter().map(move |link| (link, record)));
            let links = links.filter(|(link, _)| link.relation == relation && link.target == *target);
            let mut ranked: Vec<_> = links.map(|(link, record)| (link.rank, record.reference.key.clone())).collect();
            ranked.sort();
            let keys = ranked.into_iter().take(limit_per_target as usize).map(|(_, key)| (target.clone(), key));
            found.extend(keys);
        }
        Ok(found)
    }

    async fn record_page(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        let mut found = self.matching(query);
        found.truncate(query.limit as usize);
        Ok(found)
    }

    async fn record_count(&self, query: &RecordQuery) -> Result<u64, StoreError> {
        Ok(self.matching(query).len() as u64)
    }

    async fn tombstone(&self, event_id: EventId) -> Result<Option<Record>, StoreError> {
        let events = self.events.lock().unwrap();
        Ok(events.iter().find(|event| event.id == event_id).and_then(|event| event.tombstone.clone()))
    }
}

#[async_trait]
impl TenantReader for RecordStore {
    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        Ok((id == self.tenant.id).then(|| self.tenant.clone()))
    }

    async fn tenant_by_identifier(&self, _: &str) -> Result<Option<Tenant>, StoreError> {
        Ok(None)
    }

    async fn tenant_count(&self) -> Result<u64, StoreError> {
        Ok(1)
    }

    async fn copy_task(&self, _: CopyTaskId) -> Result<Option<CopyTask>, StoreError> {
        Ok(None)
    }

    async fn running_copy_tasks(&self, _: u32) -> Result<Vec<CopyTask>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl AuditReader for RecordStore {
    async fn audit_page(&self, _: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl TokenReader for RecordStore {
    async fn token_by_sha256(&self, _: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
        Ok(Default::default())
    }

    async fn tokens(&self, _: Option<TenantId>) -> Result<Vec<AccessToken>, StoreError> {
        Ok(Default::default())
    }

    async fn token(&self, _: TokenId) -> Result<Option<AccessToken>, StoreError> {
        Ok(Default::default())
    }
}

#[async_trait]
impl AnswerReader for RecordStore {
    async fn kept_answers(&self, _: &AnswerKey, _: [u8; 32], _: Timestamp) -> Result<Vec<KeptAnswer>, StoreError> {
        Ok(Default::default())
    }
}

#[async_trait]
impl WebhookReader for RecordStore {
    async fn webhooks(&self, _: TenantId, _: &[WebhookId]) -> Result<Vec<Webhook>, StoreError> {
        Ok(Default::default())
    }

    async fn webhook_page(&self, _: &WebhookQuery) -> Result<Vec<Webhook>, StoreError> {
        Ok(Default::default())
    }

    async fn webhooks_checked_otherwise(
        &self,
        _: &str,
        _: Option<WebhookId>,
        _: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        Ok(Default::default())
    }
}

#[async_trait]
impl DeliveryQueue for RecordStore {
    async fn claim(&self, _: &ClaimRequest) -> Result<hookgraph_domain::ports::Claims, StoreError> {
        Ok(Default::default())
    }

    fn claim_with_recordings(&self, _: std::sync::Weak<dyn hookgraph_domain::ports::Claimer>) {}

    async fn freeze(&self, _: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
        Ok(Default::default())
    }

    async fn settle(&self, _: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
        Ok(Default::default())
    }

    async fn extend(&self, _: &[(DeliveryId, i64)], _: Timestamp) -> Result<Vec<Fenced>, StoreError> {
        Ok(Default::default())
    }

    async fn release(&self, _: &[(DeliveryId, i64)], _: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn next_due_at(&self, _after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(Default::default())
    }
}

#[async_trait]
impl History for RecordStore {
    async fn events(&self, _: TenantId, _: &[EventId]) -> Result<Vec<Event>, StoreError> {
        Ok(Default::default())
    }

    async fn event_page(&self, _: &EventQuery) -> Result<Vec<Event>, StoreError> {
        Ok(Default::default())
    }

    async fn event_skips(&self, _: &[EventId]) -> Result<Vec<EventSkip>, StoreError> {
        Ok(Default::default())
    }

    async fn deliveries(&self, _: TenantId, _: &[DeliveryId]) -> Result<Vec<Delivery>, StoreError> {
        Ok(Default::default())
    }

    async fn delivery_page(&self, _: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        Ok(Default::default())
    }

    async fn attempts(&self, _: &[DeliveryId]) -> Result<Vec<Attempt>, StoreError> {
        Ok(Default::default())
    }

    async fn webhook_attempts(&self, _: WebhookId, _: Option<AttemptId>, _: u32) -> Result<Vec<Attempt>, StoreError> {
        Ok(Default::default())
    }

    async fn payloads(&self, _: &[DeliveryId]) -> Result<Vec<(DeliveryId, FrozenPayload)>, StoreError> {
        Ok(Default::default())
    }
}

#[async_trait]
impl Feed for RecordStore {
    async fn feed_page(&self, _: TenantId, _: i64, _: &FeedFilter, _: u32) -> Result<FeedPage, StoreError> {
        Err(StoreError::Failed("this store has no feed".to_owned()))
    }

    async fn latest_seq(&self) -> Result<i64, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl Retention for RecordStore {
    async fn expire_due(
        &self,
        _: Timestamp,
        _: &str,
        _: Timestamp,
        _: PrunePosition,
        _: u32,
    ) -> Result<PruneStep, StoreError> {
        Ok(Default::default())
    }

    async fn prune_history(&self, _: &HistoryCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        Ok(Default::default())
    }

    async fn prune_feed(&self, _: Timestamp, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        Ok(Default::default())
    }

    async fn prune_work(&self, _: &WorkCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        Ok(Default::default())
    }

    async fn history_kept(&self) -> Result<HistoryKept, StoreError> {
        Ok(Default::default())
    }
}
