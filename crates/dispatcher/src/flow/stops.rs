//! Stops: what is due for a webhook that stopped is held or cancelled, in batches where it is much.

use super::{Done, FlowServices};
use crate::limits::{STOPS_ROUND_MAX, STOPS_TURNS_MAX};
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::StoreError;
use parking_lot::Mutex;

/// The webhooks that had a turn here in vain since all that stop have had one: the others come before them. What the store knows of
/// turns is undone with a batch that fails, so those that always fail would be the first that it names, however many others wait. One
/// that went on is where the store has put it.
#[derive(Default)]
pub(super) struct Turns(Mutex<Had>);

#[derive(Default)]
struct Had {
    in_vain: Vec<WebhookId>,
    /// All turns, those that were not in vain too.
    count: usize,
}

impl Turns {
    fn in_vain(&self) -> Vec<WebhookId> {
        self.0.lock().in_vain.clone()
    }

    fn has(&self, webhook_id: WebhookId) {
        let mut had = self.0.lock();
        had.in_vain.push(webhook_id);
        had.count += 1;
    }

    fn went_on(&self, webhook_id: WebhookId) {
        self.0.lock().in_vain.retain(|one| *one != webhook_id);
    }

    /// However many others go on, those that were held are tried again after some time.
    fn are_many(&self) -> bool {
        self.0.lock().count >= STOPS_TURNS_MAX
    }

    fn begin_anew(&self) {
        *self.0.lock() = Had::default();
    }
}

/// How many batches were done. One that fails, or that someone else holds, keeps no other from its turn, and a round tries few: each may
/// wait.
pub(super) async fn round(services: &FlowServices, turns: &Turns) -> Result<usize, StoreError> {
    let mut tried = Tried::default();
    let in_vain = turns.in_vain();
    let next = services.store.webhooks_stopping(&in_vain, STOPS_ROUND_MAX).await?;
    tried.batches(services, turns, &next).await;
    let room = STOPS_ROUND_MAX.saturating_sub(u32::try_from(next.len()).unwrap_or(u32::MAX));
    if room > 0 || turns.are_many() {
        turns.begin_anew();
    }
    if room > 0 && !in_vain.is_empty() {
        let again = services.store.webhooks_stopping(&next, room).await?;
        tried.batches(services, turns, &again).await;
    }
    tried.failed.map_or(Ok(tried.done), Err)
}

/// What the batches of a round came to.
#[derive(Default)]
struct Tried {
    done: usize,
    failed: Option<StoreError>,
}

impl Tried {
    /// One of each of those webhooks.
    async fn batches(&mut self, services: &FlowServices, turns: &Turns, stopping: &[WebhookId]) {
        for &webhook_id in stopping {
            // Before it is tried: one that panics ends the round.
            turns.has(webhook_id);
            let mut change = Change::at(services.clock.now());
            change.writes.push(Write::StopMore { webhook_id });
            match services.commit(change).await {
                Ok(Done::Committed) => {
                    turns.went_on(webhook_id);
                    self.done += 1;
                }
                // Someone holds the webhook, or does another batch.
                Ok(Done::Raced | Done::Refused(_)) => {
                    tracing::debug!(%webhook_id, "a webhook that stops waits for its next turn");
                }
                Err(error) => self.failed = Some(error),
            }
        }
    }
}
