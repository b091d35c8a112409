//! Replays: past deliveries of a webhook sent again, as new deliveries of the same events.
//!
//! A replay is a durable row that a loop advances in batches. A batch and the row's progress commit together, so that a
//! crash costs the batch at hand and nothing is replayed twice.

use crate::delivery::DeliveryState;
use crate::flow::in_range;
use crate::ids::{DeliveryId, ReplayId, TenantId, WebhookId};
use crate::limits::{
    REPLAY_BATCH_MS, REPLAY_RANGE_MS_MAX, REPLAY_RATE_PER_SECOND_DEFAULT, REPLAY_RATE_PER_SECOND_MAX,
    REPLAY_RATE_PER_SECOND_MIN,
};
use crate::problem::Problem;
use crate::retention::created_at;
use crate::time::{Timestamp, plus_ms};
use chrono::SecondsFormat;
use std::collections::BTreeSet;

/// Which payload the new deliveries bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplayPayload {
    /// The one that was frozen then; rendered now where none was.
    #[default]
    Frozen,
    /// One rendered now, by the webhook's payload query as it stands.
    Fresh,
}

impl ReplayPayload {
    /// Both.
    pub const ALL: [ReplayPayload; 2] = [Self::Frozen, Self::Fresh];

    /// The name in the API and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReplayPayload::Frozen => "FROZEN",
            ReplayPayload::Fresh => "FRESH",
        }
    }

    /// The choice of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == name)
    }
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayState {
    /// Under way; it waits while its webhook does not send.
    Running,
    /// Everything in its range is made.
    Finished,
    /// Ended by a person; what it made until then stays.
    Cancelled,
    /// It cannot go on: its webhook was deleted or disabled.
    Failed,
}

impl ReplayState {
    /// Every state.
    pub const ALL: [ReplayState; 4] = [Self::Running, Self::Finished, Self::Cancelled, Self::Failed];

    /// The name in the API and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReplayState::Running => "RUNNING",
            ReplayState::Finished => "FINISHED",
            ReplayState::Cancelled => "CANCELLED",
            ReplayState::Failed => "FAILED",
        }
    }

    /// The state of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// How a replay says that some of its range is gone.
const REMOVED: &str = "retention removed what was created";

/// A replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// Whose.
    pub tenant_id: TenantId,
    /// To which webhook: that of the deliveries that are replayed.
    pub webhook_id: WebhookId,
    /// Deliveries created at or after.
    pub from: Timestamp,
    /// Deliveries created before.
    pub before: Timestamp,
    /// Deliveries in one of these states as it comes to them; empty means every state that has ended.
    pub states: Vec<DeliveryState>,
    /// How many it makes per second.
    pub rate_per_second: u32,
    /// With which payload.
    pub payload: ReplayPayload,
    /// Where it stands.
    pub state: ReplayState,
    /// Why it waits or failed.
    pub reason: Option<String>,
    /// The last delivery that it replayed: it goes on after this one.
    pub position: Option<DeliveryId>,
    /// How many it made.
    pub made_count: u64,
    /// When the next batch is due. Whoever writes the next version may make one.
    pub next_at: Timestamp,
    /// Who asked for it.
    pub user_id: Option<String>,
    /// 1 when created, one more with every write.
    pub version: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last went on.
    pub updated_at: Timestamp,
}

/// How the reason begins of one that waits for a webhook that does not send; its status follows.
pub const WAITS_FOR_WEBHOOK: &str = "its webhook is ";

impl Replay {
    /// How many deliveries a batch makes.
    pub fn batch(&self) -> u32 {
        let count = u64::from(self.rate_per_second) * REPLAY_BATCH_MS / 1_000;
        u32::try_from(count).unwrap_or(REPLAY_RATE_PER_SECOND_MAX).max(1)
    }

    /// The states that are replayed.
    pub fn wanted_states(&self) -> Vec<DeliveryState> {
        if self.states.is_empty() {
            DeliveryState::ALL.into_iter().filter(|state| state.is_final()).collect()
        } else {
            self.states.clone()
        }
    }

    /// One version on, after a batch of those deliveries out of `wanted`; finished where there were no more.
    pub fn after_batch(&self, replayed: &[DeliveryId], wanted: u32, now: Timestamp) -> Self {
        let is_last = replayed.len() < wanted as usize;
        Self {
            state: if is_last { ReplayState::Finished } else { ReplayState::Running },
            reason: None,
            position: replayed.last().copied().or(self.position),
            made_count: self.made_count.saturating_add(replayed.len() as u64),
            next_at: plus_ms(now, REPLAY_BATCH_MS),
            ..self.written(now)
        }
    }

    /// The same, where history is whole since `history_from`: what of the range was removed before the replay came to it is
    /// told, and stays told.
    pub fn after_batch_of_kept(
        &self,
        replayed: &[DeliveryId],
        wanted: u32,
        history_from: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let reached = self.position.and_then(|position| created_at(position.0)).unwrap_or(self.from);
        let missed = history_from.filter(|kept_from| reached < *kept_from).map(|kept_from| {
            let from = kept_from.to_rfc3339_opts(SecondsFormat::Secs, true);
            format!("{REMOVED} before {from}, ahead of the replay")
        });
        Self { reason: missed.or(self.told_of_removed()), ..self.after_batch(replayed, wanted, now) }
    }

    /// One version on, behind a delivery that it leaves out because its event is gone: that too is told, and stays told.
    pub fn behind(&self, left_out: DeliveryId, now: Timestamp) -> Self {
        let missed = || format!("{REMOVED} in a part of its range, ahead of the replay");
        let reason = self.told_of_removed().or_else(|| Some(missed()));
        Self { position: Some(left_out), reason, ..self.written(now) }
    }

    /// What it has told so far of what was removed.
    fn told_of_removed(&self) -> Option<String> {
        self.reason.clone().filter(|reason| reason.starts_with(REMOVED))
    }

    /// One version on, in that state.
    pub fn ended(&self, state: ReplayState, reason: Option<String>, now: Timestamp) -> Self {
        Self { state, reason, ..self.written(now) }
    }

    /// One version on, looking again at `next_at`.
    pub fn waiting(&self, reason: String, next_at: Timestamp, now: Timestamp) -> Self {
        Self { reason: Some(reason), next_at, ..self.written(now) }
    }

    fn written(&self, now: Timestamp) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self.clone() }
    }

    /// When the delivery at its position was made, within its range; none as long as it has replayed nothing.
    pub fn position_at(&self) -> Option<Timestamp> {
        // An id has its time to the millisecond, and by the clock of whoever made it.
        Some(created_at(self.position?.0)?.max(self.from).min(self.before))
    }

    /// Whether it and a range of time have a moment in common.
    pub fn overlaps(&self, from: Timestamp, before: Timestamp) -> bool {
        self.from < before && from < self.before
    }
}

/// A replay as a user asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayDraft {
    /// `from`.
    pub from: Timestamp,
    /// `to`.
    pub before: Timestamp,
    /// `states`.
    pub states: Vec<DeliveryState>,
    /// `ratePerSecond`; none means [`REPLAY_RATE_PER_SECOND_DEFAULT`].
    pub rate_per_second: Option<i64>,
}

/// Judges whether a draft's range is still kept: history is whole since `history_from`.
///
/// # Errors
/// The problem, with the range that is allowed.
pub fn check_kept(draft: &ReplayDraft, history_from: Option<Timestamp>, path: &str) -> Result<(), Vec<Problem>> {
    let Some(kept_from) = history_from.filter(|kept_from| draft.from < *kept_from) else { return Ok(()) };
    let message = format!(
        "history before {} may have been removed: the range may begin there or later",
        kept_from.to_rfc3339_opts(SecondsFormat::Secs, true)
    );
    Err(vec![Problem::new(format!("{path}.from"), "RANGE_NOT_KEPT", message)])
}

/// Judges a draft at that time, and answers its rate.
///
/// # Errors
/// Every problem that it has; `path` is where it stands in the input.
pub fn check(draft: &ReplayDraft, now: Timestamp, path: &str) -> Result<u32, Vec<Problem>> {
    let mut problems = Vec::new();
    if draft.from >= now {
        let now = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        let message = format!("nothing is there to replay yet: the range must begin before now, {now}");
        problems.push(Problem::new(format!("{path}.from"), "RANGE_IN_FUTURE", message));
    }
    if draft.before <= draft.from {
        let message = "the range is empty: `to` must be later than `from`";
        problems.push(Problem::new(format!("{path}.to"), "RANGE_EMPTY", message));
    }
    if plus_ms(draft.from, REPLAY_RANGE_MS_MAX) < draft.before {
        let days = REPLAY_RANGE_MS_MAX / (24 * 3600 * 1_000);
        let message = format!("the range is longer than the {days} days that are allowed: replay it in parts");
        problems.push(Problem::new(format!("{path}.to"), "RANGE_TOO_LONG", message));
    }
    // One that is named over and over is told where it stands first.
    let mut told = BTreeSet::new();
    let open = draft.states.iter().enumerate().filter(|(_, state)| !state.is_final() && told.insert(**state));
    for (index, state) in open {
        let name = state.as_str();
        let message =
            format!("{name} has not ended: DELIVERED, FAILED, RENDER_FAILED, CANCELLED and EXPIRED can be replayed");
        problems.push(Problem::new(format!("{path}.states.{index}"), "STATE_NOT_FINAL", message));
    }
    let asked = draft.rate_per_second.unwrap_or_else(|| REPLAY_RATE_PER_SECOND_DEFAULT.into());
    let range = (REPLAY_RATE_PER_SECOND_MIN, REPLAY_RATE_PER_SECOND_MAX);
    let rate = in_range(asked, range, &format!("{path}.ratePerSecond"), "RATE_OUT_OF_RANGE", &mut problems);
    if problems.is_empty() { Ok(rate) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::now;
    use uuid::Uuid;

    fn draft() -> ReplayDraft {
        ReplayDraft { from: now(), before: plus_ms(now(), 1_000), states: Vec::new(), rate_per_second: None }
    }

    fn replay() -> Replay {
        Replay {
            id: ReplayId(Uuid::from_u128(9)),
            tenant_id: TenantId(Uuid::from_u128(1)),
            webhook_id: WebhookId(Uuid::from_u128(2)),
            from: now(),
            before: plus_ms(now(), 1_000),
            states: Vec::new(),
            rate_per_second: 50,
            payload: ReplayPayload::Frozen,
            state: ReplayState::Running,
            reason: None,
            position: None,
            made_count: 0,
            next_at: now(),
            user_id: None,
            version: 1,
            created_at: now(),
            updated_at: now(),
        }
    }

    #[test]
    fn a_draft_out_of_range_is_told_what_is_allowed() {
        let later = plus_ms(now(), 500);
        assert_eq!(check(&draft(), later, "input"), Ok(50));
        let told = |draft: ReplayDraft| {
            let problems = check(&draft, later, "input").unwrap_err();
            problems.into_iter().map(|problem| (problem.path, problem.code)).collect::<Vec<_>>()
        };
        let is = |path: &str, code: &str| vec![(path.to_owned(), code.to_owned())];
        assert_eq!(told(ReplayDraft { before: now(), ..draft() }), is("input.to", "RANGE_EMPTY"));
        let long = plus_ms(now(), REPLAY_RANGE_MS_MAX + 1);
        assert_eq!(told(ReplayDraft { before: long, ..draft() }), is("input.to", "RANGE_TOO_LONG"));
        let yet_to_come = ReplayDraft { from: later, before: plus_ms(later, 1), ..draft() };
        assert_eq!(told(yet_to_come), is("input.from", "RANGE_IN_FUTURE"));
        let states = vec![DeliveryState::Failed, DeliveryState::Held, DeliveryState::Held];
        assert_eq!(told(ReplayDraft { states, ..draft() }), is("input.states.1", "STATE_NOT_FINAL"));
        for rate in [0, 201] {
            let problems = check(&ReplayDraft { rate_per_second: Some(rate), ..draft() }, later, "input").unwrap_err();
            assert_eq!(problems[0].message, format!("{rate}: 1 to 200 are allowed"));
        }
    }

    #[test]
    fn a_batch_moves_it_on_and_the_last_one_finishes_it() {
        let (first, second) = (DeliveryId(Uuid::from_u128(1)), DeliveryId(Uuid::from_u128(2)));
        let after = replay().after_batch(&[first, second], 2, now());
        assert_eq!((after.state, after.position, after.made_count), (ReplayState::Running, Some(second), 2));
        assert_eq!((after.version, after.next_at), (2, plus_ms(now(), REPLAY_BATCH_MS)));
        let done = after.after_batch(&[], 2, now());
        assert_eq!((done.state, done.position, done.made_count), (ReplayState::Finished, Some(second), 2));
    }

    #[test]
    fn when_the_delivery_at_its_position_was_made_is_told_and_within_its_range() {
        assert_eq!(replay().position_at(), None);
        assert_eq!(replay().after_batch(&[], 2, now()).position_at(), None, "it found nothing");
        for (made_ms, told_ms) in [(600, 600), (5_000, 1_000)] {
            let position = DeliveryId(crate::retention::lowest_id(plus_ms(now(), made_ms)));
            let after = replay().after_batch(&[position], 1, now());
            assert_eq!(after.position_at(), Some(plus_ms(now(), told_ms)));
        }
        let early = replay().after_batch(&[DeliveryId(Uuid::from_u128(1))], 1, now());
        assert_eq!(early.position_at(), Some(now()));
    }

    #[test]
    fn a_range_that_is_not_kept_any_more_is_told_when_asked_for_and_when_come_to() {
        let kept_from = Some(plus_ms(now(), 500));
        let problems = check_kept(&draft(), kept_from, "input").unwrap_err();
        assert_eq!((problems[0].path.as_str(), problems[0].code.as_str()), ("input.from", "RANGE_NOT_KEPT"));
        assert!(problems[0].message.ends_with("the range may begin there or later"), "{}", problems[0].message);
        for kept_from in [None, Some(now())] {
            assert_eq!(check_kept(&draft(), kept_from, "input"), Ok(()));
            assert_eq!(replay().after_batch_of_kept(&[], 2, kept_from, now()).reason, None);
        }
        let told = replay().after_batch_of_kept(
            &[DeliveryId(crate::retention::lowest_id(plus_ms(now(), 600)))],
            1,
            kept_from,
            now(),
        );
        assert!(told.reason.is_some());
        assert_eq!(told.after_batch_of_kept(&[], 1, kept_from, now()).reason, told.reason, "it stays told");
    }

    #[test]
    fn what_is_left_out_is_told_and_moves_it_on_without_being_counted() {
        let (first, second) = (DeliveryId(Uuid::from_u128(1)), DeliveryId(Uuid::from_u128(2)));
        let behind = replay().behind(first, now());
        assert_eq!((behind.state, behind.position, behind.made_count), (ReplayState::Running, Some(first), 0));
        assert_eq!((behind.version, behind.next_at), (2, now()), "it goes on at once");
        assert!(behind.reason.as_ref().is_some_and(|reason| reason.starts_with(REMOVED)));
        assert_eq!(behind.after_batch_of_kept(&[second], 1, None, now()).reason, behind.reason);
        let waiting = Replay { reason: Some(format!("{WAITS_FOR_WEBHOOK}PAUSED")), ..replay() };
        assert_eq!(waiting.behind(first, now()).reason, behind.reason);
    }

    #[test]
    fn ranges_overlap_where_they_share_a_moment() {
        for (from_ms, before_ms, expected) in [(0, 1, true), (999, 2_000, true), (1_000, 2_000, false)] {
            assert_eq!(replay().overlaps(plus_ms(now(), from_ms), plus_ms(now(), before_ms)), expected);
        }
    }
}
