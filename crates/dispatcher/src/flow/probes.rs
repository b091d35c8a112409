//! Probes: one held delivery of a suspended webhook becomes due, and is sent though the webhook is suspended.

use super::{BatchEnd, FlowServices, moved_on, sum};
use crate::limits::{FLOW_ROUND_MAX, PROBE_CANDIDATES_MAX};
use hookgraph_domain::breaker::Breaker;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::limits::PROBE_WAIT_MS_MIN;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::Webhook;

/// Begins a probe of each webhook whose next one may begin, and answers how many began.
pub(super) async fn round(services: &FlowServices) -> Result<usize, StoreError> {
    let webhooks = services.store.webhooks_to_probe(services.clock.now(), FLOW_ROUND_MAX).await?;
    let mut begun = Vec::new();
    for webhook in webhooks {
        begun.push(begin(services, webhook).await);
    }
    sum(begun)
}

/// Begins a probe of one webhook. Each probe takes another of the oldest held deliveries that wait for no other of
/// their record. Where none is held, the webhook is looked at again after [`PROBE_WAIT_MS_MIN`].
async fn begin(services: &FlowServices, webhook: Webhook) -> Result<usize, StoreError> {
    let now = services.clock.now();
    let webhook_id = webhook.id;
    let held = services.store.held_to_probe(webhook_id, PROBE_CANDIDATES_MAX).await?;
    let number = webhook.breaker.probes_failed.saturating_add(1);
    let mut change = Change::at(now);
    let Some(probe_id) = webhook.breaker.next_probe(&held) else {
        let breaker = Breaker { probe_at: Some(plus_ms(now, PROBE_WAIT_MS_MIN)), probe_id: None, ..webhook.breaker };
        change.writes.push(moved_on(Webhook { breaker, ..webhook }));
        services.commit(change).await?;
        return Ok(0);
    };
    let breaker = webhook.breaker.probing(probe_id, now);
    change.writes.push(moved_on(Webhook { breaker, ..webhook }));
    change.writes.push(Write::ReleaseDeliveries { webhook_id, delivery_ids: vec![probe_id] });
    let BatchEnd::Committed = services.commit(change).await? else { return Ok(0) };
    tracing::info!(%webhook_id, delivery_id = %probe_id, probe = number, "a suspended webhook is probed");
    Ok(1)
}
