//! What resolvers find in the request: who asks, the ports, and the loaders.

use crate::idempotency::Idempotency;
use crate::loaders::{self, Loaders};
use crate::tenant::StoredTenant;
use async_graphql::Context;
use hookgraph_domain::event::Event;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::page::RecordQuery;
use hookgraph_domain::ports::{Clock, Entropy, Store, StoreError, WakeUps};
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
}

/// What resolvers work with: one per request, or for payloads one per claimed batch of one tenant and one set of
/// permissions, so that loaders never mix tenants and never outlive what they were made for.
pub struct PimContext {
    pub(crate) caller: Caller,
    pub(crate) services: PimServices,
    pub(crate) loaders: Loaders,
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

    pub(crate) fn store(&self) -> &dyn Store {
        self.services.store.as_ref()
    }

    /// One page of records; empty where no record can match.
    pub(crate) async fn record_page(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        if is_impossible(query) {
            return Ok(Vec::new());
        }
        self.loaders.counted(self.store().record_page(query)).await
    }

    /// How many records all pages have.
    pub(crate) async fn record_count(&self, query: &RecordQuery) -> Result<u64, StoreError> {
        if is_impossible(query) {
            return Ok(0);
        }
        self.loaders.counted(self.store().record_count(query)).await
    }

    /// The caller's tenant.
    pub(crate) async fn own_tenant(&self) -> Result<StoredTenant, Refusal> {
        let row = self.loaders.own_tenant().await?;
        let row = row.ok_or_else(|| Refusal::not_found("tenant", &self.caller.tenant_id.to_string()))?;
        Ok(StoredTenant::read(&row)?)
    }

    /// The language of events whose mutation names none.
    pub(crate) async fn default_language(&self) -> Result<String, Refusal> {
        Ok(self.own_tenant().await?.row.default_language)
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
