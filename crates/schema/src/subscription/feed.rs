//! Following the feed: pages are read as their entries are taken, so a slow subscriber holds one page and delays nobody.

use super::{Following, cursor};
use crate::context::Asked;
use crate::limits::FEED_RETRY_MS;
use futures::stream::{Stream, unfold};
use hookgraph_domain::feed::{FeedEntry, FeedFilter, FeedPage};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What a subscription makes of feed entries.
pub(super) trait Entries: Sized + Send {
    /// A page of the entries that it is made of.
    fn page(
        asked: &Asked,
        after_seq: i64,
        filter: &FeedFilter,
    ) -> impl Future<Output = Result<FeedPage, Refusal>> + Send;

    /// The answers to a page of entries, in their order, read in one statement.
    fn of(asked: &Asked, entries: Vec<FeedEntry>) -> impl Future<Output = Result<Vec<Self>, Refusal>> + Send;
}

struct Follower<T> {
    asked: Arc<Asked>,
    filter: FeedFilter,
    /// Everything up to here is in `page` or was taken.
    read_to_seq: i64,
    page: VecDeque<T>,
    /// Whether to read on without waiting: there may be more, or a read that was called for did not succeed yet.
    has_more: bool,
    /// Since before anything was read: what is fed from then on is on a page or ends the wait for it.
    following: Following,
    /// Whether the last read failed: an outage is one line in the log, not one a second.
    is_failing: bool,
}

/// The entries after a `seq`, for ever; ends with a refusal where entries were removed before they were read.
pub(super) fn follow<T: Entries + 'static>(
    asked: Arc<Asked>,
    filter: FeedFilter,
    after_seq: i64,
) -> impl Stream<Item = Result<T, Refusal>> + Send + use<T> {
    let following = asked.core.services.feed.follow(asked.tenant_id());
    let follower = Follower {
        asked,
        filter,
        read_to_seq: after_seq,
        page: VecDeque::new(),
        has_more: true,
        following,
        is_failing: false,
    };
    unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        let item = follower.next().await;
        let follower = item.is_ok().then_some(follower);
        Some((item, follower))
    })
}

impl<T: Entries> Follower<T> {
    async fn next(&mut self) -> Result<T, Refusal> {
        loop {
            if let Some(item) = self.page.pop_front() {
                return Ok(item);
            }
            if !self.has_more {
                self.read_to_seq = self.following.beyond(self.read_to_seq).await;
                self.has_more = true;
            }
            match self.read_page().await {
                Ok(()) => {
                    if std::mem::replace(&mut self.is_failing, false) {
                        tracing::info!("the feed is read again");
                    }
                }
                Err(error) if error.code == RefusalCode::CursorTooOld => return Err(error),
                Err(error) => {
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::warn!(%error, "the feed cannot be read: the subscription waits");
                    }
                    tokio::time::sleep(Duration::from_millis(FEED_RETRY_MS)).await;
                }
            }
        }
    }

    /// Reads the next page. Where it is the last one, `read_to_seq` is that of the whole feed as it then was, whatever of it was
    /// wanted: all that is fed later is beyond.
    async fn read_page(&mut self) -> Result<(), Refusal> {
        let page = T::page(&self.asked, self.read_to_seq, &self.filter).await?;
        if let Some(oldest_seq) = page.pruned_to {
            return Err(Refusal::cursor_too_old(cursor::write(oldest_seq)));
        }
        let items = T::of(&self.asked, page.entries).await?;
        self.read_to_seq = page.read_to_seq.max(self.read_to_seq);
        self.has_more = page.more;
        self.page.extend(items);
        Ok(())
    }
}
