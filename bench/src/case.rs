//! The cases of the benchmark, as data.

use crate::database::DatabaseKind;

/// How a webhook's receiver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// The receiver answers 200 at once.
    Ok,
    /// The receiver answers 500 at once, every time.
    Fails,
    /// The receiver answers 200 after ten seconds.
    Hangs,
    /// The receiver answers 200 once the gate is open.
    Gated,
}

impl Behaviour {
    /// The first part of the receiver's path.
    pub const fn path(self) -> &'static str {
        match self {
            Behaviour::Ok => "ok",
            Behaviour::Fails => "fail",
            Behaviour::Hangs => "hang",
            Behaviour::Gated => "gate",
        }
    }
}

/// How fast events are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Requests follow each other as fast as answers come, on 64 connections.
    Saturated,
    /// That number of requests is sent per second, whatever the answers.
    PerSecond(u32),
    /// The rate is half of that which the same database reached with one webhook and one event per request in the same
    /// round.
    HalfOfMaximum,
    /// That number of events is published before the receiver answers; the time in which their deliveries drain is
    /// measured.
    Backlog(u32),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The name in the table.
    pub name: &'static str,
    /// The key by which the case is chosen.
    pub key: &'static str,
    /// The kind of the database.
    pub database: DatabaseKind,
    /// How many server processes work on the database.
    pub servers: usize,
    /// How many webhooks have receivers that answer at once.
    pub healthy: u32,
    /// The behaviour of one more webhook's receiver, which does not.
    pub sick: Option<Behaviour>,
    /// How many events one request publishes.
    pub batch: u32,
    /// Whether the payload is a query of ten fields over three records.
    pub query: bool,
    /// How fast events are published.
    pub pace: Pace,
    /// How many rows of history are there before the run; a page of the log is then measured too.
    pub history: Option<u64>,
    /// Whether the case belongs to a full run only.
    pub is_long: bool,
}

const ONE: Case = Case {
    name: "one webhook",
    key: "one",
    database: DatabaseKind::Postgres,
    servers: 1,
    healthy: 1,
    sick: None,
    batch: 1,
    query: false,
    pace: Pace::Saturated,
    history: None,
    is_long: false,
};
const TEN: Case = Case { name: "ten webhooks per event", key: "ten", healthy: 10, ..ONE };
const PACED: Case = Case { name: "one webhook, 100 events/s", key: "paced", pace: Pace::PerSecond(100), ..ONE };
const TEN_PACED: Case =
    Case { name: "ten webhooks, 100 events/s", key: "ten-paced", pace: Pace::PerSecond(100), ..TEN };

/// Every case on one database. A case with which others are compared stands before them.
pub const CASES: &[Case] = &[
    ONE,
    TEN,
    Case { name: "one webhook, 100 events per request", key: "batch", batch: 100, ..ONE },
    Case { name: "one webhook, ten-field query", key: "query", query: true, ..ONE },
    Case { name: "ten webhooks per event, ten-field query", key: "ten-query", query: true, ..TEN },
    PACED,
    Case { name: "one webhook, ten-field query, 100 events/s", key: "paced-query", query: true, ..PACED },
    Case { name: "one webhook, half of the maximum rate", key: "half", pace: Pace::HalfOfMaximum, ..ONE },
    TEN_PACED,
    Case {
        name: "nine webhooks beside one that hangs, 100 events/s",
        key: "hangs",
        healthy: 9,
        sick: Some(Behaviour::Hangs),
        ..TEN_PACED
    },
    Case {
        name: "nine webhooks beside one that fails, 100 events/s",
        key: "fails",
        healthy: 9,
        sick: Some(Behaviour::Fails),
        ..TEN_PACED
    },
    Case { name: "one webhook, two processes", key: "processes-2", servers: 2, is_long: true, ..ONE },
    Case { name: "one webhook, four processes", key: "processes-4", servers: 4, is_long: true, ..ONE },
    Case { name: "ten webhooks per event, two processes", key: "ten-processes-2", servers: 2, is_long: true, ..TEN },
    Case { name: "ten webhooks per event, four processes", key: "ten-processes-4", servers: 4, is_long: true, ..TEN },
    Case { name: "backlog of 1,000", key: "backlog-1k", pace: Pace::Backlog(1_000), ..ONE },
    // As many as are watched of the million; a thousand drain in a tenth of a second.
    Case { name: "backlog of 20,000", key: "backlog-20k", pace: Pace::Backlog(20_000), ..ONE },
    Case { name: "backlog of 1,000,000", key: "backlog-1m", pace: Pace::Backlog(1_000_000), is_long: true, ..ONE },
    // These are compared with one another: they differ in their history alone.
    Case { name: "one webhook, no history", key: "history-0", history: Some(0), ..ONE },
    Case { name: "one webhook, 100,000 rows of history", key: "history-100k", history: Some(100_000), ..ONE },
    Case {
        name: "one webhook, 10,000,000 rows of history",
        key: "history-10m",
        history: Some(10_000_000),
        is_long: true,
        ..ONE
    },
];

/// The cases that a run is made of. `wanted` is a key, a part of one, or none for all; several processes need
/// PostgreSQL.
pub fn chosen(wanted: Option<&str>, databases: &[DatabaseKind], is_full: bool) -> Vec<Case> {
    let on = |database: DatabaseKind| CASES.iter().map(move |case| Case { database, ..*case });
    let cases = databases.iter().flat_map(|database| on(*database));
    let possible = cases.filter(|case| case.servers == 1 || case.database == DatabaseKind::Postgres);
    let is_wanted = |case: &Case| match wanted {
        Some(wanted) => wanted.split(',').any(|wanted| wanted == case.key),
        None => is_full || !case.is_long,
    };
    possible.filter(is_wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::{CASES, chosen};
    use crate::database::DatabaseKind;
    use std::collections::BTreeSet;

    #[test]
    fn every_case_has_a_key_and_a_name_of_its_own() {
        let keys: BTreeSet<_> = CASES.iter().map(|case| case.key).collect();
        let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!((keys.len(), names.len()), (CASES.len(), CASES.len()));
    }

    #[test]
    fn several_processes_are_tried_on_postgres_only() {
        let both = [DatabaseKind::Sqlite, DatabaseKind::Postgres];
        let cases = chosen(Some("one,processes-2"), &both, false);
        let found: Vec<_> = cases.iter().map(|case| (case.key, case.database)).collect();
        assert_eq!(found, [("one", both[0]), ("one", both[1]), ("processes-2", both[1])]);
    }
}
