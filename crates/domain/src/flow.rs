//! Flow: how fast and in which order a webhook's deliveries are sent.

use crate::event::Event;
use crate::limits::{CONCURRENCY_DEFAULT, CONCURRENCY_MAX, CONCURRENCY_MIN, RATE_PER_SECOND_MAX, RATE_PER_SECOND_MIN};
use crate::problem::Problem;

/// In which order the deliveries of a webhook are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ordering {
    /// In none: whatever is due is sent.
    #[default]
    None,
    /// A later event on the same record waits until the earlier one's delivery has ended. Tests and replays do not wait,
    /// and nothing waits for them.
    ByRecord,
}

impl Ordering {
    /// Every ordering.
    pub const ALL: [Ordering; 2] = [Self::None, Self::ByRecord];

    /// The name in the API and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Ordering::None => "NONE",
            Ordering::ByRecord => "BY_RECORD",
        }
    }

    /// The ordering of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ordering| ordering.as_str() == name)
    }

    /// What an event's delivery waits in line by: its record, where the webhook keeps order.
    pub fn key(self, event: &Event) -> Option<&str> {
        (self == Self::ByRecord).then_some(event.record_label.as_str())
    }
}

/// The flow settings of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowSettings {
    /// Requests at once, over all processes.
    pub concurrency: u32,
    /// Requests per second of each process; none for as many as come.
    pub rate_per_second: Option<u32>,
    /// The order.
    pub ordering: Ordering,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self { concurrency: CONCURRENCY_DEFAULT, rate_per_second: None, ordering: Ordering::None }
    }
}

/// Flow settings as a user writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowDraft {
    /// `concurrency`; none means [`CONCURRENCY_DEFAULT`].
    pub concurrency: Option<i64>,
    /// `ratePerSecond`; none means as many as come.
    pub rate_per_second: Option<i64>,
    /// `ordering`.
    pub ordering: Ordering,
}

impl From<FlowSettings> for FlowDraft {
    fn from(settings: FlowSettings) -> Self {
        Self {
            concurrency: Some(settings.concurrency.into()),
            rate_per_second: settings.rate_per_second.map(Into::into),
            ordering: settings.ordering,
        }
    }
}

/// Judges a draft; what is out of range is a problem, with the range in words.
pub fn check(draft: FlowDraft, path: &str, problems: &mut Vec<Problem>) -> FlowSettings {
    let concurrency = draft.concurrency.unwrap_or_else(|| CONCURRENCY_DEFAULT.into());
    let range = (CONCURRENCY_MIN, CONCURRENCY_MAX);
    let concurrency =
        in_range(concurrency, range, &format!("{path}.concurrency"), "CONCURRENCY_OUT_OF_RANGE", problems);
    let rate_per_second = draft.rate_per_second.map(|rate| {
        let range = (RATE_PER_SECOND_MIN, RATE_PER_SECOND_MAX);
        in_range(rate, range, &format!("{path}.ratePerSecond"), "RATE_OUT_OF_RANGE", problems)
    });
    FlowSettings { concurrency, rate_per_second, ordering: draft.ordering }
}

/// The number, if it lies within that range; else its lower end, with a problem that says so.
pub(crate) fn in_range(asked: i64, (min, max): (u32, u32), path: &str, code: &str, problems: &mut Vec<Problem>) -> u32 {
    match u32::try_from(asked) {
        Ok(allowed) if (min..=max).contains(&allowed) => allowed,
        _ => {
            problems.push(Problem::new(path, code, format!("{asked}: {min} to {max} are allowed")));
            min
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(concurrency: Option<i64>, rate_per_second: Option<i64>) -> (FlowSettings, Vec<String>) {
        let mut problems = Vec::new();
        let draft = FlowDraft { concurrency, rate_per_second, ordering: Ordering::ByRecord };
        let settings = check(draft, "input", &mut problems);
        (settings, problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect())
    }

    #[test]
    fn settings_within_their_ranges_stand_and_have_defaults() {
        let settings =
            |concurrency, rate_per_second| FlowSettings { concurrency, rate_per_second, ordering: Ordering::ByRecord };
        assert_eq!(judged(None, None), (settings(50, None), vec![]));
        assert_eq!(judged(Some(1), Some(1)), (settings(1, Some(1)), vec![]));
        assert_eq!(judged(Some(200), Some(1_000)), (settings(200, Some(1_000)), vec![]));
    }

    #[test]
    fn settings_out_of_range_are_told_the_range() {
        assert_eq!(judged(Some(0), None).1, ["input.concurrency: 0: 1 to 500 are allowed"]);
        assert_eq!(
            judged(Some(501), Some(-1)).1,
            ["input.concurrency: 501: 1 to 500 are allowed", "input.ratePerSecond: -1: 1 to 1000 are allowed"]
        );
    }

    #[test]
    fn an_ordering_is_named_both_ways() {
        for ordering in Ordering::ALL {
            assert_eq!(Ordering::from_name(ordering.as_str()), Some(ordering));
        }
        assert_eq!(Ordering::ByRecord.key(&crate::sample::event()), Some("order:o1"));
        assert_eq!(Ordering::None.key(&crate::sample::event()), None);
    }
}
