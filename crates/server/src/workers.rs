//! What goes on for as long as the server does: that nothing of it ends unnoticed, and that nothing of it keeps the
//! server from ending.

use crate::limits::WORKERS_STOP_SLACK_MS;
use crate::panics;
use futures::FutureExt;
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What tells an end that should be from one that should not.
#[derive(Clone, Default)]
pub struct Watch {
    /// Cancelled when what is watched is to stop.
    pub stopping: CancellationToken,
    /// Cancelled when something ended before that: the server does not do any more what it should.
    pub failed: CancellationToken,
}

impl Watch {
    /// Runs it to its end. One that nobody asked for, or that is a panic, is told in the log, and to all who watch
    /// `failed`.
    pub async fn over(self, task: &'static str, work: impl Future<Output = ()>) {
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(()) if self.stopping.is_cancelled() => return,
            Ok(()) => tracing::error!(task, "a part of the server ended before it was told to"),
            Err(panic) => {
                let reason = panics::reason(panic.as_ref());
                tracing::error!(task, reason, "a part of the server panicked");
            }
        }
        self.failed.cancel();
    }
}

/// The loops beside the routes, as they run.
pub struct Workers {
    watch: Watch,
    /// Cancelled when those that have not stopped in time are given up.
    cut: CancellationToken,
    running: TaskTracker,
    names: Names,
}

/// Of what is running.
type Names = Arc<Mutex<Vec<&'static str>>>;

impl Workers {
    /// None yet. When one ends too early, `failed` is cancelled.
    pub fn new(failed: CancellationToken) -> Self {
        Self {
            watch: Watch { failed, ..Watch::default() },
            cut: CancellationToken::new(),
            running: TaskTracker::new(),
            names: Names::default(),
        }
    }

    /// Starts one, which gets the token that tells it to stop.
    pub fn run<F>(&self, name: &'static str, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let watched = self.watch.clone().over(name, work(self.watch.stopping.clone()));
        let (listed, cut) = (Listed::on(&self.names, name), self.cut.clone());
        self.running.spawn(async move {
            tokio::select! {
                () = watched => {}
                () = cut.cancelled() => {}
            }
            drop(listed);
        });
    }

    /// Tells them to stop, and waits until they have: for as long as what is under way may take, and
    /// [`WORKERS_STOP_SLACK_MS`] more. What has not stopped by then, because the database hangs, is given up as if the
    /// process had died, and named.
    pub async fn stop(self, under_way_max: Duration) -> Vec<&'static str> {
        self.watch.stopping.cancel();
        self.running.close();
        let wait_max = under_way_max + Duration::from_millis(WORKERS_STOP_SLACK_MS);
        if timeout(wait_max, self.running.wait()).await.is_ok() {
            return Vec::new();
        }
        let left = self.names.lock().clone();
        tracing::warn!(left = left.join(", "), "parts of the server did not stop in time: they are given up");
        self.cut.cancel();
        left
    }
}

/// A name on the list, as long as this value is there.
struct Listed {
    names: Names,
    name: &'static str,
}

impl Listed {
    fn on(names: &Names, name: &'static str) -> Self {
        names.lock().push(name);
        Self { names: names.clone(), name }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.names.lock().retain(|name| *name != self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    async fn until(stopping: CancellationToken) {
        stopping.cancelled().await;
    }

    async fn panics() {
        panic!("as planned");
    }

    async fn settled() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_ends_too_early_or_panics_is_noticed_and_what_was_told_to_stop_is_not() {
        let failed = CancellationToken::new();
        let workers = Workers::new(failed.clone());
        workers.run("patient", until);
        settled().await;
        assert!(!failed.is_cancelled());
        assert!(workers.stop(Duration::ZERO).await.is_empty());
        assert!(!failed.is_cancelled());

        let workers = Workers::new(failed.clone());
        workers.run("hasty", |_| std::future::ready(()));
        failed.cancelled().await;
        assert!(workers.stop(Duration::ZERO).await.is_empty());

        let failed = CancellationToken::new();
        let workers = Workers::new(failed.clone());
        workers.run("patient", until);
        workers.run("clumsy", |_| panics());
        failed.cancelled().await;
        assert!(workers.stop(Duration::ZERO).await.is_empty(), "the others stop as ever");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_stop_in_time_is_named_and_given_up() {
        let workers = Workers::new(CancellationToken::new());
        workers.run("patient", until);
        let (alive, gone) = oneshot::channel::<()>();
        workers.run("stuck", |_| async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        let begun_at = Instant::now();
        assert_eq!(workers.stop(Duration::from_millis(700)).await, ["stuck"]);
        assert_eq!(begun_at.elapsed().as_millis(), u128::from(700 + WORKERS_STOP_SLACK_MS));
        assert!(gone.await.is_err(), "it runs no more");
    }
}
