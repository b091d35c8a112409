//! The turns of webhooks that stop, on a store where other transactions hold some of them.

use super::*;
use crate::limits::{FLOW_ROUND_MAX, STOPS_ROUND_MAX, STOPS_TURNS_MAX};
use hookgraph_domain::change::Committed;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::ports::Backlog;
use hookgraph_domain::time::Timestamp;

/// How many webhooks have a turn in a round.
const A_ROUND: usize = STOPS_ROUND_MAX as usize;

/// How a batch of a webhook ends.
#[derive(Clone, Copy)]
enum Batch {
    Done,
    IsHeld,
    Fails,
}

/// Stopping webhooks that never come to their end, longest waiting first; and the order in which they were tried.
struct Stopping {
    webhooks: Mutex<Vec<(WebhookId, Batch)>>,
    /// A webhook that is named first whatever was done of it: the others are of deleted tenants.
    first: Option<WebhookId>,
    tried: Mutex<Vec<WebhookId>>,
}

#[async_trait]
impl UnitOfWork for Stopping {
    async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        let Some(Write::StopMore { webhook_id }) = change.writes.first() else { panic!("a batch: {change:?}") };
        self.tried.lock().push(*webhook_id);
        let mut webhooks = self.webhooks.lock();
        let place = webhooks.iter().position(|(id, _)| id == webhook_id).expect("one that stops");
        match webhooks[place].1 {
            Batch::Done => {
                if self.first != Some(*webhook_id) {
                    webhooks[place..].rotate_left(1);
                }
                Ok(Committed::default())
            }
            Batch::IsHeld => Err(CommitError::Conflict(format!("webhook {webhook_id}"))),
            Batch::Fails => Err(StoreError::Busy("it takes too long".to_owned()).into()),
        }
    }
}

#[async_trait]
impl WebhookReader for Stopping {
    async fn webhooks(&self, _: TenantId, _: &[WebhookId]) -> Result<Vec<Webhook>, StoreError> {
        Ok(Vec::new())
    }

    async fn webhook_page(&self, _: &WebhookQuery) -> Result<Vec<Webhook>, StoreError> {
        Ok(Vec::new())
    }

    async fn webhooks_checked_otherwise(
        &self,
        _: &str,
        _: Option<WebhookId>,
        _: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl FlowReader for Stopping {
    async fn webhooks_to_probe(&self, _: Timestamp, _: u32) -> Result<Vec<Webhook>, StoreError> {
        Ok(Vec::new())
    }

    async fn webhooks_to_drain(&self, _: Timestamp, _: u32) -> Result<Vec<Webhook>, StoreError> {
        Ok(Vec::new())
    }

    async fn webhooks_stopping(&self, but_not: &[WebhookId], limit: u32) -> Result<Vec<WebhookId>, StoreError> {
        let webhooks = self.webhooks.lock();
        let others = webhooks.iter().map(|(id, _)| *id).filter(|id| !but_not.contains(id));
        Ok(others.take(limit as usize).collect())
    }

    async fn held(&self, _: WebhookId, _: u32) -> Result<Vec<DeliveryId>, StoreError> {
        Ok(Vec::new())
    }

    async fn held_to_probe(&self, _: WebhookId, _: u32) -> Result<Vec<DeliveryId>, StoreError> {
        Ok(Vec::new())
    }

    async fn backlog(&self, _: WebhookId, _: u32) -> Result<Backlog, StoreError> {
        Ok(Backlog::default())
    }

    async fn replays_due(&self, _: Timestamp, _: u32) -> Result<Vec<Replay>, StoreError> {
        Ok(Vec::new())
    }

    async fn deliveries_to_replay(&self, _: &Replay, _: u32) -> Result<Vec<Delivery>, StoreError> {
        Ok(Vec::new())
    }

    async fn history_from(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    async fn replay(&self, _: TenantId, _: ReplayId) -> Result<Option<Replay>, StoreError> {
        Ok(None)
    }

    async fn replay_page(
        &self,
        _: TenantId,
        _: Option<WebhookId>,
        _: Option<ReplayId>,
        _: u32,
    ) -> Result<Vec<Replay>, StoreError> {
        Ok(Vec::new())
    }

    async fn running_replays(&self, _: TenantId) -> Result<Vec<Replay>, StoreError> {
        Ok(Vec::new())
    }
}

/// A loop over webhooks with the ids 1, 2, …
fn over(batches: &[Batch]) -> (Arc<Stopping>, FlowLoop) {
    over_with_first(None, batches)
}

fn over_with_first(first: Option<u128>, batches: &[Batch]) -> (Arc<Stopping>, FlowLoop) {
    let id = |id| WebhookId(Uuid::from_u128(id));
    let webhooks = Mutex::new((1..).map(id).zip(batches.iter().copied()).collect());
    let store = Arc::new(Stopping { webhooks, first: first.map(id), tried: Mutex::default() });
    let flow = FlowLoop::new(FlowServices {
        store: store.clone(),
        clock: Arc::new(ManualClock::default()),
        entropy: Arc::new(SeededEntropy::new(7)),
        wake_ups: Arc::new(NoWakeUps),
    });
    (store, flow)
}

impl Stopping {
    /// The numbers of the webhooks that were tried since the last call.
    fn tried(&self) -> Vec<u128> {
        std::mem::take(&mut *self.tried.lock()).into_iter().map(|id| id.0.as_u128()).collect()
    }
}

#[tokio::test]
async fn held_webhooks_are_few_in_a_round_and_let_the_others_go_first() {
    let held = [Batch::IsHeld; A_ROUND];
    let (store, flow) = over(&[&held[..], &[Batch::Done; 2]].concat());
    assert_eq!(flow.run_once().await.expect("a round").stopped, 0);
    assert_eq!(store.tried(), [1, 2, 3, 4], "each may wait, and probes wait for them");
    assert_eq!(flow.run_once().await.expect("a round").stopped, 2);
    assert_eq!(store.tried(), [5, 6, 1, 2]);
    assert_eq!(flow.run_once().await.expect("a round").stopped, 2);
    assert_eq!(store.tried(), [3, 4, 5, 6], "the held ones have their turns too");
}

#[tokio::test]
async fn a_held_webhook_has_its_next_turn_however_many_others_go_on() {
    let (store, flow) = over(&[&[Batch::IsHeld][..], &[Batch::Done; A_ROUND - 1]].concat());
    for turns in [[1, 2, 3, 4], [2, 3, 4, 1]] {
        flow.run_once().await.expect("a round");
        assert_eq!(store.tried(), turns, "where a round has room");
    }
    let (store, flow) = over(&[&[Batch::IsHeld][..], &[Batch::Done; A_ROUND]].concat());
    for _ in 0..STOPS_TURNS_MAX / A_ROUND {
        flow.run_once().await.expect("a round");
    }
    let tried = store.tried();
    assert_eq!((tried.len(), tried.iter().filter(|id| **id == 1).count()), (STOPS_TURNS_MAX, 1));
    flow.run_once().await.expect("a round");
    assert_eq!(store.tried()[0], 1, "otherwise after as many turns");
}

#[tokio::test]
async fn a_webhook_that_the_store_names_first_goes_on_in_every_round() {
    let (store, flow) = over_with_first(Some(1), &[Batch::Done; 3 * A_ROUND]);
    for turns in [[1, 2, 3, 4], [1, 5, 6, 7], [1, 8, 9, 10]] {
        flow.run_once().await.expect("a round");
        assert_eq!(store.tried(), turns);
    }
}

#[tokio::test]
async fn a_batch_that_fails_is_told_and_keeps_no_other_from_its_turn() {
    let (store, flow) = over(&[Batch::Fails, Batch::Done]);
    for turns in [[1, 2], [1, 2]] {
        let round = flow.run_once().await;
        assert!(matches!(round, Err(StoreError::Busy(_))), "{round:?}");
        assert_eq!(store.tried(), turns);
    }
}

/// They are more than a round of any other work looks at.
#[tokio::test]
async fn webhooks_that_always_fail_keep_no_other_from_its_turn_however_many_they_are() {
    const FAILING: usize = FLOW_ROUND_MAX as usize + 2 * A_ROUND;
    let (store, flow) = over(&[&[Batch::Fails; FAILING][..], &[Batch::Done; 2]].concat());
    for _ in 0..FAILING / A_ROUND {
        assert!(flow.run_once().await.is_err());
    }
    let last = FAILING as u128;
    assert_eq!(store.tried(), (1..=last).collect::<Vec<_>>());
    assert!(flow.run_once().await.is_err(), "the first failing webhooks fill the round");
    assert_eq!(store.tried(), [last + 1, last + 2, 1, 2]);
    assert!(flow.run_once().await.is_err());
    assert_eq!(store.tried(), [3, 4, 5, 6]);
}
