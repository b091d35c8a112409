//! Stops: due deliveries of a webhook that stopped are held or cancelled, in batches where they are many.

use super::{BatchEnd, FlowServices};
use crate::limits::{STOPS_ROUND_MAX, STOPS_TURNS_MAX};
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::StoreError;
use parking_lot::Mutex;

/// The turns since every stopping webhook has had one. Webhooks whose turn was in vain come after the others.
///
/// The store orders the webhooks too, but a failed batch takes its note of the turn back. So webhooks that always
/// fail would be the first that it names, however many others wait. A webhook whose batch was committed is ordered by
/// the store alone.
#[derive(Default)]
pub(super) struct Turns(Mutex<TurnTable>);

#[derive(Default)]
struct TurnTable {
    /// The webhooks whose last turn was in vain.
    in_vain: Vec<WebhookId>,
    /// How many turns there were, in vain or not.
    count: usize,
}

impl Turns {
    fn in_vain(&self) -> Vec<WebhookId> {
        self.0.lock().in_vain.clone()
    }

    /// Begins a turn. It counts as in vain until it goes on.
    fn begin(&self, webhook_id: WebhookId) {
        let mut table = self.0.lock();
        table.in_vain.push(webhook_id);
        table.count += 1;
    }

    /// Notes that the turn of a webhook was not in vain.
    fn went_on(&self, webhook_id: WebhookId) {
        self.0.lock().in_vain.retain(|one| *one != webhook_id);
    }

    /// Whether [`STOPS_TURNS_MAX`] turns have passed. Then webhooks whose turn was in vain are tried again, though
    /// others still go on.
    fn are_many(&self) -> bool {
        self.0.lock().count >= STOPS_TURNS_MAX
    }

    fn begin_anew(&self) {
        *self.0.lock() = TurnTable::default();
    }
}

/// Runs the turns of a round, and answers how many batches were committed. A batch that fails, or whose webhook
/// another transaction holds, keeps no other from its turn. A round has few turns, because each may wait.
pub(super) async fn round(services: &FlowServices, turns: &Turns) -> Result<usize, StoreError> {
    let mut round = StopRound::default();
    let in_vain = turns.in_vain();
    let next = services.store.webhooks_stopping(&in_vain, STOPS_ROUND_MAX).await?;
    round.batches(services, turns, &next).await;
    let room = STOPS_ROUND_MAX.saturating_sub(u32::try_from(next.len()).unwrap_or(u32::MAX));
    if room > 0 || turns.are_many() {
        turns.begin_anew();
    }
    if room > 0 && !in_vain.is_empty() {
        let again = services.store.webhooks_stopping(&next, room).await?;
        round.batches(services, turns, &again).await;
    }
    round.failure.map_or(Ok(round.committed), Err)
}

/// The batches of a round.
#[derive(Default)]
struct StopRound {
    committed: usize,
    /// The last failure.
    failure: Option<StoreError>,
}

impl StopRound {
    /// Gives each of these webhooks a turn: one batch.
    async fn batches(&mut self, services: &FlowServices, turns: &Turns, stopping: &[WebhookId]) {
        for &webhook_id in stopping {
            // The turn is counted before its batch is tried: a batch that panics ends the round.
            turns.begin(webhook_id);
            let mut change = Change::at(services.clock.now());
            change.writes.push(Write::StopMore { webhook_id });
            match services.commit(change).await {
                Ok(BatchEnd::Committed) => {
                    turns.went_on(webhook_id);
                    self.committed += 1;
                }
                // Another transaction holds the webhook, or has done a batch of it.
                Ok(BatchEnd::Raced | BatchEnd::Refused(_)) => {
                    tracing::debug!(%webhook_id, "a webhook that stops waits for its next turn");
                }
                Err(error) => self.failure = Some(error),
            }
        }
    }
}
