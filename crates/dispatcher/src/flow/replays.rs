//! Replays: the deliveries of a replay's range are made anew, in batches.

use super::{BatchEnd, FlowServices, sum};
use crate::limits::{FLOW_ROUND_MAX, REPLAY_LEFT_OUT_MAX};
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::{Delivery, DeliveryEvent, DeliveryPurpose, NewDelivery};
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::limits::REPLAY_WAIT_MS;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState, WAITS_FOR_WEBHOOK};
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::WebhookStatus;

/// Advances each replay whose next batch is due, and answers how many deliveries were made.
pub(super) async fn round(services: &FlowServices) -> Result<usize, StoreError> {
    let replays = services.store.replays_due(services.clock.now(), FLOW_ROUND_MAX).await?;
    let mut made = Vec::new();
    for replay in replays {
        made.push(advance(services, replay).await);
    }
    sum(made)
}

/// Makes the next batch of a replay. A batch that is refused is read again, half as large: the webhook may have
/// changed, or retention may have removed events meanwhile. A single delivery that is refused is left out, so that an
/// event that is gone costs no other, and the replay goes on behind it.
async fn advance(services: &FlowServices, mut replay: Replay) -> Result<usize, StoreError> {
    let mut wanted = replay.batch();
    let mut left_out_count = 0;
    loop {
        let now = services.clock.now();
        let (next, originals) = batch(services, &replay, wanted, now).await?;
        let (state, made_count) = (next.state, next.made_count);
        let mut change = Change::at(now);
        change.writes.push(put(next, &replay));
        change.writes.extend(originals.iter().map(|original| Write::InsertDelivery(anew(services, &replay, original))));
        match services.commit(change).await? {
            BatchEnd::Committed => {
                if state != ReplayState::Running {
                    let (replay_id, webhook_id, state) = (replay.id, replay.webhook_id, state.as_str());
                    tracing::info!(%replay_id, %webhook_id, state, made_count, "a replay ended");
                }
                return Ok(originals.len());
            }
            BatchEnd::Raced => return Ok(0),
            BatchEnd::Refused(reason) => {
                let (replay_id, count) = (replay.id, originals.len());
                tracing::debug!(%replay_id, count, reason, "a batch of a replay is refused: it is read again");
                match originals.as_slice() {
                    [] => return Ok(0),
                    [only] => {
                        let Some(behind) = leave_out(services, &replay, only.id).await? else { return Ok(0) };
                        left_out_count += 1;
                        if left_out_count == REPLAY_LEFT_OUT_MAX {
                            return Ok(0);
                        }
                        wanted = behind.batch();
                        replay = behind;
                    }
                    _ => wanted = wanted.min(u32::try_from(count).unwrap_or(u32::MAX)).div_ceil(2),
                }
            }
        }
    }
}

/// The replay after its next batch, and the original deliveries of that batch. While the webhook does not send, the
/// replay waits: it fills no backlog.
async fn batch(
    services: &FlowServices,
    replay: &Replay,
    wanted: u32,
    now: Timestamp,
) -> Result<(Replay, Vec<Delivery>), StoreError> {
    let failed = |reason: &str| (replay.ended(ReplayState::Failed, Some(reason.to_owned()), now), vec![]);
    Ok(match status_of_webhook(services, replay).await? {
        None => failed("its webhook was deleted"),
        Some(WebhookStatus::Disabled) => failed("its webhook was disabled"),
        Some(WebhookStatus::Active) => {
            let originals = services.store.deliveries_to_replay(replay, wanted).await?;
            let ids: Vec<_> = originals.iter().map(|delivery| delivery.id).collect();
            let history_from = services.store.history_from().await?;
            (replay.after_batch_of_kept(&ids, wanted, history_from, now), originals)
        }
        Some(status) => {
            let reason = format!("{WAITS_FOR_WEBHOOK}{}", status.as_str());
            (replay.waiting(reason, plus_ms(now, REPLAY_WAIT_MS), now), vec![])
        }
    })
}

/// The status of the replay's webhook; none where the webhook is deleted.
async fn status_of_webhook(services: &FlowServices, replay: &Replay) -> Result<Option<WebhookStatus>, StoreError> {
    let webhooks = services.store.webhooks(replay.tenant_id, &[replay.webhook_id]).await?;
    Ok(webhooks.first().filter(|webhook| webhook.deleted_at.is_none()).map(|webhook| webhook.status))
}

/// Leaves out a delivery that was refused alone, and answers the replay behind it. None where the webhook was the
/// reason, or another process was faster: then the next round decides.
async fn leave_out(
    services: &FlowServices,
    replay: &Replay,
    left_out: DeliveryId,
) -> Result<Option<Replay>, StoreError> {
    if status_of_webhook(services, replay).await? != Some(WebhookStatus::Active) {
        return Ok(None);
    }
    let now = services.clock.now();
    let behind = replay.behind(left_out, now);
    let mut change = Change::at(now);
    change.writes.push(put(behind.clone(), replay));
    let BatchEnd::Committed = services.commit(change).await? else { return Ok(None) };
    let replay_id = replay.id;
    tracing::warn!(%replay_id, delivery_id = %left_out, "a replay leaves out a delivery whose event is gone");
    Ok(Some(behind))
}

/// The write that moves a replay on from the version that was read.
fn put(next: Replay, read: &Replay) -> Write {
    Write::PutReplay { replay: next, expected: Expected::Version(read.version) }
}

/// The delivery that is made anew of an original.
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
