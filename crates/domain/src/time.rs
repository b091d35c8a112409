//! Times are UTC with microseconds, which is what every store keeps; a finer reading is cut before it is used.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// A moment in UTC, with at most microseconds.
pub type Timestamp = DateTime<Utc>;

/// Cuts a moment to the microseconds that every store can hold, so that what is read back equals what was written.
pub fn truncated(at: DateTime<Utc>) -> Timestamp {
    at.trunc_subsecs(6)
}

/// Cuts a moment to the milliseconds that the API shows, so that what is read there can be asked for.
pub fn shown(at: Timestamp) -> Timestamp {
    at.trunc_subsecs(3)
}

/// `at` plus so many milliseconds; stays at the last representable moment instead of overflowing.
pub fn plus_ms(at: Timestamp, duration_ms: u64) -> Timestamp {
    let delta = i64::try_from(duration_ms).ok().and_then(TimeDelta::try_milliseconds);
    delta.and_then(|delta| at.checked_add_signed(delta)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// `at` less so many milliseconds; stays at the first representable moment instead of overflowing.
pub fn minus_ms(at: Timestamp, duration_ms: u64) -> Timestamp {
    let delta = i64::try_from(duration_ms).ok().and_then(TimeDelta::try_milliseconds);
    delta.and_then(|delta| at.checked_sub_signed(delta)).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_not_later_and_can_be_asked_for() {
        let at: Timestamp = "2026-11-27T09:01:19.408293Z".parse().unwrap();
        assert_eq!(shown(at), "2026-11-27T09:01:19.408Z".parse::<Timestamp>().unwrap());
        assert_eq!(shown(shown(at)), shown(at));
    }
}
