//! What resolvers find in the request: who asks, the ports, and the loaders.

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

/// Who asks. Every read and write is of this tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that the token opens.
    pub tenant_id: TenantId,
    /// Who it is, for `userId`: the token's id.
    pub user_id: Option<String>,
    /// What it may read and change.
    pub permissions: PermissionSet,
}

impl Caller {
    /// The proof of a permission.
    ///
    /// # Errors
    /// [`NotPermitted`], which names it.
    pub fn permit(&self, permission: Permission) -> Result<Permitted, NotPermitted> {
        Permitted::by(self.permissions, permission)
    }
}

/// The ports that resolvers use: the same for every request.
#[derive(Clone)]
pub struct PimServices {
    /// Where records are.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Told after each commit.
    pub wake_ups: Arc<dyn WakeUps>,
    /// Told of records that cannot be read.
    pub observer: Arc<dyn Observer>,
}

/// What resolvers work with: one per request, or for payloads one per claimed batch of one tenant and one set of
/// permissions, so that loaders never mix tenants and never outlive what they were made for.
pub struct PimContext {
    pub(crate) caller: Caller,
    services: PimServices,
    loaders: Loaders,
    pub(crate) idempotency: Option<Idempotency>,
}

impl PimContext {
    /// The context of one request or batch. With `tombstone_of`, the record that this `delete` event was about reads as
    /// it was.
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

    /// The context of a request with that share of the room that it has with all others.
    #[must_use]
    pub fn within(mut self, room: RoomShare) -> Self {
        self.loaders = self.loaders.within(room);
        self
    }

    /// A context for one of many renders of a batch: it shares what the loaders remember, and has a budget of its own for
    /// what they hand out.
    #[must_use]
    pub fn sharing(&self) -> Self {
        let (caller, services, loaders) = (self.caller.clone(), self.services.clone(), self.loaders.sharing());
        Self { caller, services, loaders, idempotency: None }
    }

    /// Whether the store has not answered all that it was asked: then who waits too long waits for us.
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

    /// The way to records of `B`'s kind.
    pub(crate) fn read<B: RecordBody>(&self) -> Result<Readable<'_, B>, NotPermitted> {
        Readable::by(self.caller.permissions, &self.loaders)
    }

    /// The way to what a draft decides on and shows to nobody.
    pub(crate) fn deciding<B: RecordBody>(&self, _draft: &Draft<'_>) -> Readable<'_, B> {
        Readable::deciding(&self.loaders)
    }

    /// The whole store, for who may change tenants.
    pub(crate) fn store_of_tenants(&self) -> Result<&dyn Store, NotPermitted> {
        self.caller.permit(Permission::TenantsWrite).map(|_| self.services.store.as_ref())
    }

    /// The pairs of target and key of `B`'s records that link to one of the targets.
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

    /// Commits what a draft decided, and tells those who wait.
    pub(crate) async fn commit(&self, change: Change) -> Result<(), CommitError> {
        let committed = self.services.store.commit(change).await?;
        self.loaders.forget();
        self.services.wake_ups.committed(&committed);
        Ok(())
    }

    /// What was answered under a key of the caller's tenant. Whoever asks again has been let past the same permissions.
    pub(crate) async fn kept_answers(
        &self,
        key: &AnswerKey,
        request_sha256: [u8; 32],
    ) -> Result<Vec<KeptAnswer>, StoreError> {
        self.services.store.kept_answers(key, request_sha256, self.now()).await
    }

    /// Forgets all that was read.
    pub(crate) fn forget(&self) {
        self.loaders.forget();
    }

    /// Begins the next answer of a subscription: it reads what is there then, and has a budget of its own.
    pub fn next_answer(&self) {
        self.loaders.forget();
        self.loaders.count_bytes_anew();
    }

    /// While what is answered lives, the bytes of what is read do not count: it is read to decide, and no answer holds it.
    pub(crate) fn begin_deciding(&self) -> Counted<'_> {
        self.loaders.deciding()
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        self.services.entropy.as_ref()
    }

    /// One page of records; empty where no record can match.
    pub(crate) async fn record_page(&self, query: &RecordQuery) -> Result<Vec<Record>, ReadError> {
        self.caller.permit(access::to_read(query.kind))?;
        if is_impossible(query) {
            return Ok(Vec::new());
        }
        let records = self.loaders.counted(self.services.store.record_page(query)).await?;
        self.loaders.hand_out_page(&records)?;
        Ok(records)
    }

    /// The record of a list with its body read; where it cannot be, that is told here and the list goes on without it.
    pub(crate) fn listed<B: RecordBody>(&self, record: &Record) -> Result<Stored<B>, UnreadableRecord> {
        Stored::read(record).map_err(|error| {
            self.services.observer.unreadable(RowKind::Record);
            tracing::error!(%error, "a record cannot be read: its list leaves it out and says so");
            UnreadableRecord { kind: B::KIND.as_str(), key: record.reference.key.clone() }
        })
    }

    /// How many records all pages have.
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

    /// The tenant that an argument names, where one is named: it must be the caller's own.
    pub(crate) fn tenant(&self, argument: Option<&str>) -> Result<TenantId, Refusal> {
        let own = self.caller.tenant_id;
        match argument {
            Some(id) if id.parse() != Ok(own) => Err(Refusal::not_found("tenant", id)),
            _ => Ok(own),
        }
    }
}

/// Whether a query asks for what no stored text holds: see [`crate::loaders::is_impossible`].
fn is_impossible(query: &RecordQuery) -> bool {
    let mut targets = query.linked.iter().map(|(_, target)| target);
    targets.any(|target| loaders::is_impossible(target))
        || query.after.as_ref().is_some_and(|after| loaders::is_impossible(&after.key))
}
