//! Stops: what is due for a webhook that stopped is held or cancelled, in batches where it is much.

use super::{Done, FlowServices};
use crate::limits::{FLOW_ROUND_MAX, STOPS_ROUND_MAX};
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::StoreError;
use parking_lot::Mutex;

/// The webhooks that stop and had their turn here, longest ago first: others come before them. What the store knows of turns is undone
/// with a batch that fails.
#[derive(Default)]
pub(super) struct Turns(Mutex<Vec<WebhookId>>);

impl Turns {
    fn sorted(&self, mut stopping: Vec<WebhookId>) -> Vec<WebhookId> {
        let mut had = self.0.lock();
        had.retain(|webhook_id| stopping.contains(webhook_id));
        // Stable, and none comes before any: the others stay in the order of the store.
        stopping.sort_by_key(|webhook_id| had.iter().position(|one| one == webhook_id));
        stopping
    }

    fn has(&self, webhook_id: WebhookId) {
        let mut had = self.0.lock();
        had.retain(|one| *one != webhook_id);
        had.push(webhook_id);
    }
}

/// How many batches were done. One that fails, or that someone else holds, keeps no other from its turn, and a round tries few: each may
/// wait.
pub(super) async fn round(services: &FlowServices, turns: &Turns) -> Result<usize, StoreError> {
    let (mut done, mut failed) = (0, None);
    let stopping = turns.sorted(services.store.webhooks_stopping(FLOW_ROUND_MAX).await?);
    for webhook_id in stopping.into_iter().take(STOPS_ROUND_MAX) {
        // Before it is tried: one that panics ends the round.
        turns.has(webhook_id);
        let mut change = Change::at(services.clock.now());
        change.writes.push(Write::StopMore { webhook_id });
        match services.commit(change).await {
            Ok(Done::Committed) => done += 1,
            // Someone holds the webhook, or does another batch.
            Ok(Done::Raced | Done::Refused(_)) => {
                tracing::debug!(%webhook_id, "a webhook that stops waits for its next turn");
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(done), Err)
}
