//! Stops: what is due for a webhook that stopped is held or cancelled, in batches where it is much.

use super::{Done, FlowServices, sum};
use crate::limits::STOPS_ROUND_MAX;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::StoreError;

/// How many batches were done.
pub(super) async fn round(services: &FlowServices) -> Result<usize, StoreError> {
    let webhook_ids = services.store.webhooks_stopping(STOPS_ROUND_MAX).await?;
    let mut batches = Vec::new();
    for webhook_id in webhook_ids {
        batches.push(batch(services, webhook_id).await);
    }
    sum(batches)
}

async fn batch(services: &FlowServices, webhook_id: WebhookId) -> Result<usize, StoreError> {
    let mut change = Change::at(services.clock.now());
    change.writes.push(Write::StopMore { webhook_id });
    Ok(usize::from(matches!(services.commit(change).await?, Done::Committed)))
}
