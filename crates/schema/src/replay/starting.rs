//! Begins a replay: writes the row that the dispatcher's flow loop advances.

use super::object::{ReplayObject, ReplayPayloadName};
use crate::access::{DeliveriesRead, DeliveriesWrite, Managed};
use crate::context::ApiContext;
use crate::delivery::{DeliveryStateName, distinct_states};
use crate::webhook::{live_webhook, require_held};
use async_graphql::{ID, InputObject};
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::limits::REPLAYS_RUNNING_MAX;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::replay::{self, Replay, ReplayDraft, ReplayState};
use hookgraph_domain::time::shown;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use hookgraph_pim::{DateTime, until_committed};
use serde_json::json;
use std::sync::Arc;

/// What to replay, and how.
#[derive(Clone, InputObject)]
pub(crate) struct ReplayWebhookInput {
    /// Whose deliveries, and to whom they go again.
    pub webhook_id: ID,
    /// Deliveries created at or after.
    pub from: DateTime,
    /// Deliveries created before; at most 90 days after `from`, and no later than now: a later time means now.
    pub to: DateTime,
    /// Deliveries in one of these states; in any that has ended where none is named.
    pub states: Option<Vec<DeliveryStateName>>,
    /// How many to make per second: 1 to 200, 50 where none is named.
    pub rate_per_second: Option<i32>,
    /// With which payload: the frozen one where none is named.
    pub payload: Option<ReplayPayloadName>,
}

/// Writes the replay down. The webhook's version rises in the same change, so that of two replays that begin at once
/// the second conflicts and is decided again, beside the first.
pub(crate) async fn start_replay(api: &ApiContext, input: &ReplayWebhookInput) -> Result<ReplayObject, Refusal> {
    let draft = ReplayDraft {
        from: input.from.into(),
        before: input.to.into(),
        states: input.states.iter().flatten().copied().map(Into::into).collect(),
        rate_per_second: input.rate_per_second.map(i64::from),
    };
    let now = api.now();
    let history_from = api.may::<DeliveriesRead>()?.history_from().await?;
    let kept = replay::check_kept(&draft, history_from, "input");
    let rate_per_second = match (kept, replay::check(&draft, now, "input")) {
        (Ok(()), Ok(rate_per_second)) => rate_per_second,
        (kept, checked) => {
            let problems = kept.err().into_iter().chain(checked.err()).flatten();
            return Err(Refusal::invalid(problems.collect()));
        }
    };
    // A range ends now at the latest, at a time as the API shows it, so that the next replay may begin there. A state
    // that is named several times is kept once.
    let states = distinct_states(input.states.iter().flatten().copied());
    let draft = ReplayDraft { before: draft.before.min(shown(now)), states, ..draft };
    until_committed(async || {
        let webhook = live_webhook(api, &input.webhook_id).await?;
        require_held(api, &webhook)?;
        check_others(api, &webhook, &draft).await?;
        let replay = replay(api, &webhook, &draft, rate_per_second, input.payload);
        let expected = Expected::Version(webhook.version);
        let webhook = Webhook { version: webhook.version + 1, ..(*webhook).clone() };
        let mut change = Change::at(replay.created_at);
        change.writes.push(Write::PutWebhook { webhook, expected });
        change.writes.push(Write::PutReplay { replay: replay.clone(), expected: Expected::Absent });
        let managed = Managed {
            action: "webhook.replay",
            subject: format!("webhook:{}", replay.webhook_id),
            before: None,
            after: Some(json!({ "replayId": replay.id })),
        };
        api.may::<DeliveriesWrite>()?.commit(change, managed).await?;
        Ok(ReplayObject(Arc::new(replay)))
    })
    .await
}

/// Refuses a replay of a webhook that is switched off, a replay that overlaps a running one of the same webhook, and
/// one beyond the number of replays that may run.
async fn check_others(api: &ApiContext, webhook: &Webhook, draft: &ReplayDraft) -> Result<(), Refusal> {
    if webhook.status == WebhookStatus::Disabled {
        let message = "the webhook is DISABLED: switch it on first";
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    let running = api.may::<DeliveriesRead>()?.running_replays().await?;
    let of_it = running.iter().filter(|other| other.webhook_id == webhook.id);
    if let Some(other) = of_it.clone().find(|other| other.overlaps(draft.from, draft.before)) {
        let message = format!(
            "replay {} of this webhook is running from {} to {}, which overlaps: wait for it, or cancel it",
            other.id,
            DateTime(other.from),
            DateTime(other.before)
        );
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    if running.len() >= REPLAYS_RUNNING_MAX {
        let message = format!("{REPLAYS_RUNNING_MAX} replays are running, and that is the limit: wait for one to end");
        return Err(Refusal::new(RefusalCode::LimitExceeded, message));
    }
    Ok(())
}

fn replay(
    api: &ApiContext,
    webhook: &Webhook,
    draft: &ReplayDraft,
    rate_per_second: u32,
    payload: Option<ReplayPayloadName>,
) -> Replay {
    let now = api.now();
    Replay {
        id: api.new_id().into(),
        tenant_id: api.tenant_id(),
        webhook_id: webhook.id,
        from: draft.from,
        before: draft.before,
        states: draft.states.clone(),
        rate_per_second,
        payload: payload.map_or_else(Default::default, Into::into),
        state: ReplayState::Running,
        reason: None,
        position: None,
        made_count: 0,
        next_at: now,
        user_id: api.caller.user_id.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}
