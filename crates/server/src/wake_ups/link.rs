//! The loops between this process's wake-ups and those of the others on its database. A link that is down costs latency
//! alone: polling goes on, the loops connect again, and the log says so once.

use super::ProcessWakeUps;
use crate::limits::{LINK_BACKOFF_MS_MAX, LINK_BACKOFF_MS_MIN, WAKE_UP_DEBOUNCE_MS};
use hookgraph_domain::ports::StoreError;
use hookgraph_storage::{Heard, LastHeard, Notifier, WakeUpKinds, WakeUpLink};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// No sender of PostgreSQL has this id.
const NOBODY: u32 = 0;

/// Tells the others and hears them, until the server stops.
pub async fn run(link: WakeUpLink, wake_ups: Arc<ProcessWakeUps>, neighbours: LastHeard, stopping: CancellationToken) {
    let hearing = Hearing { wake_ups: &wake_ups, neighbours };
    let own_backend_id = AtomicU32::new(NOBODY);
    tokio::select! {
        () = stopping.cancelled() => {}
        () = tell(&link, &wake_ups, &own_backend_id) => {}
        () = hear(&link, &hearing, &own_backend_id) => {}
    }
}

/// Sends what is to be told: the first wake-up at once, then at most one per [`WAKE_UP_DEBOUNCE_MS`].
async fn tell(link: &WakeUpLink, wake_ups: &ProcessWakeUps, own_backend_id: &AtomicU32) {
    let mut outage = LinkOutage::of("other processes are not woken");
    loop {
        let error = match link.notifier().await {
            Ok(notifier) => {
                own_backend_id.store(notifier.backend_id(), Ordering::Relaxed);
                outage.over();
                tell_over(notifier, wake_ups).await
            }
            Err(error) => error,
        };
        sleep(outage.failed(&error)).await;
    }
}

/// Sends over one connection until it fails.
async fn tell_over(mut notifier: Notifier, wake_ups: &ProcessWakeUps) -> StoreError {
    loop {
        wake_ups.untold().await;
        let kinds = wake_ups.take_untold();
        if let Err(error) = notifier.notify(kinds).await {
            wake_ups.tell(kinds);
            return error;
        }
        sleep(Duration::from_millis(WAKE_UP_DEBOUNCE_MS)).await;
    }
}

/// Who is told of what was heard.
struct Hearing<'a> {
    wake_ups: &'a ProcessWakeUps,
    neighbours: LastHeard,
}

impl Hearing<'_> {
    /// What this process itself said is no news.
    fn heard(&self, heard: Heard, own_backend_id: u32) {
        if heard.backend_id != own_backend_id {
            self.neighbours.now();
            self.wake_ups.heard(heard.kinds);
        }
    }
}

async fn hear(link: &WakeUpLink, hearing: &Hearing<'_>, own_backend_id: &AtomicU32) {
    let mut outage = LinkOutage::of("wake-ups of other processes are not heard");
    loop {
        let error = match link.listener().await {
            Ok(mut listener) => {
                outage.over();
                // What was said while nobody listened.
                hearing.wake_ups.heard(WakeUpKinds { due: true, fed: true });
                loop {
                    match listener.next().await {
                        Ok(heard) => hearing.heard(heard, own_backend_id.load(Ordering::Relaxed)),
                        Err(error) => break error,
                    }
                }
            }
            Err(error) => error,
        };
        sleep(outage.failed(&error)).await;
    }
}

/// The failures of one loop, one after the other: one line in the log per outage.
struct LinkOutage {
    meaning: &'static str,
    failures: u32,
}

impl LinkOutage {
    fn of(meaning: &'static str) -> Self {
        Self { meaning, failures: 0 }
    }

    fn failed(&mut self, error: &StoreError) -> Duration {
        if self.failures == 0 {
            tracing::warn!(%error, "{}: polling goes on, connecting again", self.meaning);
        }
        let doubled = LINK_BACKOFF_MS_MIN.saturating_mul(1_u64.checked_shl(self.failures).unwrap_or(u64::MAX));
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis(doubled.min(LINK_BACKOFF_MS_MAX))
    }

    fn over(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "over: {}", self.meaning);
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use hookgraph_domain::ports::Neighbours;

    #[test]
    fn what_another_process_says_is_news_and_what_this_one_said_is_not() {
        for (backend_id, is_news) in [(1, false), (2, true)] {
            let (wake_ups, neighbours) = (ProcessWakeUps::default(), LastHeard::default());
            let hearing = Hearing { wake_ups: &wake_ups, neighbours: neighbours.clone() };
            hearing.heard(Heard { kinds: WakeUpKinds { due: true, fed: true }, backend_id }, 1);
            assert_eq!(neighbours.are_active(), is_news);
            assert_eq!(wake_ups.due_signal().raised().now_or_never().is_some(), is_news);
        }
    }

    #[test]
    fn the_wait_doubles_up_to_the_longest_and_begins_anew_after_an_outage() {
        let mut outage = LinkOutage::of("planned");
        let error = StoreError::Busy("planned".to_owned());
        let waits: Vec<_> = (0..8).map(|_| outage.failed(&error).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        outage.over();
        assert_eq!(outage.failed(&error).as_millis(), 100);
    }
}
