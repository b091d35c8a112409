//! The context that resolvers find in a request: the caller, the ports, and the loaders.

use crate::access::{self, NotPermitted, Permitted, Readable};
use crate::draft::Draft;
use crate::idempotency::Idempotency;
use crate::loaders::{self, Counted, Loaders, ReadError};
use crate::paging::UnreadableRecord;
use crate::room::RoomShare;
use crate::stored::{RecordBody, Stored};
use crate::tenant::StoredTenant;
use async_graphql::Context;
use hookgraph_domain::change::{Change, CommitError};
use hookgraph_domain::event::Event;
use hookgraph_domain::idempotency::{AnswerKey, KeptAnswer};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::page::RecordQuery;
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::ports::{Clock, Entropy, Observer, RowKind, Store, StoreError, WakeUps};
use hookgraph_domain::record::Record;
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::time::Timestamp;
use std::sync::Arc;
use uuid::Uuid;

/// The caller of a request. Every read and write is of the caller's tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that the token opens.
    pub tenant_id: TenantId,
    /// The value of `userId`: the id of the token, or the subject that an issuer vouches for.
    pub user_id: Option<String>,
    /// The permissions to read and to change.
    pub permissions: PermissionSet,
}

impl Caller {
    /// The proof of a permission.
    ///
    /// # Errors
    /// [`NotPermitted`], which names the permission.
    pub fn permit(&self, permission: Permission) -> Result<Permitted, NotPermitted> {
        Permitted::by(self.permissions, permission)
    }
}

/// The ports that resolvers use: the same for every request.
#[derive(Clone)]
pub struct PimServices {
    /// The store of records.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Notified after each commit.
    pub wake_ups: Arc<dyn WakeUps>,
    /// Notified of records that cannot be read.
    pub observer: Arc<dyn Observer>,
}

/// The context of resolvers: one per request, or for payloads one per claimed batch, tenant and set of permissions, so
/// that loaders never mix tenants and never outlive their request or batch.
pub struct PimContext {
    pub(crate) caller: Caller,
    services: PimServices,
    loaders: Loaders,
    pub(crate) idempotency: Option<Idempotency>,
}

impl PimContext {
    /// The context of one request or batch. With `tombstone_of`, the record that this `delete` event is about reads as
    /// it was before.
    pub fn new(caller: Caller, services: PimServices, tombstone_of: Option<Arc<Event>>) -> Self {
        let loaders = Loaders::new(caller.tenant_id, services.store.clone(), tombstone_of);
        Self { caller, services, loaders, idempotency: None }
    }

    /// The context of a request with an idempotency key.
    #[must_use]
    pub fn with_idempotency(mut self, idempotency: Option<Idempotency>) -> Self {
        self.idempotency = idempotency;
        self
    }

    /// The context with its reads counted in `room`.
    #[must_use]
    pub fn within(mut self, room: RoomShare) -> Self {
        self.loaders = self.loaders.within(room);
        self
    }

    /// A context for one of many renders of a batch: it shares the rows that the loaders remember, with a budget of its
    /// own.
    #[must_use]
    pub fn sharing(&self) -> Self {
        let (caller, services, loaders) = (self.caller.clone(), self.services.clone(), self.loaders.sharing());
        Self { caller, services, loaders, idempotency: None }
    }

    /// Whether the store owes the answer to a statement: a render that runs out of time then fails for a fault of ours.
    pub fn is_waiting_for_store(&self) -> bool {
        self.loaders.is_waiting()
    }

    /// The context that the request carries.
    ///
    /// # Errors
    /// When the request was built without one: a fault of ours.
    pub fn of<'a>(ctx: &Context<'a>) -> async_graphql::Result<&'a PimContext> {
        Ok(ctx.data::<Arc<PimContext>>()?.as_ref())
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    pub(crate) fn new_id(&self) -> Uuid {
        self.services.entropy.uuid(self.now())
    }

    /// The handle to records of `B`'s kind, with the caller's permission to read them.
    pub(crate) fn read<B: RecordBody>(&self) -> Result<Readable<'_, B>, NotPermitted> {
        Readable::by(self.caller.permissions, &self.loaders)
    }

    /// The handle to records of `B`'s kind for the decisions of a draft, which show them to nobody.
    pub(crate) fn deciding<B: RecordBody>(&self, _draft: &Draft<'_>) -> Readable<'_, B> {
        Readable::deciding(&self.loaders)
    }

    /// The store beyond the caller's tenant, for callers who may change tenants.
    pub(crate) fn store_of_tenants(&self) -> Result<&dyn Store, NotPermitted> {
        self.caller.permit(Permission::TenantsWrite).map(|_| self.services.store.as_ref())
    }

    /// The links of `B`'s records to the targets, as pairs of target and key.
    pub(crate) async fn linked_pairs<B: RecordBody>(
        &self,
        relation: &str,
        targets: &[String],
        limit: u32,
    ) -> Result<Vec<(String, String)>, ReadError> {
        self.read::<B>()?;
        let store = &self.services.store;
        Ok(store.linked_keys(self.caller.tenant_id, B::KIND, relation, targets, limit).await?)
    }

    /// Commits the change of a draft, and wakes the loops that wait for its deliveries and feed entries.
    pub(crate) async fn commit(&self, change: Change) -> Result<(), CommitError> {
        let committed = self.services.store.commit(change).await?;
        self.loaders.forget();
        self.services.wake_ups.committed(&committed);
        Ok(())
    }

    /// The answers kept under a key of the caller's tenant. A request that comes again has passed the same permission
    /// checks as the first one.
    pub(crate) async fn kept_answers(
        &self,
        key: &AnswerKey,
        request_sha256: [u8; 32],
    ) -> Result<Vec<KeptAnswer>, StoreError> {
        self.services.store.kept_answers(key, request_sha256, self.now()).await
    }

    /// Forgets every row that was read.
    pub(crate) fn forget(&self) {
        self.loaders.forget();
    }

    /// Begins the next answer of a subscription: it reads every row anew, and has a budget of its own.
    pub fn next_answer(&self) {
        self.loaders.forget();
        self.loaders.count_bytes_anew();
    }

    /// Suspends the count of bytes until the guard drops: a mutation reads to decide, and its answer holds no such
    /// record.
    pub(crate) fn begin_deciding(&self) -> Counted<'_> {
        self.loaders.deciding()
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        self.services.entropy.as_ref()
    }

    /// One page of records; an empty one where the query asks for a text that no record can hold.
    pub(crate) async fn record_page(&self, query: &RecordQuery) -> Result<Vec<Record>, ReadError> {
        self.caller.permit(access::to_read(query.kind))?;
        if is_impossible(query) {
            return Ok(Vec::new());
        }
        let records = self.loaders.counted(self.services.store.record_page(query)).await?;
        self.loaders.hand_out_page(&records)?;
        Ok(records)
    }

    /// A record of a list with its body parsed. A record that cannot be is logged and counted here, for its list to
    /// leave it out.
    pub(crate) fn listed<B: RecordBody>(&self, record: &Record) -> Result<Stored<B>, UnreadableRecord> {
        Stored::read(record).map_err(|error| {
            self.services.observer.unreadable(RowKind::Record);
            tracing::error!(%error, "a record cannot be read: its list leaves it out and says so");
            UnreadableRecord { kind: B::KIND.as_str(), key: record.reference.key.clone() }
        })
    }

    /// How many records the pages of a query have altogether.
    pub(crate) async fn record_count(&self, query: &RecordQuery) -> Result<u64, ReadError> {
        self.caller.permit(access::to_read(query.kind))?;
        if is_impossible(query) {
            return Ok(0);
        }
        Ok(self.loaders.counted(self.services.store.record_count(query)).await?)
    }

    /// The caller's tenant.
    pub(crate) async fn own_tenant(&self) -> Result<StoredTenant, Refusal> {
        self.caller.permit(Permission::TenantsRead)?;
        self.unchecked_tenant().await
    }

    async fn unchecked_tenant(&self) -> Result<StoredTenant, Refusal> {
        let row = self.loaders.own_tenant().await?;
        let row = row.ok_or_else(|| Refusal::not_found("tenant", &self.caller.tenant_id.to_string()))?;
        Ok(StoredTenant::read(&row)?)
    }

    /// The language of events whose mutation names none.
    pub(crate) async fn default_language(&self) -> Result<String, Refusal> {
        Ok(self.unchecked_tenant().await?.row.default_language)
    }

    /// The caller's tenant. An argument that names another one is refused.
    pub(crate) fn tenant(&self, argument: Option<&str>) -> Result<TenantId, Refusal> {
        let own = self.caller.tenant_id;
        match argument {
            Some(id) if id.parse() != Ok(own) => Err(Refusal::not_found("tenant", id)),
            _ => Ok(own),
        }
    }
}

/// Whether a query asks for a text that no record can hold: see [`crate::loaders::is_impossible`].
fn is_impossible(query: &RecordQuery) -> bool {
    let mut targets = query.linked.iter().map(|(_, target)| target);
    targets.any(|target| loaders::is_impossible(target))
        || query.after.as_ref().is_some_and(|after| loaders::is_impossible(&after.key))
}
