//! The watch over the feed: looks once for all subscriptions of this process, and wakes those alone whose tenants' feeds moved.

#[cfg(test)]
mod tests;

use crate::limits::{FEED_MOVES_BATCHES_MAX, FEED_POLL_MS, FEED_WATCH_PAUSE_MS};
use hookgraph_domain::ports::{Feed, StoreError};
use hookgraph_schema::FeedSignals;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Watches while anyone follows, until the server stops. `fed` changes when the feed may have grown.
pub(crate) async fn run(
    feed: Arc<dyn Feed>,
    signals: Arc<FeedSignals>,
    fed: watch::Receiver<()>,
    stopping: CancellationToken,
) {
    let watch = FeedWatch { feed, signals, fed, told_to_seq: None, is_failing: false };
    tokio::select! {
        () = stopping.cancelled() => {}
        () = watch.keep_up() => {}
    }
}

struct FeedWatch {
    feed: Arc<dyn Feed>,
    signals: Arc<FeedSignals>,
    fed: watch::Receiver<()>,
    /// Whoever follows was told of all moves up to here; none where nobody followed.
    told_to_seq: Option<i64>,
    /// Whether the last look failed: an outage is one line in the log.
    is_failing: bool,
}

impl FeedWatch {
    async fn keep_up(mut self) {
        loop {
            if !self.signals.is_followed() {
                self.told_to_seq = None;
                self.signals.followed().await;
            }
            // What is fed from here on is either found by the look or ends the wait after it.
            self.fed.mark_unchanged();
            match self.look().await {
                Ok(more) => {
                    if std::mem::replace(&mut self.is_failing, false) {
                        tracing::info!("the feed is watched again");
                    }
                    if !more {
                        self.wait().await;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(%error, "the feed cannot be watched: live subscriptions are told nothing until it can");
                    }
                    sleep(Duration::from_millis(FEED_POLL_MS)).await;
                }
            }
        }
    }

    /// Tells of the next moves. Whether there may be more at once.
    async fn look(&mut self) -> Result<bool, StoreError> {
        let Some(after_seq) = self.told_to_seq else {
            let latest_seq = self.feed.latest_seq().await?;
            // Whoever follows by now may have read before the last of it was fed.
            self.signals.all_moved(latest_seq);
            self.told_to_seq = Some(latest_seq);
            return Ok(false);
        };
        let moves = self.feed.feed_moves(after_seq, FEED_MOVES_BATCHES_MAX).await?;
        self.signals.moved(&moves.tenants);
        self.told_to_seq = Some(moves.read_to_seq);
        Ok(moves.more)
    }

    /// Waits for a wake-up, and no longer than a poll: wake-ups may be lost. Those of a moment are answered by one look.
    async fn wait(&mut self) {
        sleep(Duration::from_millis(FEED_WATCH_PAUSE_MS)).await;
        let poll = Duration::from_millis(FEED_POLL_MS - FEED_WATCH_PAUSE_MS);
        if let Ok(Err(_closed)) = timeout(poll, self.fed.changed()).await {
            sleep(poll).await;
        }
    }
}
