//! Metrics for Prometheus: counted on the road through handles made once, measured of the database when someone looks.
//!
//! Labels are outcome codes, states and the like: never ids, names or URLs, so their number is known.

pub mod catalogue;
mod observed;
mod scrape;

pub use observed::{ObservedQueue, ObservedRenderer, ObservedRetention};
pub use scrape::Scrape;

use catalogue::{Kind, METRICS, Metric};
use hookgraph_domain::attempt::{Attempt, OutcomeCode};
use hookgraph_domain::change::Committed;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Fenced, HistoryKept, PruneStep, RenderError, RowKind};
use hookgraph_domain::refusal::RefusalCode;
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::Timestamp;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

static METADATA: Metadata<'static> = Metadata::new("hookgraph", Level::INFO, None);

/// The codes of answers that say that the server could not do what was asked.
const REFUSED_CODES: [RefusalCode; 3] = [RefusalCode::Unavailable, RefusalCode::Internal, RefusalCode::LimitExceeded];

/// The counters of the road and of what is asked, each behind a handle that costs an addition.
pub struct Metrics {
    recorder: PrometheusRecorder,
    events: Counter,
    deliveries: Counter,
    attempts: [Counter; OutcomeCode::ALL.len()],
    ended: [Counter; DeliveryState::ALL.len()],
    leases_lost: Counter,
    orphans: Counter,
    unreadable: [Counter; RowKind::ALL.len()],
    rows_removed: Counter,
    partitions_dropped: Counter,
    renders_refused: Counter,
    renders_over_budget: Counter,
    renders_unavailable: Counter,
    refused: [Counter; REFUSED_CODES.len()],
    attempt_duration: Histogram,
    first_attempt_delay: Histogram,
}

impl Metrics {
    /// Every counter at zero.
    ///
    /// # Errors
    /// A histogram without buckets, which a test holds that there is none of.
    pub fn new() -> Result<Self, BuildError> {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS {
            if let Kind::Histogram(bounds) = metric.kind {
                builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
            }
        }
        let recorder = builder.build_recorder();
        METRICS.iter().for_each(|metric| describe(&recorder, metric));
        let failures = |reason: &str| counter(&recorder, catalogue::RENDER_FAILURES, &[("reason", reason)]);
        let metrics = Self {
            events: counter(&recorder, catalogue::EVENTS, &[]),
            deliveries: counter(&recorder, catalogue::DELIVERIES, &[]),
            attempts: OutcomeCode::ALL
                .map(|code| counter(&recorder, catalogue::ATTEMPTS, &[("outcome", code.as_str())])),
            ended: DeliveryState::ALL.map(|state| match state.is_final() {
                true => counter(&recorder, catalogue::ENDED, &[("state", state.as_str())]),
                false => Counter::noop(),
            }),
            leases_lost: counter(&recorder, catalogue::LEASES_LOST, &[]),
            orphans: counter(&recorder, catalogue::ORPHANS, &[]),
            unreadable: RowKind::ALL
                .map(|kind| counter(&recorder, catalogue::ROWS_UNREADABLE, &[("kind", kind.as_str())])),
            rows_removed: counter(&recorder, catalogue::ROWS_REMOVED, &[]),
            partitions_dropped: counter(&recorder, catalogue::PARTITIONS_DROPPED, &[]),
            renders_refused: failures("refused"),
            renders_over_budget: failures("budget"),
            renders_unavailable: failures("unavailable"),
            refused: REFUSED_CODES.map(|code| counter(&recorder, catalogue::REFUSED, &[("code", code.as_str())])),
            attempt_duration: histogram(&recorder, catalogue::ATTEMPT_DURATION),
            first_attempt_delay: histogram(&recorder, catalogue::FIRST_ATTEMPT_DELAY),
            recorder,
        };
        // Nothing was looked at yet.
        for gauge in [catalogue::HISTORY_OLDEST, catalogue::HISTORY_BYTES] {
            metrics.gauge(gauge, &[]).set(0.0);
        }
        Ok(metrics)
    }

    /// Counts what a change recorded.
    pub fn recorded(&self, committed: &Committed) {
        self.events.increment(committed.event_ids.len() as u64);
        self.deliveries.increment(committed.delivery_count as u64);
    }

    /// Counts a settlement. One that cancels is counted as the store commits it, like those that people cancel.
    pub fn settled(&self, settlement: &Settlement, answer: Fenced) {
        if answer == Fenced::LeaseLost {
            return self.leases_lost.increment(1);
        }
        if settlement.next.state != DeliveryState::Cancelled {
            self.ended(settlement.next.state, 1);
        }
        if let Some(attempt) = &settlement.attempt {
            self.attempted(attempt);
        }
    }

    fn attempted(&self, attempt: &Attempt) {
        if let Some(place) = OutcomeCode::ALL.iter().position(|code| *code == attempt.code) {
            self.attempts[place].increment(1);
        }
        if attempt.request.is_none() {
            return;
        }
        self.attempt_duration.record(seconds(attempt.started_at, attempt.ended_at));
        if attempt.number == 1
            && let Some(recorded_at) = made_at(attempt.delivery_id)
        {
            self.first_attempt_delay.record(seconds(recorded_at, attempt.started_at));
        }
    }

    /// Counts a lease that was lost before anything was sent.
    pub fn lease_lost(&self) {
        self.leases_lost.increment(1);
    }

    /// Counts deliveries that were taken over from leases that had ended by themselves.
    pub fn orphans_found(&self, count: usize) {
        self.orphans.increment(count as u64);
    }

    /// Counts a row that cannot be read.
    pub fn unreadable(&self, kind: RowKind) {
        if let Some(place) = RowKind::ALL.iter().position(|known| *known == kind) {
            self.unreadable[place].increment(1);
        }
    }

    /// Counts a payload that could not be rendered.
    pub fn not_rendered(&self, error: &RenderError) {
        match error {
            RenderError::Refused(_) => self.renders_refused.increment(1),
            RenderError::BudgetExceeded(_) => self.renders_over_budget.increment(1),
            RenderError::Unavailable(_) => self.renders_unavailable.increment(1),
        }
    }

    /// Counts an answer whose code says that the server could not do what was asked; of another code it counts nothing.
    pub fn refused(&self, code: RefusalCode) {
        if let Some(place) = REFUSED_CODES.iter().position(|known| *known == code) {
            self.refused[place].increment(1);
        }
    }

    /// Counts deliveries that were owed for too long without being claimed.
    pub fn expired(&self, count: u64) {
        self.ended(DeliveryState::Expired, count);
    }

    /// Counts deliveries that were cancelled.
    pub fn cancelled(&self, count: usize) {
        self.ended(DeliveryState::Cancelled, count as u64);
    }

    fn ended(&self, ended: DeliveryState, count: u64) {
        if let Some(place) = DeliveryState::ALL.iter().position(|state| *state == ended) {
            self.ended[place].increment(count);
        }
    }

    /// Counts what a step of retention removed.
    pub fn removed(&self, step: &PruneStep) {
        self.rows_removed.increment(step.rows);
        self.partitions_dropped.increment(step.partitions);
    }

    /// Keeps what was measured of the history.
    pub fn kept(&self, kept: &HistoryKept, now: Timestamp) {
        self.gauge(catalogue::HISTORY_OLDEST, &[]).set(kept.oldest_at.map_or(0.0, |at| seconds(at, now)));
        self.gauge(catalogue::HISTORY_BYTES, &[]).set(kept.bytes as f64);
    }

    fn gauge(&self, metric: Metric, labels: &[(&'static str, &str)]) -> Gauge {
        self.recorder.register_gauge(&key(metric, labels), &METADATA)
    }

    /// Sorts what was counted since into the buckets: done now and then, so that samples do not pile up unlooked at.
    pub fn upkeep(&self) {
        self.handle().run_upkeep();
    }

    /// What was counted and measured until now, in the format of Prometheus.
    pub fn text(&self) -> String {
        self.handle().render()
    }

    fn handle(&self) -> PrometheusHandle {
        self.recorder.handle()
    }
}

/// When a delivery was made, from its UUID v7.
fn made_at(id: DeliveryId) -> Option<Timestamp> {
    let (seconds, nanos) = id.0.get_timestamp()?.to_unix();
    Timestamp::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to - from).num_microseconds().map_or(0.0, |micros| micros.max(0) as f64 / 1e6)
}

fn key(metric: Metric, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<_> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(metric.name, labels)
}

fn counter(recorder: &PrometheusRecorder, metric: Metric, labels: &[(&'static str, &str)]) -> Counter {
    recorder.register_counter(&key(metric, labels), &METADATA)
}

fn histogram(recorder: &PrometheusRecorder, metric: Metric) -> Histogram {
    recorder.register_histogram(&key(metric, &[]), &METADATA)
}

fn describe(recorder: &PrometheusRecorder, metric: &Metric) {
    let (name, meaning) = (metric.name.into(), metric.meaning.into());
    match metric.kind {
        Kind::Counter => recorder.describe_counter(name, None, meaning),
        Kind::Gauge => recorder.describe_gauge(name, None, meaning),
        Kind::Histogram(_) => recorder.describe_histogram(name, None, meaning),
    }
}

#[cfg(test)]
mod tests;
