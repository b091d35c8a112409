//! Following the feed: pages are read as their entries are taken, so a slow subscriber holds one page and delays nobody.

use crate::context::Asked;
use crate::limits::{FEED_PAGE_ENTRIES_MAX, FEED_POLL_MS};
use futures::stream::{Stream, unfold};
use hookgraph_domain::feed::{FeedEntry, FeedFilter};
use hookgraph_domain::ports::StoreError;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a subscription makes of feed entries.
pub(super) trait Entries: Sized + Send {
    /// The answers to a page of entries, in their order, read in one statement.
    fn of(asked: &Asked, entries: Vec<FeedEntry>) -> impl Future<Output = Result<Vec<Self>, StoreError>> + Send;
}

struct Follower<T> {
    asked: Arc<Asked>,
    filter: FeedFilter,
    /// Everything up to here is in `page` or was taken.
    read_to_seq: i64,
    page: VecDeque<T>,
    fed: watch::Receiver<()>,
    /// Whether the last read failed: an outage is one line in the log, not one a second.
    is_failing: bool,
}

/// The entries after a `seq`, for ever.
pub(super) fn follow<T: Entries + 'static>(
    asked: Arc<Asked>,
    filter: FeedFilter,
    after_seq: i64,
) -> impl Stream<Item = T> + Send + use<T> {
    let fed = asked.core.services.fed.clone();
    let follower = Follower { asked, filter, read_to_seq: after_seq, page: VecDeque::new(), fed, is_failing: false };
    unfold(follower, |mut follower| async move {
        let item = follower.next().await;
        Some((item, follower))
    })
}

impl<T: Entries> Follower<T> {
    async fn next(&mut self) -> T {
        loop {
            if let Some(item) = self.page.pop_front() {
                return item;
            }
            // What is fed from here on is either on the page or wakes the wait.
            self.fed.mark_unchanged();
            match self.read_page().await {
                Ok(more) => {
                    self.is_failing = false;
                    if !more {
                        self.wait().await;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(%error, "the feed cannot be read: the subscription waits");
                    }
                    tokio::time::sleep(Duration::from_millis(FEED_POLL_MS)).await;
                }
            }
        }
    }

    /// Reads the next page. Whether it brought something or there may be more at once.
    async fn read_page(&mut self) -> Result<bool, StoreError> {
        let tenant_id = self.asked.tenant_id();
        let store = self.asked.store();
        let page = store.feed_page(tenant_id, self.read_to_seq, &self.filter, FEED_PAGE_ENTRIES_MAX).await?;
        let items = T::of(&self.asked, page.entries).await?;
        self.read_to_seq = page.read_to_seq.max(self.read_to_seq);
        self.page.extend(items);
        Ok(!self.page.is_empty() || page.more)
    }

    /// Waits for a wake-up, and no longer than a poll: wake-ups may be lost.
    async fn wait(&mut self) {
        let poll = Duration::from_millis(FEED_POLL_MS);
        if let Ok(Err(_closed)) = tokio::time::timeout(poll, self.fed.changed()).await {
            tokio::time::sleep(poll).await;
        }
    }
}
