//! One look at the metrics: the gauges are read from the database, bounded in time and at most once a second.

use super::{Metrics, catalogue as names};
use crate::limits::{SCRAPE_CACHE_MS, SCRAPE_DATABASE_MS_MAX};
use hookgraph_domain::ports::{Clock, StoreError};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::WebhookStatus;
use hookgraph_storage::{Gauges, SqlStore};
use metrics_process::Collector;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// Answers scrapes.
pub struct Scrape {
    metrics: Arc<Metrics>,
    store: SqlStore,
    clock: Arc<dyn Clock>,
    process: Collector,
    is_failing: AtomicBool,
    last: Mutex<Option<(Instant, Arc<str>)>>,
}

impl Scrape {
    /// A scrape of those counters and that database.
    pub fn new(metrics: Arc<Metrics>, store: SqlStore, clock: Arc<dyn Clock>) -> Self {
        let process = Collector::default();
        metrics::with_local_recorder(&metrics.recorder, || process.describe());
        metrics
            .gauge(names::BUILD_INFO, &[("version", env!("CARGO_PKG_VERSION")), ("database", store.database_kind())])
            .set(1.0);
        Self { metrics, store, clock, process, is_failing: AtomicBool::new(false), last: Mutex::new(None) }
    }

    /// The text of now, or of up to [`SCRAPE_CACHE_MS`] ago: many who look cost as much as one.
    pub async fn text(&self) -> Arc<str> {
        let mut last = self.last.lock().await;
        if let Some((at, text)) = last.as_ref()
            && at.elapsed() < Duration::from_millis(SCRAPE_CACHE_MS)
        {
            return text.clone();
        }
        let text: Arc<str> = self.fresh().await.into();
        *last = Some((Instant::now(), text.clone()));
        text
    }

    async fn fresh(&self) -> String {
        let now = self.clock.now();
        self.set_gauges(self.gauges(now).await.as_ref(), now);
        for pool in self.store.pools() {
            let labels = [("pool", pool.pool)];
            self.metrics.gauge(names::CONNECTIONS_OPEN, &labels).set(f64::from(pool.open));
            self.metrics.gauge(names::CONNECTIONS_IDLE, &labels).set(f64::from(pool.idle));
            self.metrics.gauge(names::CONNECTIONS_MAX, &labels).set(f64::from(pool.max));
        }
        metrics::with_local_recorder(&self.metrics.recorder, || self.process.collect());
        self.metrics.text()
    }

    /// What the database says; a failure is one line in the log per outage.
    async fn gauges(&self, now: Timestamp) -> Option<Gauges> {
        let error = match in_time(self.store.gauges(now)).await {
            Ok(gauges) => {
                self.is_failing.store(false, Ordering::Relaxed);
                return Some(gauges);
            }
            Err(error) => error,
        };
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "the gauges of the metrics cannot be read");
        }
        None
    }

    /// Sets what was read; what was not is not a number, rather than what it was some time ago.
    fn set_gauges(&self, gauges: Option<&Gauges>, now: Timestamp) {
        let set = |metric, value: Option<f64>| self.metrics.gauge(metric, &[]).set(value.unwrap_or(f64::NAN));
        set(names::DATABASE_UP, Some(if gauges.is_some() { 1.0 } else { 0.0 }));
        set(names::DUE, gauges.map(|gauges| gauges.due as f64));
        set(names::IN_FLIGHT, gauges.map(|gauges| gauges.in_flight as f64));
        set(names::HELD, gauges.map(|gauges| gauges.held as f64));
        set(names::OLDEST_DUE, gauges.map(|gauges| gauges.oldest_due_at.map_or(0.0, |at| super::seconds(at, now))));
        for status in WebhookStatus::ALL {
            let count = gauges.map(|gauges| {
                let found = gauges.webhooks.iter().find(|(known, _)| *known == status);
                found.map_or(0.0, |(_, count)| *count as f64)
            });
            let labels = [("status", status.as_str())];
            self.metrics.gauge(names::WEBHOOKS, &labels).set(count.unwrap_or(f64::NAN));
        }
    }
}

/// What the database answers in time, or why that is nothing.
async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, String> {
    match timeout(Duration::from_millis(SCRAPE_DATABASE_MS_MAX), asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer in {SCRAPE_DATABASE_MS_MAX} ms")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_testkit::{ManualClock, PlainVault};
    use tokio::time::{advance, pause, sleep};

    #[tokio::test]
    async fn many_who_look_cost_as_much_as_one_for_a_while() {
        let store = SqlStore::in_memory(Arc::new(PlainVault)).await.unwrap();
        let scrape = Scrape::new(Arc::new(Metrics::new().unwrap()), store, Arc::new(ManualClock::default()));
        pause();
        // Whether the database answers is the same to it: time stands still.
        let first = scrape.text().await;
        advance(Duration::from_millis(SCRAPE_CACHE_MS - 1)).await;
        assert!(Arc::ptr_eq(&first, &scrape.text().await));
        advance(Duration::from_millis(1)).await;
        assert!(!Arc::ptr_eq(&first, &scrape.text().await));
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_is_waited_for_so_long_and_no_longer() {
        let after_ms = |ms| async move {
            sleep(Duration::from_millis(ms)).await;
            Ok(ms)
        };
        assert_eq!(in_time(after_ms(SCRAPE_DATABASE_MS_MAX - 1)).await, Ok(SCRAPE_DATABASE_MS_MAX - 1));
        let late = in_time(after_ms(SCRAPE_DATABASE_MS_MAX + 1)).await;
        assert_eq!(late, Err(format!("no answer in {SCRAPE_DATABASE_MS_MAX} ms")));
    }
}
