//! What resolvers find in the request: who asks, and the ports.

use hookgraph_domain::event::Event;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::{Clock, Entropy, Store, WakeUps};
use std::sync::Arc;

/// Who asks. Every read and write is of this tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that the token opens.
    pub tenant_id: TenantId,
    /// Who it is, for `userId`: the token's id.
    pub user_id: Option<String>,
}

/// What resolvers work with: one per request, or for payloads one per claimed batch of one tenant and one set of
/// permissions, so that loaders never mix tenants and never outlive what they were made for.
pub struct PimContext {
    /// Who asks.
    pub caller: Caller,
    /// Where records are.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub entropy: Arc<dyn Entropy>,
    /// Told after each commit.
    pub wake_ups: Arc<dyn WakeUps>,
    /// The `delete` event that is being rendered, whose record reads as it was.
    pub tombstone_of: Option<Arc<Event>>,
}
