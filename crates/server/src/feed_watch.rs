//! The watch over the feed: looks once for all subscriptions of this process, and wakes those alone whose tenants'
//! feeds moved.

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
    let watch = FeedWatch { feed, signals, fed, told_to_seq: None, is_failing: false, is_to_check: false };
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
    /// Whether the last look failed: an outage is one line in the log, and after it the feed may be another's, which is
    /// behind.
    is_failing: bool,
    /// Whether the next look asks first how far the feed is, since it may have gone back: nobody called for it, or the
    /// last one was called for and found nothing. Wake-ups that keep coming do not put that off.
    is_to_check: bool,
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
                        tracing::warn!(
                            %error,
                            "the feed cannot be watched: live subscriptions are told nothing until it can"
                        );
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
            self.begin_anew(latest_seq);
            return Ok(false);
        };
        if std::mem::take(&mut self.is_to_check) || self.is_failing {
            let latest_seq = self.feed.latest_seq().await?;
            if latest_seq < after_seq {
                self.begin_anew(latest_seq);
            }
            if latest_seq <= after_seq {
                return Ok(false);
            }
        }
        let moves = self.feed.feed_moves(after_seq, FEED_MOVES_BATCHES_MAX).await?;
        self.signals.moved(&moves.tenants);
        self.told_to_seq = Some(moves.read_to_seq);
        self.is_to_check = moves.read_to_seq == after_seq;
        Ok(moves.more)
    }

    /// Goes on from there, whatever was told before. A database that took over from another may lack the last of what
    /// that had.
    fn begin_anew(&mut self, latest_seq: i64) {
        if self.told_to_seq.is_some_and(|told_to_seq| latest_seq < told_to_seq) {
            tracing::warn!(latest_seq, "the feed has gone back: what was committed last is lost");
            self.signals.all_went_back(latest_seq);
        } else {
            // Whoever follows by now may have read before the last of it was fed.
            self.signals.all_moved(latest_seq);
        }
        self.told_to_seq = Some(latest_seq);
    }

    /// Waits for a wake-up, and no longer than a poll: wake-ups may be lost. Those of a moment are answered by one
    /// look.
    async fn wait(&mut self) {
        sleep(Duration::from_millis(FEED_WATCH_PAUSE_MS)).await;
        let poll = Duration::from_millis(FEED_POLL_MS - FEED_WATCH_PAUSE_MS);
        let fed = timeout(poll, self.fed.changed()).await;
        // Closed: nobody says anything any more.
        if matches!(fed, Ok(Err(_))) {
            sleep(poll).await;
        }
        self.is_to_check |= !matches!(fed, Ok(Ok(())));
    }
}
