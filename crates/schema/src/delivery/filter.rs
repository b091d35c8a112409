//! The arguments that narrow a list of deliveries.

use super::{DeliveryStateName, distinct_states, narrow_to_replay};
use crate::connection::require_range;
use crate::context::ApiContext;
use crate::ids::required;
use async_graphql::ID;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::DateTime;

/// The arguments that narrow a list of deliveries, as the fields of the API take them.
pub(crate) struct DeliveryFilter {
    pub webhook_id: Option<WebhookId>,
    pub event_id: Option<ID>,
    pub replay_id: Option<ID>,
    pub states: Option<Vec<DeliveryStateName>>,
    pub created_from: Option<DateTime>,
    pub created_before: Option<DateTime>,
}

impl DeliveryFilter {
    /// The query for the tenant's deliveries that pass the filter; [`super::delivery_page`] adds the page.
    ///
    /// # Errors
    /// For the id of no event or replay, and for an empty range of time.
    pub async fn query(self, api: &ApiContext) -> Result<DeliveryQuery, Refusal> {
        let event_id = self.event_id.map(|id| required("event", &id)).transpose()?;
        require_range(self.created_from, self.created_before, "createdBefore")?;
        let mut query = DeliveryQuery {
            webhook_id: self.webhook_id,
            event_id,
            states: distinct_states(self.states.unwrap_or_default()),
            created_from: self.created_from.map(Into::into),
            created_before: self.created_before.map(Into::into),
            ..DeliveryQuery::of(api.tenant_id(), 0)
        };
        narrow_to_replay(api, &mut query, self.replay_id.as_ref()).await?;
        Ok(query)
    }
}
