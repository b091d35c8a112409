//! Retention: how old history, feed and what is owed may become. Pure decisions; [`crate::ports::Retention`] acts on them.
//!
//! History goes by whole days of UTC, the oldest first. An event stays as long as a delivery of it does, and what is still
//! owed is never removed: it ends as `EXPIRED` first.

use crate::limits::{DELIVERY_DUE_MS_MAX, ENDED_KEPT_MS_MIN};
use crate::time::{Timestamp, minus_ms};
use chrono::{NaiveTime, TimeDelta};
use uuid::Uuid;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionRules {
    /// Events, deliveries and attempts, in days: at least so long.
    pub history_days: u32,
    /// What history may occupy, in bytes; none for as much as comes. Today is never removed for it.
    pub history_bytes_max: Option<u64>,
    /// The feed that subscribers resume from, in days.
    pub feed_days: u32,
    /// What is owed and not in flight, in days: then it ends as `EXPIRED`. No more than [`DELIVERY_DUE_MS_MAX`].
    pub due_days: u32,
    /// The audit log, in days.
    pub audit_days: u32,
}

impl RetentionRules {
    /// The feed older than this may go.
    pub fn feed_before(&self, now: Timestamp) -> Timestamp {
        minus_ms(now, u64::from(self.feed_days) * DAY_MS)
    }

    /// Of the work that ended and of the audit log, what goes by its age.
    pub fn work_cut(&self, now: Timestamp) -> WorkCut {
        WorkCut {
            ended_before: minus_ms(now, u64::from(self.history_days) * DAY_MS),
            audited_before: minus_ms(now, u64::from(self.audit_days) * DAY_MS),
        }
    }

    /// What has been owed since before this ends as `EXPIRED`.
    pub fn owed_before(&self, now: Timestamp) -> Timestamp {
        minus_ms(now, (u64::from(self.due_days) * DAY_MS).min(DELIVERY_DUE_MS_MAX))
    }

    /// What a delivery that expires says of itself.
    pub fn expired_reason(&self) -> String {
        format!("owed for more than {} days", self.due_days)
    }
}

/// What goes beside the history: replays and tenant copies that ended, and the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkCut {
    /// Replays and copies that ended before this; what still runs stays, however old it is.
    pub ended_before: Timestamp,
    /// Entries of the audit log from before this.
    pub audited_before: Timestamp,
}

/// Which history goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryCut {
    /// What was created before this, the beginning of a day.
    pub before: Timestamp,
    /// Of the deliveries among it those that ended before this: one that ends late is still shown for a while.
    pub ended_before: Timestamp,
}

impl HistoryCut {
    /// The days that are older than the rules keep.
    pub fn by_age(rules: &RetentionRules, now: Timestamp) -> Self {
        let kept_ms = u64::from(rules.history_days) * DAY_MS;
        Self {
            before: start_of_day(minus_ms(now, kept_ms)),
            ended_before: minus_ms(now, kept_ms.min(ENDED_KEPT_MS_MIN)),
        }
    }

    /// The day of that moment, because there is no room for it; none where it is today.
    pub fn of_day(oldest_at: Timestamp, now: Timestamp) -> Option<Self> {
        let before = start_of_day(oldest_at).checked_add_signed(TimeDelta::days(1))?;
        (before <= start_of_day(now)).then_some(Self { before, ended_before: now })
    }

    /// The lowest id that stays: ids are UUID v7.
    pub fn floor(&self) -> Uuid {
        lowest_id(self.before)
    }
}

/// The bits of an id behind its time, in milliseconds since 1970, which has the others.
const ID_BITS_AFTER_TIME: u32 = 80;

/// The lowest id (UUID v7) of what is created at that moment or later; of a moment that no id can name, that of the nearest.
pub fn lowest_id(at: Timestamp) -> Uuid {
    let last_ms = u128::MAX >> ID_BITS_AFTER_TIME;
    let ms = u128::try_from(at.timestamp_millis()).unwrap_or(0).min(last_ms);
    Uuid::from_u128(ms << ID_BITS_AFTER_TIME)
}

/// When what bears that id (UUID v7) was created, to the millisecond.
pub fn created_at(id: Uuid) -> Option<Timestamp> {
    Timestamp::from_timestamp_millis(i64::try_from(id.as_u128() >> ID_BITS_AFTER_TIME).ok()?)
}

fn start_of_day(at: Timestamp) -> Timestamp {
    at.date_naive().and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: RetentionRules =
        RetentionRules { history_days: 30, history_bytes_max: None, feed_days: 7, due_days: 30, audit_days: 365 };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap_or_default()
    }

    #[test]
    fn history_goes_by_whole_days_and_never_before_its_age() {
        let cut = HistoryCut::by_age(&RULES, at("2026-11-25T13:00:00Z"));
        assert_eq!(cut.before, at("2026-10-26T00:00:00Z"));
        assert_eq!(cut.ended_before, at("2026-11-18T13:00:00Z"), "what ended a week ago has been seen");
        let days = RetentionRules { history_days: 1, ..RULES };
        assert_eq!(HistoryCut::by_age(&days, at("2026-11-25T13:00:00Z")).ended_before, at("2026-11-24T13:00:00Z"));
    }

    #[test]
    fn for_lack_of_room_the_oldest_day_goes_but_never_today() {
        let now = at("2026-11-25T00:00:00Z");
        let cut = HistoryCut::of_day(at("2026-11-24T23:59:59Z"), now);
        assert_eq!(cut.map(|cut| cut.before), Some(now));
        assert_eq!(HistoryCut::of_day(now, now), None);
    }

    #[test]
    fn an_id_tells_its_time_and_a_time_its_lowest_id() {
        let now = at("2026-11-25T13:00:00.123456Z");
        assert_eq!(created_at(lowest_id(now)), Some(at("2026-11-25T13:00:00.123Z")));
        assert!(lowest_id(now) < lowest_id(at("2026-11-25T13:00:00.124Z")));
    }

    #[test]
    fn ended_work_is_kept_as_long_as_history_and_the_audit_log_by_its_own_age() {
        let cut = RULES.work_cut(at("2026-11-25T13:00:00Z"));
        assert_eq!(cut.ended_before, at("2026-10-26T13:00:00Z"));
        assert_eq!(cut.audited_before, at("2025-11-25T13:00:00Z"));
    }

    #[test]
    fn nothing_is_owed_for_longer_than_thirty_days() {
        let longer = RetentionRules { due_days: 90, ..RULES };
        let now = at("2026-11-25T13:00:00Z");
        assert_eq!(longer.owed_before(now), RULES.owed_before(now));
        assert_eq!(RULES.feed_before(now), at("2026-11-18T13:00:00Z"));
    }
}
