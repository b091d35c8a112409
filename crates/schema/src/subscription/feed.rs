//! Follows the feed. A page is read as the entries before it are taken, so that a slow subscriber holds one page and
//! delays nobody.

use super::{Following, cursor};
use crate::context::ApiContext;
use crate::limits::FEED_RETRY_MS;
use futures::stream::{Stream, unfold};
use hookgraph_domain::feed::{FeedEntry, FeedFilter, FeedPage};
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The answers of a subscription, as made from feed entries.
pub(super) trait Entries: Sized + Send {
    /// One page of the entries that the answers are made from.
    fn page(
        api: &ApiContext,
        after_seq: i64,
        filter: &FeedFilter,
    ) -> impl Future<Output = Result<FeedPage, Refusal>> + Send;

    /// The answers for a page of entries, in the order of the entries, read in one statement.
    fn of(api: &ApiContext, entries: Vec<FeedEntry>) -> impl Future<Output = Result<Vec<Self>, Refusal>> + Send;
}

struct Follower<T> {
    api: Arc<ApiContext>,
    filter: FeedFilter,
    /// Entries up to this `seq` are in `page` or were taken.
    read_to_seq: i64,
    page: VecDeque<T>,
    /// Whether to read on without waiting: there may be more entries, or the read after a signal did not succeed yet.
    has_more: bool,
    /// The signals of the feed, followed since before the first read: an entry that is fed from then on is on a page,
    /// or ends the wait for it.
    following: Following,
    /// Whether the last read failed: an outage is logged once, not once a try.
    is_failing: bool,
}

/// The answers for the entries after a `seq`, without end. The stream ends with a refusal where entries were removed
/// before they were read.
pub(super) fn follow<T: Entries + 'static>(
    api: Arc<ApiContext>,
    filter: FeedFilter,
    after_seq: i64,
) -> impl Stream<Item = Result<T, Refusal>> + Send + use<T> {
    let following = api.core.services.feed.follow(api.tenant_id());
    let follower = Follower {
        api,
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

    /// Reads the next page. After the last page, `read_to_seq` is that of the whole feed at the time of the read,
    /// entries that the filter leaves out included: every later entry is beyond it.
    async fn read_page(&mut self) -> Result<(), Refusal> {
        let page = T::page(&self.api, self.read_to_seq, &self.filter).await?;
        if let Some(oldest_seq) = page.pruned_to {
            return Err(Refusal::cursor_too_old(cursor::write(oldest_seq)));
        }
        let items = T::of(&self.api, page.entries).await?;
        self.read_to_seq = page.read_to_seq.max(self.read_to_seq);
        self.has_more = page.more;
        self.page.extend(items);
        Ok(())
    }
}
