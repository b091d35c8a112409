//! Stops: what is due for a webhook that stopped is held or cancelled, in batches where it is much.

use super::{Done, FlowServices};
use crate::limits::{FLOW_ROUND_MAX, STOPS_ROUND_MAX};
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::StoreError;
use parking_lot::Mutex;

/// The webhooks that stop of which no batch was done when they had their turn, longest ago first. In the store they stay the first;
/// here the others come before them.
#[derive(Default)]
pub(super) struct PutOff(Mutex<Vec<WebhookId>>);

impl PutOff {
    fn in_turns(&self, mut stopping: Vec<WebhookId>) -> Vec<WebhookId> {
        let mut put_off = self.0.lock();
        put_off.retain(|webhook_id| stopping.contains(webhook_id));
        // Stable, and none comes before any: the others stay in the order of the store.
        stopping.sort_by_key(|webhook_id| put_off.iter().position(|one| one == webhook_id));
        stopping
    }

    fn add(&self, webhook_id: WebhookId) {
        let mut put_off = self.0.lock();
        put_off.retain(|one| *one != webhook_id);
        put_off.push(webhook_id);
    }

    fn remove(&self, webhook_id: WebhookId) {
        self.0.lock().retain(|one| *one != webhook_id);
    }
}

/// How many batches were done. One that fails, or that someone else holds, keeps no other from its turn, and a round tries few: each may
/// wait.
pub(super) async fn round(services: &FlowServices, put_off: &PutOff) -> Result<usize, StoreError> {
    let (mut done, mut failed) = (0, None);
    let stopping = put_off.in_turns(services.store.webhooks_stopping(FLOW_ROUND_MAX).await?);
    for webhook_id in stopping.into_iter().take(STOPS_ROUND_MAX) {
        // Before it is tried: one that panics ends the round.
        put_off.add(webhook_id);
        let mut change = Change::at(services.clock.now());
        change.writes.push(Write::StopMore { webhook_id });
        match services.commit(change).await {
            Ok(Done::Committed) => {
                put_off.remove(webhook_id);
                done += 1;
            }
            // Someone holds the webhook, or does another batch.
            Ok(Done::Raced | Done::Refused(_)) => {
                tracing::debug!(%webhook_id, "a webhook that stops waits for its next turn");
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(done), Err)
}
