//! Loaders: every read of a record by key, name or link is gathered with its neighbours into one statement.
//!
//! They live as long as their [`crate::PimContext`] and remember what they read; a commit makes them forget.

use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
use async_graphql::futures_util::future::BoxFuture;
use async_graphql::runtime::{Timer, TokioSpawner};
use hookgraph_domain::event::Event;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::{Store, StoreError};
use hookgraph_domain::record::{Record, RecordKind, RecordRef};
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::tenant::Tenant;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::limits::LIST_MAX;
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

/// The tenant that all is read of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OwnTenant;

pub(crate) struct Loaders {
    inner: DataLoader<StoreLoader, HashMapCache>,
}

struct StoreLoader {
    tenant_id: TenantId,
    store: Arc<dyn Store>,
    tombstone_of: Option<Arc<Event>>,
}

/// Instead of waiting a while for more keys, lets the resolvers that are ready ask first.
struct Yield;

impl Timer for Yield {
    fn delay(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

impl Loaders {
    pub fn new(tenant_id: TenantId, store: Arc<dyn Store>, tombstone_of: Option<Arc<Event>>) -> Self {
        let loader = StoreLoader { tenant_id, store, tombstone_of };
        let inner = DataLoader::with_cache(loader, TokioSpawner::current(), Yield, HashMapCache::default());
        Self { inner }
    }

    /// The record of that key, with its body read.
    pub async fn one<B: RecordBody>(&self, key: &str) -> Result<Option<Stored<B>>, StoreError> {
        let record = self.inner.load_one(RecordRef::new(B::KIND, key)).await?;
        record.as_deref().map(Stored::read).transpose()
    }

    /// The record of that key, which must be there.
    pub async fn existing<B: RecordBody>(&self, key: &str) -> Result<Stored<B>, Refusal> {
        self.one::<B>(key).await?.ok_or_else(|| Refusal::not_found(B::KIND.as_str(), key))
    }

    /// The tenant that all is read of.
    pub async fn own_tenant(&self) -> Result<Option<Arc<Tenant>>, StoreError> {
        self.inner.load_one(OwnTenant).await
    }

    /// The records of those keys that exist, in the order of the keys.
    pub async fn many<B: RecordBody>(&self, keys: &[String]) -> Result<Vec<Stored<B>>, StoreError> {
        let references: Vec<_> = keys.iter().map(|key| RecordRef::new(B::KIND, key.as_str())).collect();
        let found = self.inner.load_many(references.clone()).await?;
        references.iter().filter_map(|reference| found.get(reference)).map(|record| Stored::read(record)).collect()
    }

    /// The record that bears that name.
    pub async fn named<B: RecordBody>(
        &self,
        scope: &'static str,
        value: &str,
    ) -> Result<Option<Stored<B>>, StoreError> {
        let record = self.inner.load_one(ByName { scope, value: value.to_owned() }).await?;
        record.as_deref().map(Stored::read).transpose()
    }

    /// The keys of the records of `B`'s kind that link to the target, by rank; at most [`LIST_MAX`].
    pub async fn linked_keys<B: RecordBody>(
        &self,
        relation: &'static str,
        target: &str,
    ) -> Result<Vec<String>, StoreError> {
        let by_link = ByLink { kind: B::KIND, relation, target: target.to_owned() };
        Ok(self.inner.load_one(by_link).await?.unwrap_or_default())
    }

    /// The records of `B`'s kind that link to the target, by rank; at most [`LIST_MAX`].
    pub async fn linked<B: RecordBody>(
        &self,
        relation: &'static str,
        target: &str,
    ) -> Result<Vec<Stored<B>>, StoreError> {
        let keys = self.linked_keys::<B>(relation, target).await?;
        self.many(&keys).await
    }

    /// Forgets all that was read: something was committed.
    pub fn forget(&self) {
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
