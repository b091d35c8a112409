//! Retries or cancels many deliveries by filter: a call changes a bounded number, and returns the cursor to go on from.

use super::{DeliveryStateName, distinct_states, narrow_to_replay};
use crate::access::{DeliveriesRead, DeliveriesWrite, Managed};
use crate::connection::{page_size, require_range};
use crate::context::ApiContext;
use async_graphql::{ID, InputObject, SimpleObject};
use hookgraph_domain::change::{Change, CommitError, Write};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::limits::DELIVERIES_AT_ONCE_MAX;
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::DateTime;
use serde_json::json;
use uuid::Uuid;

/// Deliveries that a call looks at where the caller names no number.
const DEFAULT: u32 = 100;
/// [`DEFAULT`] in the type of the argument.
pub(super) const FIRST_DEFAULT: i32 = DEFAULT as i32;
/// Deliveries of one transaction.
const BATCH: usize = 50;

/// Which deliveries: name at least one of `webhookId`, `eventId`, `replayId`, `createdFrom` and `createdBefore`, or say `all`.
/// Where nothing but `states` is named, or nothing at all, the filter is refused: it would choose of the whole tenant's.
#[derive(Clone, InputObject)]
pub(crate) struct DeliveriesFilter {
    /// To this webhook.
    pub webhook_id: Option<ID>,
    /// Of this event.
    pub event_id: Option<ID>,
    /// Made by this replay.
    pub replay_id: Option<ID>,
    /// In one of these states; where none is named, in any that the change is for.
    pub states: Option<Vec<DeliveryStateName>>,
    /// Created at or after.
    pub created_from: Option<DateTime>,
    /// Created before.
    pub created_before: Option<DateTime>,
    /// True for all of the tenant's, beside nothing but `states`.
    pub all: Option<bool>,
}

impl DeliveriesFilter {
    /// Refuses a filter that chooses among all of the tenant's deliveries without `all`, as where a variable was left
    /// out, and a filter that has `all` beside a narrowing field.
    fn require_choice(&self) -> Result<(), Refusal> {
        let is_narrowed = self.webhook_id.is_some()
            || self.event_id.is_some()
            || self.replay_id.is_some()
            || self.created_from.is_some()
            || self.created_before.is_some();
        match (is_narrowed, self.all == Some(true)) {
            (true, false) | (false, true) => Ok(()),
            (false, false) => {
                let message = "this would choose of all of the tenant's deliveries: name webhookId, eventId, replayId, \
                               createdFrom or createdBefore, or say all: true";
                Err(Refusal::invalid_at("filter", "FILTER_EMPTY", message))
            }
            (true, true) => {
                let message = "all of the tenant's deliveries are chosen, and some of them: leave out `all`, or what \
                               stands beside it but states";
                Err(Refusal::invalid_at("filter.all", "FILTER_AMBIGUOUS", message))
            }
        }
    }
}

/// What became of many deliveries.
#[derive(SimpleObject)]
pub(crate) struct DeliveriesChanged {
    /// How many were changed.
    count: u32,
    /// How many were passed over: they changed meanwhile, or their webhook does not allow it.
    passed_over_count: u32,
    /// Whether there are more: call again with `endCursor` as `after`.
    has_more: bool,
    /// The cursor of the last delivery that was looked at; none where there was none.
    end_cursor: Option<String>,
}

pub(super) async fn retry_many(
    api: &ApiContext,
    filter: DeliveriesFilter,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<DeliveriesChanged, Refusal> {
    use DeliveryState::{Cancelled, Delivered, Expired, Failed, RenderFailed};
    let states = States {
        default: &[Failed, RenderFailed, Cancelled, Expired],
        allowed: &[Delivered, Failed, RenderFailed, Cancelled, Expired],
        verb: "retried",
        action: "delivery.retryMany",
    };
    change_many(api, filter, states, first, after, Write::RetryDelivery).await
}

pub(super) async fn cancel_many(
    api: &ApiContext,
    filter: DeliveriesFilter,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<DeliveriesChanged, Refusal> {
    use DeliveryState::{Held, InFlight, Pending, Retrying};
    const OPEN: &[DeliveryState] = &[Pending, Retrying, Held, InFlight];
    let states = States { default: OPEN, allowed: OPEN, verb: "cancelled", action: "delivery.cancelMany" };
    let cancel = |delivery_id| Write::CancelDelivery { delivery_id, reason: "cancelled by a person".to_owned() };
    change_many(api, filter, states, first, after, cancel).await
}

/// The states of the deliveries that a change is for.
struct States {
    default: &'static [DeliveryState],
    allowed: &'static [DeliveryState],
    verb: &'static str,
    /// The action's name in the audit log.
    action: &'static str,
}

impl States {
    fn of(&self, filter: &DeliveriesFilter) -> Result<Vec<DeliveryState>, Refusal> {
        let Some(named) = filter.states.as_ref().filter(|named| !named.is_empty()) else {
            return Ok(self.default.to_vec());
        };
        let mut states = named.iter().copied().map(DeliveryState::from).enumerate();
        match states.find(|(_, state)| !self.allowed.contains(state)) {
            None => Ok(distinct_states(named.iter().copied())),
            Some((index, state)) => {
                let allowed: Vec<_> = self.allowed.iter().map(|state| state.as_str()).collect();
                let message = format!("{} cannot be {}: {} can", state.as_str(), self.verb, allowed.join(", "));
                Err(Refusal::invalid_at(format!("filter.states.{index}"), "STATE_NOT_ALLOWED", message))
            }
        }
    }
}

async fn change_many(
    api: &ApiContext,
    filter: DeliveriesFilter,
    states: States,
    first: Option<i32>,
    after: Option<&str>,
    write: impl Fn(DeliveryId) -> Write,
) -> Result<DeliveriesChanged, Refusal> {
    let limit = page_size("first", first, DEFAULT, DELIVERIES_AT_ONCE_MAX)?;
    let before = after.map(|cursor| {
        let wrong = || Refusal::invalid_at("after", "CURSOR", format!("{cursor:?} is no cursor of an answer"));
        Uuid::try_parse(cursor).map_err(|_| wrong())
    });
    filter.require_choice()?;
    require_range(filter.created_from, filter.created_before, "filter.createdBefore")?;
    let mut query = DeliveryQuery {
        webhook_id: filter.webhook_id.as_ref().map(|id| crate::ids::required("webhook", id)).transpose()?,
        event_id: filter.event_id.as_ref().map(|id| crate::ids::required("event", id)).transpose()?,
        states: states.of(&filter)?,
        created_from: filter.created_from.map(Into::into),
        created_before: filter.created_before.map(Into::into),
        before: before.transpose()?,
        ..DeliveryQuery::of(api.tenant_id(), limit + 1)
    };
    narrow_to_replay(api, &mut query, filter.replay_id.as_ref()).await?;
    let found = api.may::<DeliveriesRead>()?.delivery_page(&query).await?;
    let has_more = found.len() > limit as usize;
    let ids: Vec<DeliveryId> = found.iter().take(limit as usize).map(|delivery| delivery.id).collect();
    let mut count = 0;
    for batch in ids.chunks(BATCH) {
        count += change_batch(api, batch, states.action, &write).await?;
    }
    Ok(DeliveriesChanged {
        count,
        passed_over_count: u32::try_from(ids.len()).unwrap_or(u32::MAX).saturating_sub(count),
        has_more,
        end_cursor: ids.last().map(ToString::to_string),
    })
}

/// Changes a batch of deliveries in one transaction; where the store refuses it, one by one. Returns how many were
/// changed.
async fn change_batch(
    api: &ApiContext,
    ids: &[DeliveryId],
    action: &'static str,
    write: impl Fn(DeliveryId) -> Write,
) -> Result<u32, Refusal> {
    let allowed = api.may::<DeliveriesWrite>()?;
    let managed = |ids: &[DeliveryId]| Managed {
        action,
        subject: "deliveries".to_owned(),
        before: None,
        after: Some(json!({ "ids": ids })),
    };
    let change = |ids: &[DeliveryId]| {
        let mut change = Change::at(api.now());
        change.writes = ids.iter().copied().map(&write).collect();
        change
    };
    match allowed.commit(change(ids), managed(ids)).await {
        Ok(_) => return Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX)),
        Err(CommitError::Store(error)) => return Err(error.into()),
        Err(_) => {}
    }
    let mut count = 0;
    for id in ids {
        match allowed.commit(change(&[*id]), managed(&[*id])).await {
            Ok(_) => count += 1,
            Err(CommitError::Store(error)) => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: DeliveriesFilter = DeliveriesFilter {
        webhook_id: None,
        event_id: None,
        replay_id: None,
        states: None,
        created_from: None,
        created_before: None,
        all: None,
    };

    #[test]
    fn deliveries_of_the_whole_tenant_are_chosen_by_who_says_so_alone() {
        use DeliveryStateName::Failed;
        let told = |filter: DeliveriesFilter| match filter.require_choice() {
            Ok(()) => "chosen".to_owned(),
            Err(refusal) => format!("{} {}", refusal.problems[0].path, refusal.problems[0].code),
        };
        let at = || Some(DateTime(hookgraph_testkit::sample::now()));
        let one = || Some(ID::from("00000000-0000-0000-0000-000000000001"));
        for all in [None, Some(false)] {
            assert_eq!(told(DeliveriesFilter { all, ..NOTHING }), "filter FILTER_EMPTY");
            assert_eq!(told(DeliveriesFilter { all, states: Some(vec![Failed]), ..NOTHING }), "filter FILTER_EMPTY");
        }
        assert_eq!(told(DeliveriesFilter { all: Some(true), ..NOTHING }), "chosen");
        assert_eq!(told(DeliveriesFilter { all: Some(true), states: Some(vec![Failed]), ..NOTHING }), "chosen");
        for narrowed in [
            DeliveriesFilter { webhook_id: one(), ..NOTHING },
            DeliveriesFilter { event_id: one(), ..NOTHING },
            DeliveriesFilter { replay_id: one(), ..NOTHING },
            DeliveriesFilter { created_from: at(), ..NOTHING },
            DeliveriesFilter { created_before: at(), ..NOTHING },
        ] {
            let ambiguous = DeliveriesFilter { all: Some(true), ..narrowed.clone() };
            assert_eq!(told(ambiguous), "filter.all FILTER_AMBIGUOUS");
            assert_eq!(told(DeliveriesFilter { all: Some(false), ..narrowed.clone() }), "chosen");
            assert_eq!(told(narrowed), "chosen");
        }
    }

    #[test]
    fn states_that_are_named_over_and_over_count_once_and_a_wrong_one_is_told_with_its_place() {
        use DeliveryStateName::{Delivered, Held, Pending};
        const ALLOWED: &[DeliveryState] = &[DeliveryState::Pending, DeliveryState::Held];
        let of = |named: Vec<DeliveryStateName>| {
            let states =
                States { default: ALLOWED, allowed: ALLOWED, verb: "cancelled", action: "delivery.cancelMany" };
            let filter = DeliveriesFilter { states: Some(named), ..NOTHING };
            states.of(&filter).map_err(|refusal| refusal.problems[0].path.clone())
        };
        assert_eq!(of([Held, Pending, Held].repeat(1_000)), Ok(ALLOWED.to_vec()));
        assert_eq!(of(Vec::new()), Ok(ALLOWED.to_vec()));
        assert_eq!(of(vec![Held, Held, Delivered]), Err("filter.states.2".to_owned()));
    }
}
