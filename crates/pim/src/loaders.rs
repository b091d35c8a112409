//! Loaders gather reads of records by key, name or link: reads that are ready together become one statement.
//!
//! Loaders live as long as their [`crate::PimContext`] and remember what they read; a commit makes them forget.

use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
use async_graphql::futures_util::future::BoxFuture;
use async_graphql::runtime::{Timer, TokioSpawner};
use hookgraph_domain::event::Event;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::permission::Permission;
use hookgraph_domain::ports::{Store, StoreError};
use hookgraph_domain::record::{Record, RecordKind, RecordRef};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::tenant::Tenant;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::limits::{LIST_MAX, READ_BATCH_ROWS, RECORD_BYTES_READ_MAX, RECORDS_READ_MAX};
use crate::room::{Drawn, NoRoom, RoomShare};
use crate::stored::{RecordBody, Stored};

/// A record by a name that it bears, e.g. a variant's product by its SKU.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ByName {
    pub scope: &'static str,
    pub value: String,
}

/// The keys of the records of a kind that link to a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ByLink {
    pub kind: RecordKind,
    pub relation: &'static str,
    pub target: String,
}

/// The key of the loaders' own tenant: they read no other one's rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OwnTenant;

/// The loaders of one request or render. Many renders may share the rows that are remembered; each has its own budget
/// of rows and bytes.
pub(crate) struct Loaders {
    inner: Arc<DataLoader<StoreLoader, HashMapCache>>,
    /// Statements that the store has not answered yet, of all loaders that share `inner`.
    unanswered: Arc<AtomicUsize>,
    handed_out: HandedOut,
    /// The bytes that were handed out, taken of the room that all requests share.
    drawn: Drawn,
    /// How many mutations are deciding: their reads count no bytes.
    deciding: AtomicUsize,
}

/// The records that one request or render got from its loaders.
#[derive(Debug, Default)]
struct HandedOut {
    records: AtomicUsize,
    /// The bytes of the records' bodies.
    bytes: AtomicUsize,
}

/// Advice for a caller who asks for too much: the lists of items and grids have no pages, but items can be named.
const ASK_FOR_FEWER: &str = "ask for fewer at once, by their ids or externalReferences, or by a smaller page (first, \
    last) of a list that has pages";

/// Why nothing was read.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Lists within lists came to more records than one request or render may read.
    #[error("this reads more than {RECORDS_READ_MAX} records: {ASK_FOR_FEWER}")]
    TooMany,
    /// Records came to more bytes than one request or render may read.
    #[error("this reads more than {} MiB of records: {ASK_FOR_FEWER}", RECORD_BYTES_READ_MAX / (1024 * 1024))]
    TooLarge,
    /// The room that all requests share has no bytes left for this one.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The caller may not read such records.
    #[error("this needs the permission {0}")]
    Forbidden(Permission),
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => error.into(),
            ReadError::NoRoom(error) => error.into(),
            ReadError::Forbidden(permission) => Refusal::forbidden(permission),
            ReadError::TooMany | ReadError::TooLarge => Refusal::new(RefusalCode::LimitExceeded, error.to_string()),
        }
    }
}

struct StoreLoader {
    tenant_id: TenantId,
    store: Arc<dyn Store>,
    tombstone_of: Option<Arc<Event>>,
    unanswered: Arc<AtomicUsize>,
}

/// A guard that counts its holder while it lives: a statement as unanswered, a mutation as deciding.
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn count(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The delay of a data loader before it reads: one yield, in which every resolver that is ready adds its keys. A delay
/// in time would hold up each level of a document.
#[derive(Clone, Copy, Debug)]
pub struct Yield;

impl Timer for Yield {
    fn delay(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// Whether a text holds a NUL: no stored key, name or target does, and PostgreSQL fails on a query for one.
pub(crate) fn is_impossible(text: &str) -> bool {
    text.contains('\0')
}

impl Loaders {
    pub fn new(tenant_id: TenantId, store: Arc<dyn Store>, tombstone_of: Option<Arc<Event>>) -> Self {
        let unanswered = Arc::new(AtomicUsize::new(0));
        let loader = StoreLoader { tenant_id, store, tombstone_of, unanswered: unanswered.clone() };
        let inner = DataLoader::with_cache(loader, TokioSpawner::current(), Yield, HashMapCache::default());
        Self::over(Arc::new(inner), unanswered, None)
    }

    fn over(
        inner: Arc<DataLoader<StoreLoader, HashMapCache>>,
        unanswered: Arc<AtomicUsize>,
        room: Option<RoomShare>,
    ) -> Self {
        let (handed_out, drawn) = (HandedOut::default(), Drawn::of(room));
        Self { inner, unanswered, handed_out, drawn, deciding: AtomicUsize::new(0) }
    }

    /// The loaders, which take the bytes that they hand out of `room`.
    pub fn within(self, room: RoomShare) -> Self {
        Self { drawn: Drawn::of(Some(room)), ..self }
    }

    /// The record of that key, with its body read.
    pub async fn one<B: RecordBody>(&self, key: &str) -> Result<Option<Stored<B>>, ReadError> {
        if is_impossible(key) {
            return Ok(None);
        }
        self.hand_out(1)?;
        let record = self.inner.load_one(RecordRef::new(B::KIND, key)).await?;
        record.as_deref().map(|record| self.read(record)).transpose()
    }

    /// The loaders' own tenant.
    pub async fn own_tenant(&self) -> Result<Option<Arc<Tenant>>, ReadError> {
        Ok(self.inner.load_one(OwnTenant).await?)
    }

    /// The records that exist of those keys, in the order of the keys. They are read in pieces, so that too many bytes
    /// are refused before all of them are in memory.
    pub async fn many<B: RecordBody>(&self, keys: &[String]) -> Result<Vec<Stored<B>>, ReadError> {
        let possible = keys.iter().filter(|key| !is_impossible(key));
        let references: Vec<_> = possible.map(|key| RecordRef::new(B::KIND, key.as_str())).collect();
        self.hand_out(references.len())?;
        let mut records = Vec::with_capacity(references.len());
        for piece in references.chunks(READ_BATCH_ROWS as usize) {
            let found = self.inner.load_many(piece.to_vec()).await?;
            for record in piece.iter().filter_map(|reference| found.get(reference)) {
                records.push(self.read(record)?);
            }
        }
        Ok(records)
    }

    /// The record that bears that name.
    pub async fn named<B: RecordBody>(&self, scope: &'static str, value: &str) -> Result<Option<Stored<B>>, ReadError> {
        if is_impossible(value) {
            return Ok(None);
        }
        self.hand_out(1)?;
        let record = self.inner.load_one(ByName { scope, value: value.to_owned() }).await?;
        record.as_deref().map(|record| self.read(record)).transpose()
    }

    /// The keys of the records of `B`'s kind that link to the target, by rank; at most [`LIST_MAX`].
    pub async fn linked_keys<B: RecordBody>(
        &self,
        relation: &'static str,
        target: &str,
    ) -> Result<Vec<String>, ReadError> {
        if is_impossible(target) {
            return Ok(Vec::new());
        }
        let by_link = ByLink { kind: B::KIND, relation, target: target.to_owned() };
        let keys = self.inner.load_one(by_link).await?.unwrap_or_default();
        self.hand_out(keys.len())?;
        Ok(keys)
    }

    /// The records of `B`'s kind that link to the target, by rank; at most [`LIST_MAX`].
    pub async fn linked<B: RecordBody>(
        &self,
        relation: &'static str,
        target: &str,
    ) -> Result<Vec<Stored<B>>, ReadError> {
        let keys = self.linked_keys::<B>(relation, target).await?;
        self.many(&keys).await
    }

    /// Loaders that share the rows that these remember, with a budget of their own.
    pub fn sharing(&self) -> Self {
        Self::over(self.inner.clone(), self.unanswered.clone(), self.drawn.room())
    }

    /// Runs a statement that does not go through the loaders, counted among the unanswered ones meanwhile.
    pub async fn counted<T>(&self, statement: impl Future<Output = T>) -> T {
        let _unanswered = Counted::count(&self.unanswered);
        statement.await
    }

    /// Whether the store owes the answer to a statement.
    pub fn is_waiting(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) > 0
    }

    /// Counts records against [`RECORDS_READ_MAX`]. Remembered records cost no statement and count all the same: lists
    /// within lists within lists could fill the memory with copies of them.
    fn hand_out(&self, count: usize) -> Result<(), ReadError> {
        let before = self.handed_out.records.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) > RECORDS_READ_MAX { Err(ReadError::TooMany) } else { Ok(()) }
    }

    /// Counts the bytes of bodies against [`RECORD_BYTES_READ_MAX`]: a few large records may fill the memory too. The
    /// reads of a deciding mutation do not count: they are dropped with the decision, and the rows of a change bound
    /// them.
    fn hand_out_bytes(&self, bytes: usize) -> Result<(), ReadError> {
        if self.deciding.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let before = self.handed_out.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > RECORD_BYTES_READ_MAX {
            return Err(ReadError::TooLarge);
        }
        Ok(self.drawn.add(bytes)?)
    }

    /// Counts records that were read without the loaders.
    pub fn hand_out_page(&self, records: &[Record]) -> Result<(), ReadError> {
        self.hand_out(records.len())?;
        self.hand_out_bytes(records.iter().map(|record| record.body.len()).sum())
    }

    /// Parses a record's body for one caller, and counts its bytes: each caller gets a copy of its own.
    fn read<B: RecordBody>(&self, record: &Record) -> Result<Stored<B>, ReadError> {
        self.hand_out_bytes(record.body.len())?;
        Ok(Stored::read(record)?)
    }

    /// Suspends the count of bytes until the guard drops: the reads of a deciding mutation are bounded by the rows of a
    /// change.
    pub fn deciding(&self) -> Counted<'_> {
        Counted::count(&self.deciding)
    }

    /// Begins the count of bytes anew: nothing holds the bodies that were handed out before.
    pub fn count_bytes_anew(&self) {
        self.handed_out.bytes.store(0, Ordering::Relaxed);
        self.drawn.begin_anew();
    }

    /// Forgets every row that was read, because a change was committed or is decided anew. The bytes that were handed
    /// out stay counted: earlier answers of the request are still in memory.
    pub fn forget(&self) {
        self.handed_out.records.store(0, Ordering::Relaxed);
        self.inner.clear::<RecordRef>();
        self.inner.clear::<ByName>();
        self.inner.clear::<ByLink>();
        self.inner.clear::<OwnTenant>();
    }
}

impl Loader<RecordRef> for StoreLoader {
    type Value = Arc<Record>;
    type Error = StoreError;

    async fn load(&self, keys: &[RecordRef]) -> Result<HashMap<RecordRef, Arc<Record>>, StoreError> {
        let _unanswered = Counted::count(&self.unanswered);
        let mut by_kind: BTreeMap<RecordKind, Vec<String>> = BTreeMap::new();
        for reference in keys {
            by_kind.entry(reference.kind).or_default().push(reference.key.clone());
        }
        let mut found = HashMap::with_capacity(keys.len());
        for (kind, keys) in by_kind {
            for record in self.store.records(self.tenant_id, kind, &keys).await? {
                found.insert(record.reference.clone(), Arc::new(record));
            }
        }
        if let Some(event) = &self.tombstone_of
            && let Some(record) = self.store.tombstone(event.id).await?
            && keys.contains(&record.reference)
        {
            found.insert(record.reference.clone(), Arc::new(record));
        }
        Ok(found)
    }
}

impl Loader<ByName> for StoreLoader {
    type Value = Arc<Record>;
    type Error = StoreError;

    async fn load(&self, keys: &[ByName]) -> Result<HashMap<ByName, Arc<Record>>, StoreError> {
        let _unanswered = Counted::count(&self.unanswered);
        let mut by_scope: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for name in keys {
            by_scope.entry(name.scope).or_default().push(name.value.clone());
        }
        let mut found = HashMap::with_capacity(keys.len());
        for (scope, values) in by_scope {
            for (value, record) in self.store.records_by_name(self.tenant_id, scope, &values).await? {
                found.insert(ByName { scope, value }, Arc::new(record));
            }
        }
        Ok(found)
    }
}

impl Loader<ByLink> for StoreLoader {
    type Value = Vec<String>;
    type Error = StoreError;

    async fn load(&self, keys: &[ByLink]) -> Result<HashMap<ByLink, Vec<String>>, StoreError> {
        let _unanswered = Counted::count(&self.unanswered);
        let mut groups: BTreeMap<(RecordKind, &'static str), Vec<String>> = BTreeMap::new();
        for link in keys {
            groups.entry((link.kind, link.relation)).or_default().push(link.target.clone());
        }
        let mut found: HashMap<ByLink, Vec<String>> = HashMap::with_capacity(keys.len());
        for ((kind, relation), targets) in groups {
            let pairs = self.store.linked_keys(self.tenant_id, kind, relation, &targets, LIST_MAX).await?;
            for (target, key) in pairs {
                found.entry(ByLink { kind, relation, target }).or_default().push(key);
            }
        }
        Ok(found)
    }
}

impl Loader<OwnTenant> for StoreLoader {
    type Value = Arc<Tenant>;
    type Error = StoreError;

    async fn load(&self, _keys: &[OwnTenant]) -> Result<HashMap<OwnTenant, Arc<Tenant>>, StoreError> {
        let tenant = self.store.tenant(self.tenant_id).await?;
        Ok(tenant.map(|tenant| (OwnTenant, Arc::new(tenant))).into_iter().collect())
    }
}
