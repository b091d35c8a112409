//! Every metric as data: what is described to Prometheus, and what the documentation and the dashboard are held
//! against.

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only rises, while the process lives.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Sorted into buckets.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, unit last.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it says.
    pub meaning: &'static str,
}

/// Bounds of the buckets of how long a receiver takes, in seconds: to the longest timeout.
const ATTEMPT_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0];
/// Bounds of the buckets of how long the first request is waited for, in seconds: a backlog may take its time.
const DELAY_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1800.0];

const fn counter(name: &'static str, meaning: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, meaning }
}

const fn gauge(name: &'static str, meaning: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, meaning }
}

/// Events recorded.
pub const EVENTS: Metric = counter("hookgraph_events_recorded_total", "Events that this process recorded.");
/// Deliveries of the fan out.
pub const DELIVERIES: Metric =
    counter("hookgraph_deliveries_created_total", "Deliveries that the fan out of those events made.");
/// Attempts by outcome.
pub const ATTEMPTS: Metric =
    counter("hookgraph_attempts_total", "Attempts that this process settled, by outcome code; DELIVERED is success.");
/// Deliveries by final state.
pub const ENDED: Metric =
    counter("hookgraph_deliveries_ended_total", "Deliveries that came to an end, by final state.");
/// Lost leases.
pub const LEASES_LOST: Metric = counter(
    "hookgraph_leases_lost_total",
    "Writes that came to nothing because another process had taken the delivery over.",
);
/// Orphans.
pub const ORPHANS: Metric = counter(
    "hookgraph_deliveries_orphaned_total",
    "Deliveries taken over because whoever had leased them died or was cut off from the database.",
);
/// Rows that cannot be read.
pub const ROWS_UNREADABLE: Metric = counter(
    "hookgraph_rows_unreadable_total",
    "Stored rows that this process could not read and set aside or passed over, by kind.",
);
/// Renders without a payload.
pub const RENDER_FAILURES: Metric = counter(
    "hookgraph_render_failures_total",
    "Payloads that could not be rendered: refused (the query yields errors), budget, or unavailable (ours, retried).",
);
/// Answers that say that the server could not do it.
pub const REFUSED: Metric = counter(
    "hookgraph_requests_refused_total",
    "Requests and operations answered with what is not their fault, by code: UNAVAILABLE, INTERNAL, and LIMIT_EXCEEDED \
     where a token has taken all that it may or the time of a request was over.",
);
/// Attempt duration.
pub const ATTEMPT_DURATION: Metric = Metric {
    name: "hookgraph_attempt_duration_seconds",
    kind: Kind::Histogram(ATTEMPT_SECONDS),
    meaning: "From before the dial to the end of the answer.",
};
/// Recorded to first attempt.
pub const FIRST_ATTEMPT_DELAY: Metric = Metric {
    name: "hookgraph_first_attempt_delay_seconds",
    kind: Kind::Histogram(DELAY_SECONDS),
    meaning: "From the recording of a delivery to its first request, in steps of a millisecond.",
};
/// Due deliveries.
pub const DUE: Metric =
    gauge("hookgraph_deliveries_due", "Deliveries that are due and not in flight, over all processes.");
/// Oldest due.
pub const OLDEST_DUE: Metric = gauge(
    "hookgraph_oldest_due_seconds",
    "Since when the oldest of them is due that waits for no other of its record and for no rate; 0 when nothing is.",
);
/// In flight.
pub const IN_FLIGHT: Metric = gauge("hookgraph_deliveries_in_flight", "Deliveries under a lease, over all processes.");
/// Held.
pub const HELD: Metric =
    gauge("hookgraph_deliveries_held", "Deliveries that wait for their webhook to be resumed, over all processes.");
/// Webhooks by status.
pub const WEBHOOKS: Metric = gauge("hookgraph_webhooks", "Webhooks by status, those deleted left out.");
/// Whether the gauges could be read.
pub const DATABASE_UP: Metric =
    gauge("hookgraph_database_up", "1 when the database answered this scrape, 0 when the gauges read from it are NaN.");
/// Open connections.
pub const CONNECTIONS_OPEN: Metric =
    gauge("hookgraph_database_connections_open", "Open connections of this process, by pool.");
/// Idle connections.
pub const CONNECTIONS_IDLE: Metric =
    gauge("hookgraph_database_connections_idle", "Of those, the ones that nobody uses.");
/// Connections that may be open.
pub const CONNECTIONS_MAX: Metric =
    gauge("hookgraph_database_connections_max", "Connections that this process may open, by pool.");
/// What retention removed.
pub const ROWS_REMOVED: Metric = counter(
    "hookgraph_retention_rows_removed_total",
    "Rows that this process removed as too old: history, feed, ended work, audit log.",
);
/// Days that retention removed.
pub const PARTITIONS_DROPPED: Metric = counter(
    "hookgraph_retention_partitions_dropped_total",
    "Days of PostgreSQL's history tables that this process dropped as too old.",
);
/// The oldest of the history.
pub const HISTORY_OLDEST: Metric = gauge(
    "hookgraph_history_oldest_seconds",
    "How old the oldest event or delivery of the history is, as of retention's last round.",
);
/// What history occupies.
pub const HISTORY_BYTES: Metric = gauge(
    "hookgraph_history_bytes",
    "What history occupies, as of retention's last round; on SQLite the whole database.",
);
/// Build.
pub const BUILD_INFO: Metric = gauge("hookgraph_build_info", "Always 1; its labels say the version and the database.");

/// Every metric of ours; those of the process itself (`process_*`) are `metrics-process`'s.
pub const METRICS: &[Metric] = &[
    EVENTS,
    DELIVERIES,
    ATTEMPTS,
    ENDED,
    LEASES_LOST,
    ORPHANS,
    ROWS_UNREADABLE,
    RENDER_FAILURES,
    REFUSED,
    ATTEMPT_DURATION,
    FIRST_ATTEMPT_DELAY,
    DUE,
    OLDEST_DUE,
    IN_FLIGHT,
    HELD,
    WEBHOOKS,
    DATABASE_UP,
    CONNECTIONS_OPEN,
    CONNECTIONS_IDLE,
    CONNECTIONS_MAX,
    ROWS_REMOVED,
    PARTITIONS_DROPPED,
    HISTORY_OLDEST,
    HISTORY_BYTES,
    BUILD_INFO,
];
