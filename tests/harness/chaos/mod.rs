//! Trouble for real processes on real databases, under load: every accepted event arrives, once unless a request was in
//! flight as its process lost it, soon after the trouble is over, in bounded memory and with few warnings.
//!
//! Each case has a short form among the tests (`chaos`) and a long one in `make soak`.

mod cases;
mod fleet;
mod ground;
mod load;
mod proxy;
mod tally;

pub use cases::{Case, Scale};
pub use ground::SmallDisk;
pub use proxy::{Network, Proxy};

use anyhow::Context;
use fleet::Fleet;
use load::{Load, Loaded};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use tally::{Arrivals, Tally};

/// How long the load may take to show itself, and the deliveries to arrive.
const PATIENCE: Duration = Duration::from_secs(90);
/// The least time between two arrivals of a delivery: the lease of the first one had to end. Where a process takes over
/// at once, the process before it had died in between.
const LEASE_MIN: Duration = Duration::from_secs(10);

/// The results of a case.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// How many events were accepted.
    pub accepted: usize,
    /// How many events arrived: more than were accepted, where answers were lost.
    pub delivered: usize,
    /// How many accepted events did not arrive.
    pub missing: usize,
    /// How many deliveries arrived twice.
    pub twice: usize,
    /// How many deliveries arrived twice though the first request had not lost its lease.
    pub twice_for_nothing: usize,
    /// How many events were recorded twice.
    pub recorded_twice: usize,
    /// How many events were asked for with a key and never accepted.
    pub given_up: u64,
    /// The time from the end of the trouble to the arrival of the last event that was accepted before it ended.
    pub recovery: Duration,
    /// The most memory of a process, in MiB.
    pub peak_mib: u64,
    /// The most warnings and errors that a process wrote.
    pub warnings: usize,
}

impl Outcome {
    /// The faults of the outcome; `warnings_max` and `peak_mib_max` are the case's bounds.
    pub fn problems(&self, warnings_max: usize, peak_mib_max: u64) -> Vec<String> {
        let bounds = [
            ("accepted events are missing", self.missing as u64, 0),
            ("deliveries arrived twice though nobody had lost them", self.twice_for_nothing as u64, 0),
            ("events were recorded twice", self.recorded_twice as u64, 0),
            ("events were never accepted", self.given_up, 0),
            ("warnings and errors in one log", self.warnings as u64, warnings_max as u64),
            ("MiB of memory", self.peak_mib, peak_mib_max),
        ];
        let over = bounds.into_iter().filter(|(_, is, most)| is > most);
        over.map(|(what, is, most)| format!("{is} {what}, {most} may be")).collect()
    }
}

/// Runs a case; none where the case needs something that this user may not do.
///
/// # Errors
/// Where the case could not be run to its end.
pub async fn run(case: Case, scale: Scale) -> anyhow::Result<Option<Outcome>> {
    let Some(mut ground) = case.ground().await? else { return Ok(None) };
    let installation = ground.installation.take().context("a place for the processes")?;
    let mut fleet = Fleet::start(installation, case.processes(scale)).await?;
    let tally = Tally::start().await?;
    let api = fleet.api()?.clone();
    api.create_webhook(json!({ "name": "all", "concern": "orders", "event": "update", "method": "POST",
        "url": tally.url, "concurrency": 100 }))
        .await?;
    let load = Load::start(fleet.addresses.clone(), api.token.clone(), scale.per_second);
    tally.more(20, PATIENCE).await?;
    case.trouble(scale, &ground, &mut fleet, &tally).await?;
    let over_at = Instant::now();
    tally.more(20, PATIENCE).await?;
    let loaded = load.stop().await;
    let numbers: Vec<u64> = loaded.accepted.iter().map(|(number, _)| *number).collect();
    let missing = tally.all(&numbers, PATIENCE).await;
    fleet.stop().await?;
    Ok(Some(outcome(&fleet, case.takes_over_at_once(), &tally.events(), &loaded, over_at, missing)))
}

fn outcome(
    fleet: &Fleet,
    takes_over_at_once: bool,
    events: &HashMap<u64, Arrivals>,
    loaded: &Loaded,
    over_at: Instant,
    missing: usize,
) -> Outcome {
    let mut deliveries: HashMap<&str, Vec<Instant>> = HashMap::new();
    for (id, at) in events.values().flatten() {
        deliveries.entry(id).or_default().push(*at);
    }
    let is_double = |arrivals: &&Arrivals| arrivals.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len() > 1;
    let twice: Vec<_> = deliveries.into_values().filter(|times| times.len() > 1).collect();
    let died_between = |first: Instant, second: Instant| {
        fleet.gaps.iter().any(|(dead_at, ready_at)| first <= *ready_at && second >= *dead_at)
    };
    let was_lost = |first: Instant, second: Instant| {
        second - first >= LEASE_MIN || (takes_over_at_once && died_between(first, second))
    };
    let for_nothing = twice.iter().filter(|times| times.windows(2).any(|two| !was_lost(two[0], two[1])));
    let before = loaded.accepted.iter().filter(|(_, at)| *at <= over_at);
    let last = before.filter_map(|(number, _)| events.get(number)?.first().map(|(_, at)| *at)).max();
    Outcome {
        accepted: loaded.accepted.len(),
        delivered: events.len(),
        missing,
        twice: twice.len(),
        twice_for_nothing: for_nothing.count(),
        recorded_twice: events.values().filter(is_double).count(),
        given_up: loaded.given_up,
        recovery: last.map_or(Duration::ZERO, |at| at.saturating_duration_since(over_at)),
        peak_mib: fleet.peak_kib.div_ceil(1024),
        warnings: fleet.warnings_max,
    }
}
