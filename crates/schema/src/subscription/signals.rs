//! Signals that the feeds of tenants have moved, within this process: the loop that watches the feed raises them, and
//! subscriptions wait for them.

use crate::limits::FEED_RETRY_MS;
use hookgraph_domain::ids::TenantId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Passes the moves of each tenant's feed to its followers. A tenant has an entry here while its feed is followed.
#[derive(Debug, Default)]
pub struct FeedSignals {
    channels: Mutex<HashMap<TenantId, Channel>>,
    /// Raised when there is a first follower.
    first: Notify,
}

#[derive(Debug)]
struct Channel {
    said: watch::Sender<Said>,
    follower_count: usize,
}

/// The last signal of a tenant's feed.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    /// The last `seq` that is known. It only rises, except where the feed goes back.
    last_seq: i64,
    /// How often the feed went back.
    back_count: u64,
    /// The `seq` that the feed went back to last.
    back_to_seq: i64,
}

impl FeedSignals {
    /// Follows the feed of a tenant: every later signal reaches the follower. A follower has to read what was fed
    /// before, so it first follows, then reads, and then waits for entries beyond what it read.
    pub fn follow(self: &Arc<Self>, tenant_id: TenantId) -> Following {
        let mut channels = self.channels.lock();
        let is_first = channels.is_empty();
        let channel =
            channels.entry(tenant_id).or_insert_with(|| Channel { said: watch::Sender::default(), follower_count: 0 });
        channel.follower_count += 1;
        let said = channel.said.subscribe();
        let back_count = said.borrow().back_count;
        drop(channels);
        if is_first {
            self.first.notify_one();
        }
        Following { signals: self.clone(), tenant_id, said, back_count }
    }

    /// Signals that the feeds of the tenants have come to the `seq` beside each.
    pub fn moved(&self, tenants: &[(TenantId, i64)]) {
        let channels = self.channels.lock();
        for (tenant_id, last_seq) in tenants {
            if let Some(channel) = channels.get(tenant_id) {
                channel.raise(*last_seq);
            }
        }
    }

    /// Signals that any feed may have come to `last_seq`.
    pub fn all_moved(&self, last_seq: i64) {
        self.channels.lock().values().for_each(|channel| channel.raise(last_seq));
    }

    /// Signals that all feeds have gone back to `to_seq`, as where a database that was behind took over: entries beyond
    /// it are new, whatever was signalled before.
    pub fn all_went_back(&self, to_seq: i64) {
        self.channels.lock().values().for_each(|channel| {
            channel.said.send_modify(|said| {
                *said = Said { last_seq: to_seq, back_count: said.back_count.wrapping_add(1), back_to_seq: to_seq };
            });
        });
    }

    /// Whether anyone follows any feed.
    pub fn is_followed(&self) -> bool {
        !self.channels.lock().is_empty()
    }

    /// Waits until anyone follows any feed. One may wait at a time.
    pub async fn followed(&self) {
        while !self.is_followed() {
            self.first.notified().await;
        }
    }
}

impl Channel {
    /// Raises the last `seq`, and wakes the followers if it rose.
    fn raise(&self, last_seq: i64) {
        self.said.send_if_modified(|said| {
            let is_news = last_seq > said.last_seq;
            if is_news {
                said.last_seq = last_seq;
            }
            is_news
        });
    }
}

/// A follower of a tenant's feed, until it is dropped.
#[derive(Debug)]
pub struct Following {
    signals: Arc<FeedSignals>,
    tenant_id: TenantId,
    said: watch::Receiver<Said>,
    /// How often the feed had gone back at the last signal that was taken.
    back_count: u64,
}

impl Following {
    /// Waits for a signal that the feed has come beyond `seq`, or has gone back. Returns the `seq` to read after: the
    /// given one, or an earlier one that the feed went back to. A signal is taken once, so the follower has to read
    /// until a read succeeds.
    pub async fn beyond(&mut self, seq: i64) -> i64 {
        while self.said.changed().await.is_ok() {
            let said = *self.said.borrow_and_update();
            if std::mem::replace(&mut self.back_count, said.back_count) != said.back_count {
                return said.back_to_seq.min(seq);
            }
            if said.last_seq > seq {
                return seq;
            }
        }
        // The sender lives at least as long as this follower. If it did not, a read from time to time would be better
        // than silence.
        tokio::time::sleep(Duration::from_millis(FEED_RETRY_MS)).await;
        seq
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Entry::Occupied(mut channel) = self.signals.channels.lock().entry(self.tenant_id) {
            channel.get_mut().follower_count -= 1;
            if channel.get().follower_count == 0 {
                channel.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use uuid::Uuid;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn a_move_wakes_the_followers_of_its_tenant_alone() {
        let signals = Arc::new(FeedSignals::default());
        let (mut one, mut same, mut other) =
            (signals.follow(tenant(1)), signals.follow(tenant(1)), signals.follow(tenant(2)));
        signals.moved(&[(tenant(1), 7), (tenant(3), 8)]);
        for following in [&mut one, &mut same] {
            assert!(following.beyond(6).now_or_never().is_some());
        }
        assert!(other.beyond(0).now_or_never().is_none());
        signals.all_moved(9);
        for following in [&mut one, &mut same, &mut other] {
            assert!(following.beyond(8).now_or_never().is_some());
        }
    }

    #[tokio::test]
    async fn what_was_read_before_it_was_said_wakes_nobody() {
        let signals = Arc::new(FeedSignals::default());
        let mut following = signals.follow(tenant(1));
        signals.moved(&[(tenant(1), 7)]);
        assert!(following.beyond(7).now_or_never().is_none(), "that far, and no further");
        signals.moved(&[(tenant(1), 8)]);
        signals.moved(&[(tenant(1), 6)]);
        assert!(following.beyond(7).now_or_never().is_some(), "an older one takes nothing back");
        assert!(following.beyond(7).now_or_never().is_none(), "heard once");
        let mut later = signals.follow(tenant(1));
        assert!(later.beyond(0).now_or_never().is_none(), "it begins with a read");
    }

    #[tokio::test]
    async fn a_feed_that_went_back_is_read_from_there_on() {
        let signals = Arc::new(FeedSignals::default());
        let mut following = signals.follow(tenant(1));
        signals.moved(&[(tenant(1), 9)]);
        assert_eq!(following.beyond(8).now_or_never(), Some(8));
        signals.all_went_back(5);
        signals.moved(&[(tenant(1), 6)]);
        let mut later = signals.follow(tenant(1));
        assert_eq!(following.beyond(9).now_or_never(), Some(5), "what moved since is beyond it");
        assert_eq!(following.beyond(6).now_or_never(), None, "told once");
        signals.moved(&[(tenant(1), 7)]);
        assert_eq!((following.beyond(6).now_or_never(), later.beyond(6).now_or_never()), (Some(6), Some(6)));
    }

    #[tokio::test]
    async fn tenants_that_nobody_follows_any_more_have_no_place() {
        let signals = Arc::new(FeedSignals::default());
        let places = || signals.channels.lock().len();
        signals.moved(&[(tenant(1), 7)]);
        signals.all_moved(7);
        assert_eq!((places(), signals.is_followed()), (0, false));
        let followings: Vec<_> = (0..6).map(|number| signals.follow(tenant(number % 3))).collect();
        assert_eq!((places(), signals.is_followed()), (3, true));
        let mut followings = followings.into_iter();
        followings.by_ref().take(3).for_each(drop);
        assert_eq!(places(), 3, "each has one left");
        drop(followings.next());
        assert_eq!(places(), 2);
        drop(followings);
        assert_eq!((places(), signals.is_followed()), (0, false));
    }

    #[tokio::test]
    async fn whoever_watches_waits_for_a_follower() {
        let signals = Arc::new(FeedSignals::default());
        assert!(signals.followed().now_or_never().is_none());
        let following = signals.follow(tenant(1));
        assert!(signals.followed().now_or_never().is_some());
        drop(following);
        // What was raised for one that has gone is no follower.
        assert!(signals.followed().now_or_never().is_none());
        let waiting = signals.followed();
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        let _following = signals.follow(tenant(2));
        assert!(waiting.now_or_never().is_some());
    }
}
