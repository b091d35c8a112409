//! The health of a webhook, from reads that are cheap: its newest attempts, and a bounded count of its backlog.

use crate::access::{DeliveriesRead, May};
use crate::context::ApiContext;
use crate::limits::{BACKLOG_COUNT_MAX, HEALTH_ATTEMPTS_MAX};
use crate::loaders::Bodies;
use async_graphql::{Enum, SimpleObject};
use hookgraph_domain::attempt::{Attempt, OutcomeCode};
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::settle::health_signal;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use hookgraph_pim::DateTime;
use std::collections::BTreeSet;

/// How a webhook fares.
#[derive(Clone, SimpleObject)]
pub(crate) struct WebhookHealth {
    /// How it fares, in a word.
    state: WebhookHealthState,
    /// Since when it has been in its `state`; where that is `WORKING`, since when it has had its `status`, whatever failed
    /// meanwhile.
    since: DateTime,
    /// The share of its newest attempts, at most 100, that its receiver failed: from 0 to 1. None without any. Tests, and what
    /// says nothing of the receiver, as faults of this server, are left out.
    failing_share: Option<f64>,
    /// How many deliveries are owed to it and have not ended, tests left out; counted up to 10000.
    backlog: u32,
    /// Whether there are more than `backlog` says.
    backlog_is_more: bool,
    /// When the first of the deliveries in its `backlog` was or will be due; none where all of them are held.
    oldest_due_at: Option<DateTime>,
    /// Half of the attempts that `failingShare` is of took no longer than this, in milliseconds.
    p50_ms: Option<u32>,
    /// All but one in a hundred of the attempts that `failingShare` is of took no longer than this, in milliseconds.
    p99_ms: Option<u32>,
    /// When the open breaker may probe next.
    next_probe_at: Option<DateTime>,
}

/// How a webhook fares, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum WebhookHealthState {
    /// Its attempts succeed, or none was made yet.
    Working,
    /// At least one attempt failed, and none has succeeded since. Where it was set to work again meanwhile, none has
    /// succeeded yet.
    Failing,
    /// The breaker is open: what is due is held until a probe may be made.
    Suspended,
    /// The breaker is half open: one delivery probes.
    Probing,
    /// What was held is becoming due.
    Draining,
    /// It does not send until a person acts: `status` says why.
    Stopped,
}

/// Reads the health of a webhook.
pub(super) async fn health(api: &ApiContext, webhook: &Webhook) -> Result<WebhookHealth, Refusal> {
    let deliveries = api.may::<DeliveriesRead>()?;
    let backlog = deliveries.backlog(webhook.id, BACKLOG_COUNT_MAX + 1).await?;
    let attempts = deliveries.webhook_attempts(webhook.id, HEALTH_ATTEMPTS_MAX, Bodies::NONE).await?;
    let attempts = without_tests(deliveries, attempts).await?;
    let failed = attempts.iter().filter(|attempt| attempt.code != OutcomeCode::Delivered).count();
    let mut took_ms: Vec<u32> = attempts.iter().map(took_ms).collect();
    took_ms.sort_unstable();
    let (state, since) = state(webhook, attempts.first());
    Ok(WebhookHealth {
        state,
        since: DateTime(since),
        failing_share: (!attempts.is_empty()).then(|| failed as f64 / attempts.len() as f64),
        backlog: backlog.count.min(BACKLOG_COUNT_MAX),
        backlog_is_more: backlog.count > BACKLOG_COUNT_MAX,
        oldest_due_at: backlog.oldest_due_at.map(DateTime),
        p50_ms: percentile(&took_ms, 50),
        p99_ms: percentile(&took_ms, 99),
        next_probe_at: webhook.breaker.probe_at.map(DateTime),
    })
}

/// The attempts that say something of the receiver.
async fn without_tests(may: May<'_, DeliveriesRead>, attempts: Vec<Attempt>) -> Result<Vec<Attempt>, StoreError> {
    let telling: Vec<_> = attempts.into_iter().filter(|it| health_signal(it.code, false).is_some()).collect();
    if telling.is_empty() {
        return Ok(telling);
    }
    let ids: BTreeSet<DeliveryId> = telling.iter().map(|attempt| attempt.delivery_id).collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let deliveries = may.deliveries(&ids).await?;
    let tests: BTreeSet<_> = deliveries.iter().filter(|it| it.is_test).map(|delivery| delivery.id).collect();
    Ok(telling.into_iter().filter(|attempt| !tests.contains(&attempt.delivery_id)).collect())
}

/// The state, and the time since when it holds. `newest` is the newest attempt that says something about the receiver:
/// a failure before a resume is forgiven, but does not make the webhook count as working.
fn state(webhook: &Webhook, newest: Option<&Attempt>) -> (WebhookHealthState, Timestamp) {
    use WebhookHealthState::{Draining, Failing, Probing, Stopped, Suspended, Working};
    match (webhook.status, webhook.draining, webhook.failing_since) {
        (WebhookStatus::Suspended, _, _) if webhook.breaker.probe_id.is_some() => (Probing, webhook.status_since),
        (WebhookStatus::Suspended, _, _) => (Suspended, webhook.status_since),
        (WebhookStatus::Active, Some(drain), _) => (Draining, drain.since),
        (WebhookStatus::Active, None, Some(since)) => (Failing, since),
        (WebhookStatus::Active, None, None) => {
            let failed_before =
                |newest: &Attempt| newest.code != OutcomeCode::Delivered && newest.ended_at < webhook.status_since;
            (if newest.is_some_and(failed_before) { Failing } else { Working }, webhook.status_since)
        }
        _ => (Stopped, webhook.status_since),
    }
}

fn took_ms(attempt: &Attempt) -> u32 {
    u32::try_from((attempt.ended_at - attempt.started_at).num_milliseconds()).unwrap_or(0)
}

/// The least of the sorted values that `percent` percent of the values do not exceed.
fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    sorted.get((sorted.len() * percent).div_ceil(100).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_the_least_value_that_so_many_do_not_exceed() {
        let hundred: Vec<u32> = (1..=100).collect();
        for (values, p50, p99) in [
            (&[][..], None, None),
            (&[7], Some(7), Some(7)),
            (&[1, 2], Some(1), Some(2)),
            (&hundred, Some(50), Some(99)),
        ] {
            assert_eq!((percentile(values, 50), percentile(values, 99)), (p50, p99));
        }
    }
}
