//! Replays: the next deliveries of a replay's range are made anew, in batches.

use super::{Done, FlowServices, sum};
use crate::limits::FLOW_ROUND_MAX;
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::{Delivery, DeliveryEvent, DeliveryPurpose, NewDelivery};
use hookgraph_domain::limits::REPLAY_WAIT_MS;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState, WAITS_FOR_WEBHOOK};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::WebhookStatus;

pub(super) async fn round(services: &FlowServices) -> Result<usize, StoreError> {
    let replays = services.store.replays_due(services.clock.now(), FLOW_ROUND_MAX).await?;
    let mut made = Vec::new();
    for replay in replays {
        made.push(advance(services, replay).await);
    }
    sum(made)
}

/// One batch. While the webhook does not send, it waits: a replay fills no backlog.
async fn advance(services: &FlowServices, replay: Replay) -> Result<usize, StoreError> {
    let now = services.clock.now();
    let webhooks = services.store.webhooks(replay.tenant_id, &[replay.webhook_id]).await?;
    let live = webhooks.first().filter(|webhook| webhook.deleted_at.is_none());
    let (next, originals) = match live.map(|webhook| webhook.status) {
        None => (replay.ended(ReplayState::Failed, Some("its webhook was deleted".to_owned()), now), vec![]),
        Some(WebhookStatus::Disabled) => {
            (replay.ended(ReplayState::Failed, Some("its webhook was disabled".to_owned()), now), vec![])
        }
        Some(WebhookStatus::Active) => {
            let wanted = replay.batch();
            let originals = services.store.deliveries_to_replay(&replay, wanted).await?;
            let ids: Vec<_> = originals.iter().map(|delivery| delivery.id).collect();
            let history_from = services.store.history_from().await?;
            (replay.after_batch_of_kept(&ids, wanted, history_from, now), originals)
        }
        Some(status) => {
            let reason = format!("{WAITS_FOR_WEBHOOK}{}", status.as_str());
            (replay.waiting(reason, plus_ms(now, REPLAY_WAIT_MS), now), vec![])
        }
    };
    let count = originals.len();
    let mut change = Change::at(now);
    let (state, made_count) = (next.state, next.made_count);
    change.writes.push(put(next, &replay));
    let anew = originals.into_iter().map(|original| Write::InsertDelivery(anew(services, &replay, &original)));
    change.writes.extend(anew);
    match services.commit(change).await? {
        Done::Committed => {
            if state != ReplayState::Running {
                let (replay_id, webhook_id, state) = (replay.id, replay.webhook_id, state.as_str());
                tracing::info!(%replay_id, %webhook_id, state, made_count, "a replay ended");
            }
            Ok(count)
        }
        Done::Raced => Ok(0),
        Done::Refused(reason) => refused(services, &replay, reason).await,
    }
}

/// What was refused once would be refused for ever: the webhook or an event of the range is gone.
async fn refused(services: &FlowServices, replay: &Replay, reason: String) -> Result<usize, StoreError> {
    tracing::warn!(replay_id = %replay.id, reason, "a replay cannot go on");
    let now = services.clock.now();
    let mut change = Change::at(now);
    change.writes.push(put(replay.ended(ReplayState::Failed, Some(reason), now), replay));
    services.commit(change).await.map(|_| 0)
}

fn put(next: Replay, read: &Replay) -> Write {
    Write::PutReplay { replay: next, expected: Expected::Version(read.version) }
}

fn anew(services: &FlowServices, replay: &Replay, original: &Delivery) -> NewDelivery {
    let payload_of = (replay.payload == ReplayPayload::Frozen).then_some(original.id);
    NewDelivery {
        id: services.entropy.uuid(services.clock.now()).into(),
        tenant_id: replay.tenant_id,
        webhook_id: replay.webhook_id,
        event: DeliveryEvent::Recorded(original.event_id),
        purpose: DeliveryPurpose::Replay { replay_id: replay.id, payload_of },
    }
}
