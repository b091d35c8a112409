//! Stops: what is due for a webhook that stopped is held or cancelled, in batches where it is much.

use super::{Done, FlowServices};
use crate::limits::{FLOW_ROUND_MAX, STOPS_ROUND_MAX};
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::StoreError;

/// How many batches were done; those that fail keep none of the others from its turn.
pub(super) async fn round(services: &FlowServices) -> Result<usize, StoreError> {
    let (mut done, mut failed) = (0, None);
    for webhook_id in services.store.webhooks_stopping(FLOW_ROUND_MAX).await? {
        match batch(services, webhook_id).await {
            Ok(true) => done += 1,
            Ok(false) => {}
            Err(error) => failed = Some(error),
        }
        if done == STOPS_ROUND_MAX {
            break;
        }
    }
    failed.map_or(Ok(done), Err)
}

async fn batch(services: &FlowServices, webhook_id: WebhookId) -> Result<bool, StoreError> {
    let mut change = Change::at(services.clock.now());
    change.writes.push(Write::StopMore { webhook_id });
    match services.commit(change).await {
        Ok(done) => Ok(matches!(done, Done::Committed)),
        // Someone holds the webhook, or has asked for another batch: it has its turn again, and the others have theirs.
        Err(StoreError::Busy(reason)) => {
            tracing::debug!(%webhook_id, reason, "a webhook that stops waits for its next turn");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
