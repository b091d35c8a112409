//! The results of one run of one case, from the raw times.

use crate::receiver::Arrival;
use std::collections::{HashMap, HashSet};

/// The results of one run of one case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Events accepted per second, while they were published.
    pub accepted_per_s: f64,
    /// Deliveries per second, from the first request to the last arrival.
    pub delivered_per_s: f64,
    /// The median time from accept to arrival.
    pub p50_ms: f64,
    /// The 99th percentile of the time from accept to arrival.
    pub p99_ms: f64,
    /// CPU time of all server-side processes.
    pub cpu_ms_per_delivery: f64,
    /// The peak memory of the largest server process.
    pub peak_rss_mib: f64,
    /// Deliveries of accepted events that did not arrive.
    pub missing: f64,
    /// Deliveries that arrived again.
    pub twice: f64,
    /// Requests that were refused or failed.
    pub failed: f64,
}

/// The deliveries of the events that were accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arrived {
    /// How many distinct deliveries arrived.
    pub count: u64,
    /// How many deliveries did not arrive.
    pub missing: u64,
    /// How many deliveries arrived again.
    pub twice: u64,
    /// When the last delivery arrived first.
    pub last_at_ns: u64,
    /// The median time from accept to arrival.
    pub p50_ms: f64,
    /// The 99th percentile of the time from accept to arrival.
    pub p99_ms: f64,
}

/// Joins acceptances and arrivals. A delivery that arrives before the answer to its event was read took no time.
pub fn joined(accepts: &[(u32, u64)], arrivals: &[Arrival], webhooks: u32) -> Arrived {
    let accepts: HashMap<u32, u64> = accepts.iter().copied().collect();
    let mut seen: HashSet<(u32, u32)> = HashSet::with_capacity(arrivals.len());
    let mut waits_ns = Vec::with_capacity(arrivals.len());
    let mut arrived = Arrived::default();
    for arrival in arrivals {
        let Some(accepted_at_ns) = accepts.get(&arrival.number) else { continue };
        if seen.insert((arrival.number, arrival.webhook)) {
            waits_ns.push(arrival.at_ns.saturating_sub(*accepted_at_ns));
            arrived.last_at_ns = arrived.last_at_ns.max(arrival.at_ns);
        } else {
            arrived.twice += 1;
        }
    }
    waits_ns.sort_unstable();
    arrived.count = waits_ns.len() as u64;
    arrived.missing = (accepts.len() as u64 * u64::from(webhooks)).saturating_sub(arrived.count);
    arrived.p50_ms = percentile_ms(&waits_ns, 0.50);
    arrived.p99_ms = percentile_ms(&waits_ns, 0.99);
    arrived
}

/// The nearest-rank percentile of sorted times.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is within the length of a list")]
fn percentile_ms(sorted_ns: &[u64], share: f64) -> f64 {
    let rank = (share * sorted_ns.len() as f64).ceil() as usize;
    sorted_ns.get(rank.max(1) - 1).map_or(0.0, |ns| *ns as f64 / 1e6)
}

/// The median of each number.
pub fn median(samples: &[Sample]) -> Sample {
    let of = |pick: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        match values.len() {
            0 => 0.0,
            count if count % 2 == 1 => values[count / 2],
            count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
        }
    };
    let sum = |pick: fn(&Sample) -> f64| samples.iter().map(pick).sum();
    Sample {
        accepted_per_s: of(|sample| sample.accepted_per_s),
        delivered_per_s: of(|sample| sample.delivered_per_s),
        p50_ms: of(|sample| sample.p50_ms),
        p99_ms: of(|sample| sample.p99_ms),
        cpu_ms_per_delivery: of(|sample| sample.cpu_ms_per_delivery),
        peak_rss_mib: samples.iter().map(|sample| sample.peak_rss_mib).fold(0.0, f64::max),
        missing: sum(|sample| sample.missing),
        twice: sum(|sample| sample.twice),
        failed: sum(|sample| sample.failed),
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Sample, joined, median};

    #[test]
    fn what_is_missing_and_what_came_twice_is_counted_for_accepted_events_alone() {
        let arrival = |number, webhook, ms: u64| Arrival { at_ns: ms * 1_000_000, number, webhook };
        let accepts = [(1, 10_000_000), (2, 20_000_000)];
        let arrivals = [arrival(1, 0, 9), arrival(1, 1, 15), arrival(2, 0, 50), arrival(2, 0, 90), arrival(3, 0, 99)];
        let arrived = joined(&accepts, &arrivals, 2);
        assert_eq!((arrived.count, arrived.missing, arrived.twice), (3, 1, 1));
        assert_eq!((arrived.p50_ms, arrived.p99_ms, arrived.last_at_ns), (5.0, 30.0, 50_000_000));
    }

    #[test]
    fn medians_are_of_each_number_and_faults_are_summed() {
        let sample = |rate: f64| Sample { accepted_per_s: rate, missing: 1.0, peak_rss_mib: rate, ..Sample::default() };
        let found = median(&[sample(3.0), sample(1.0), sample(2.0)]);
        assert_eq!((found.accepted_per_s, found.missing, found.peak_rss_mib), (2.0, 3.0, 3.0));
        assert_eq!(median(&[sample(1.0), sample(2.0)]).accepted_per_s, 1.5);
    }
}
