//! Probes: one held delivery of a suspended webhook is made due, and is sent though the webhook is suspended.

use super::{Done, FlowServices, moved_on, sum};
use crate::limits::{FLOW_ROUND_MAX, PROBE_CANDIDATES_MAX};
use hookgraph_domain::breaker::Breaker;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::limits::PROBE_WAIT_MS_MIN;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::Webhook;

pub(super) async fn round(services: &FlowServices) -> Result<usize, StoreError> {
    let webhooks = services.store.webhooks_to_probe(services.clock.now(), FLOW_ROUND_MAX).await?;
    let mut begun = Vec::new();
    for webhook in webhooks {
        begun.push(begin(services, webhook).await);
    }
    sum(begun)
}

/// Each probe takes another of the oldest held deliveries, which waits for no other of its record. Where none is held, there is
/// nothing to probe with yet.
async fn begin(services: &FlowServices, webhook: Webhook) -> Result<usize, StoreError> {
    let now = services.clock.now();
    let webhook_id = webhook.id;
    let held = services.store.held_to_probe(webhook_id, PROBE_CANDIDATES_MAX).await?;
    let turn = webhook.breaker.probes_failed as usize;
    let mut change = Change::at(now);
    let Some(probe_id) = held.get(turn % held.len().max(1)).copied() else {
        let breaker = Breaker { probe_at: Some(plus_ms(now, PROBE_WAIT_MS_MIN)), probe_id: None, ..webhook.breaker };
        change.writes.push(moved_on(Webhook { breaker, ..webhook }));
        services.commit(change).await?;
        return Ok(0);
    };
    let breaker = webhook.breaker.probing(probe_id, now);
    change.writes.push(moved_on(Webhook { breaker, ..webhook }));
    change.writes.push(Write::ReleaseDeliveries { webhook_id, delivery_ids: vec![probe_id] });
    let Done::Committed = services.commit(change).await? else { return Ok(0) };
    tracing::info!(%webhook_id, delivery_id = %probe_id, probe = turn + 1, "a suspended webhook is probed");
    Ok(1)
}
