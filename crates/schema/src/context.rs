//! What resolvers of the management API find: the process's services, and who asks with what loaders.

use crate::access::{May, Needed};
use crate::document::DocumentChecker;
use crate::loaders::Loaders;
use crate::render::Renderer;
use async_graphql::Context;
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::TlsJudge;
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::time::Timestamp;
use hookgraph_pim::{Caller, NotPermitted, PimServices};
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

/// What the schemas need of the process.
#[derive(Clone)]
pub struct Services {
    /// The ports that resolvers use.
    pub ports: PimServices,
    /// Changes when the feed may have grown; a lost change costs a subscriber a second.
    pub fed: watch::Receiver<()>,
    /// Which addresses a webhook's URL may name.
    pub address_rules: AddressRules,
    /// Judges TLS settings of webhooks.
    pub tls: Arc<dyn TlsJudge>,
    /// Whether a refused document is told the names that are like what it asked for.
    pub suggests: bool,
}

/// What every request shares.
pub(crate) struct Core {
    pub services: Services,
    pub documents: Arc<DocumentChecker>,
    pub renderer: Arc<Renderer>,
}

/// One request of the management API: who asks, and its loaders.
pub(crate) struct Asked {
    pub caller: Caller,
    pub core: Arc<Core>,
    loaders: Loaders,
}

impl Asked {
    pub fn new(caller: Caller, core: Arc<Core>) -> Self {
        let loaders = Loaders::new(caller.tenant_id, core.services.ports.store.clone());
        Self { caller, core, loaders }
    }

    /// The request's own.
    ///
    /// # Errors
    /// When the request was built without one: a fault of ours.
    pub fn of<'a>(ctx: &Context<'a>) -> async_graphql::Result<&'a Arc<Asked>> {
        ctx.data::<Arc<Asked>>()
    }

    /// The proof of a permission, which is the only way to data: see [`crate::access`].
    pub fn may<P: Needed>(&self) -> Result<May<'_, P>, NotPermitted> {
        May::by(self, &self.loaders)
    }

    pub fn now(&self) -> Timestamp {
        self.core.services.ports.clock.now()
    }

    pub fn new_id(&self) -> Uuid {
        self.core.services.ports.entropy.uuid(self.now())
    }

    pub fn tenant_id(&self) -> TenantId {
        self.caller.tenant_id
    }

    /// Refuses a tenant that is named and is not the caller's.
    pub fn require_own_tenant(&self, named: Option<&str>) -> Result<(), Refusal> {
        match named {
            Some(id) if id.parse() != Ok(self.caller.tenant_id) => Err(Refusal::not_found("tenant", id)),
            _ => Ok(()),
        }
    }
}
