//! Drains: held deliveries of a webhook that sends again become due at a rising pace, oldest first.

use super::{BatchEnd, FlowServices, moved_on, sum};
use crate::limits::FLOW_ROUND_MAX;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::webhook::Webhook;

/// Drains a batch of each webhook whose next batch may become due, and answers how many deliveries became due.
pub(super) async fn round(services: &FlowServices) -> Result<usize, StoreError> {
    let webhooks = services.store.webhooks_to_drain(services.clock.now(), FLOW_ROUND_MAX).await?;
    let mut drained = Vec::new();
    for webhook in webhooks {
        drained.push(batch(services, webhook).await);
    }
    sum(drained)
}

async fn batch(services: &FlowServices, webhook: Webhook) -> Result<usize, StoreError> {
    let now = services.clock.now();
    let webhook_id = webhook.id;
    let Some(drain) = webhook.draining else { return Ok(0) };
    let wanted = drain.batch(now);
    let delivery_ids = services.store.held(webhook_id, wanted).await?;
    let count = delivery_ids.len();
    let is_over = count < wanted as usize;
    let mut change = Change::at(now);
    change.writes.push(moved_on(Webhook { draining: (!is_over).then(|| drain.after_batch(now)), ..webhook }));
    if count > 0 {
        change.writes.push(Write::ReleaseDeliveries { webhook_id, delivery_ids });
    }
    let BatchEnd::Committed = services.commit(change).await? else { return Ok(0) };
    if is_over {
        tracing::info!(%webhook_id, "nothing is held for the webhook any more");
    }
    Ok(count)
}
