//! Which tenants' feeds moved, as far as this process knows: whoever watches the feed says so here, and subscriptions wait for
//! it.

use crate::limits::FEED_RETRY_MS;
use hookgraph_domain::ids::TenantId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Takes what is known of the feed to those who follow it, each tenant's to its own followers. It holds a place for every tenant
/// that is followed, and none for any other.
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

/// What is said of a tenant's feed.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    /// Its last `seq` that is known; only rises, but where the feed goes back.
    last_seq: i64,
    /// How often the feed went back.
    back_count: u64,
    /// To where it did so last.
    back_to_seq: i64,
}

impl FeedSignals {
    /// From now on whatever is said of that tenant's feed reaches this follower. What was fed before it has to read: so first
    /// follow, then read, then wait for what is beyond that.
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

    /// The feeds of those tenants have come to that `seq`.
    pub fn moved(&self, tenants: &[(TenantId, i64)]) {
        let channels = self.channels.lock();
        for (tenant_id, last_seq) in tenants {
            if let Some(channel) = channels.get(tenant_id) {
                channel.raise(*last_seq);
            }
        }
    }

    /// Any feed may have come to that `seq`.
    pub fn all_moved(&self, last_seq: i64) {
        self.channels.lock().values().for_each(|channel| channel.raise(last_seq));
    }

    /// All feeds have gone back to that `seq`, as where a database that was behind took over: what is fed from there on is new,
    /// whatever was said before.
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
    /// Wakes followers where that is news.
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

/// One who follows a tenant's feed; dropped, it does so no more.
#[derive(Debug)]
pub struct Following {
    signals: Arc<FeedSignals>,
    tenant_id: TenantId,
    said: watch::Receiver<Said>,
    /// How often the feed had gone back as far as was heard.
    back_count: u64,
}

impl Following {
    /// Waits until the feed is said to have come beyond a `seq`, or to have gone back. What was said is heard once: whoever heard
    /// it has to read, until that succeeds. Returns after which `seq` to read: that one, or one before it that the feed went
    /// back to.
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
        // The sender lives for as long as this does. If it did not, to look from time to time is better than silence.
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
