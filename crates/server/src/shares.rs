//! The shares that each token has taken of the server: its requests of late, its connections and its operations under
//! way. One token must not take what the others need.

use crate::answer_room::AnswerRoom;
use crate::config::WebLimits;
use crate::limits::{PLACE_RETRY_AFTER, SHARES_KEPT_MAX, SHARES_SWEEP_MS};
use hookgraph_domain::ports::Clock;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;
const SWEEP_NS: i64 = (SHARES_SWEEP_MS * NS_PER_MS) as i64;

/// The owner of a share: a token of this server, or a user for whom an issuer vouches, whatever JWT the user shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder(pub u128);

/// A kind of place, of which a token has several at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A WebSocket connection or an event stream: `token_connections_max`.
    Connection,
    /// An operation of a connection or stream: `token_subscriptions_max`.
    Subscription,
}

/// A token has taken all that it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The key of the limit.
    pub limit: &'static str,
    /// When it is worth to try again.
    pub retry_after: Duration,
}

impl Exceeded {
    /// The refusal that tells the client.
    pub fn refusal(&self) -> Refusal {
        let wait_ms = self.retry_after.as_millis();
        let message = format!("this token has taken all that it may ({}): try again in {wait_ms} ms", self.limit);
        Refusal::new(RefusalCode::LimitExceeded, message)
    }
}

/// The limits of each token, by the keys of the same names.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The time between two requests at the pace allowed, in nanoseconds; 0 where there is no limit.
    pace_ns: i64,
    /// How far ahead of that pace a token may get, in nanoseconds.
    burst_ns: i64,
    connections_max: usize,
    subscriptions_max: usize,
}

/// The share of one token. Its requests are paced as `domain::rate` paces a webhook's, by the moment at which a bucket
/// is full; that bucket is not used here, because it reckons in microseconds and its burst cannot be configured.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// When the requests so far would have come at the pace allowed, in nanoseconds since 1970.
    paced_until_ns: i64,
    connections: usize,
    subscriptions: usize,
}

impl Share {
    fn is_idle(&self, now_ns: i64) -> bool {
        self.connections == 0 && self.subscriptions == 0 && self.paced_until_ns <= now_ns
    }

    fn places(&mut self, place: Place) -> &mut usize {
        match place {
            Place::Connection => &mut self.connections,
            Place::Subscription => &mut self.subscriptions,
        }
    }
}

#[derive(Default)]
struct ShareTable {
    shares: HashMap<Holder, Share>,
    swept_at_ns: i64,
}

/// The shares of all tokens that use the server now. A token that does nothing is forgotten when others need the room.
pub struct Shares {
    limits: Limits,
    clock: Arc<dyn Clock>,
    table: Mutex<ShareTable>,
    answers: AnswerRoom,
}

impl Shares {
    /// The shares of a server that nobody uses yet.
    pub fn new(limits: &WebLimits, clock: Arc<dyn Clock>) -> Self {
        let per_s = i64::try_from(limits.token_requests_per_s_max).unwrap_or(i64::MAX);
        let burst = i64::try_from(limits.token_requests_burst_max).unwrap_or(i64::MAX);
        let pace_ns = if per_s == 0 { 0 } else { (NS_PER_S / per_s).max(1) };
        let limits = Limits {
            pace_ns,
            burst_ns: pace_ns.saturating_mul(burst),
            connections_max: limits.token_connections_max,
            subscriptions_max: limits.token_subscriptions_max,
        };
        Self { limits, clock, table: Mutex::default(), answers: AnswerRoom::default() }
    }

    /// The room for large answers that wait for their clients.
    pub fn answers(&self) -> &AnswerRoom {
        &self.answers
    }

    /// Counts one request.
    ///
    /// # Errors
    /// [`Exceeded`] where the token asks faster than it may, and has no burst left.
    pub fn request(&self, holder: Holder) -> Result<(), Exceeded> {
        let Limits { pace_ns, burst_ns, .. } = self.limits;
        if pace_ns == 0 {
            return Ok(());
        }
        let now_ns = nanoseconds(self.clock.now());
        let mut table = self.table.lock();
        let Some(share) = table.share(holder, now_ns) else { return Ok(()) };
        // A clock that was set back keeps nobody out for longer than a burst lasts.
        share.paced_until_ns = share.paced_until_ns.clamp(now_ns, now_ns.saturating_add(burst_ns));
        let until_ns = share.paced_until_ns.saturating_add(pace_ns);
        let ahead_ns = until_ns.saturating_sub(now_ns);
        if ahead_ns > burst_ns {
            let wait_ns = u64::try_from(ahead_ns - burst_ns).unwrap_or_default();
            return Err(Exceeded {
                limit: "token_requests_per_s_max",
                retry_after: Duration::from_millis(wait_ns.div_ceil(NS_PER_MS)),
            });
        }
        share.paced_until_ns = until_ns;
        Ok(())
    }

    /// Takes one place, until the permit is dropped.
    ///
    /// # Errors
    /// [`Exceeded`] where the token has as many as it may.
    pub fn take(self: &Arc<Self>, holder: Holder, place: Place) -> Result<Permit, Exceeded> {
        let (max, limit) = match place {
            Place::Connection => (self.limits.connections_max, "token_connections_max"),
            Place::Subscription => (self.limits.subscriptions_max, "token_subscriptions_max"),
        };
        let now_ns = nanoseconds(self.clock.now());
        let mut table = self.table.lock();
        let Some(share) = table.share(holder, now_ns) else { return Ok(Permit(None)) };
        let count = share.places(place);
        if *count >= max {
            return Err(Exceeded { limit, retry_after: PLACE_RETRY_AFTER });
        }
        *count += 1;
        Ok(Permit(Some((self.clone(), holder, place))))
    }

    fn give_back(&self, holder: Holder, place: Place) {
        if let Some(share) = self.table.lock().shares.get_mut(&holder) {
            let count = share.places(place);
            *count = count.saturating_sub(1);
        }
    }
}

impl ShareTable {
    /// The token's share; none where [`SHARES_KEPT_MAX`] other tokens are busy, so that this one is not counted.
    fn share(&mut self, holder: Holder, now_ns: i64) -> Option<&mut Share> {
        if self.shares.len() >= SHARES_KEPT_MAX && !self.shares.contains_key(&holder) {
            // A sweep looks at every busy token, which would be felt if each request did it.
            if (now_ns - self.swept_at_ns).abs() >= SWEEP_NS {
                self.swept_at_ns = now_ns;
                self.shares.retain(|_, share| !share.is_idle(now_ns));
            }
            if self.shares.len() >= SHARES_KEPT_MAX {
                return None;
            }
        }
        Some(self.shares.entry(holder).or_default())
    }
}

/// A place that is taken; dropping it gives it back.
#[must_use]
pub struct Permit(Option<(Arc<Shares>, Holder, Place)>);

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((shares, holder, place)) = self.0.take() {
            shares.give_back(holder, place);
        }
    }
}

fn nanoseconds(at: Timestamp) -> i64 {
    at.timestamp_micros().saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::{Exceeded, Holder, Place, Shares};
    use crate::config::{Config, Layers};
    use crate::limits::{SHARES_KEPT_MAX, SHARES_SWEEP_MS};
    use hookgraph_testkit::{ManualClock, sample};
    use std::sync::Arc;
    use std::time::Duration;

    const ADA: Holder = Holder(1);
    const BO: Holder = Holder(2);

    fn shares(keys: &[(&str, &str)]) -> (Arc<Shares>, ManualClock) {
        let mut layers = Layers::defaults().unwrap();
        for (name, text) in keys {
            layers.lay_flag("test", name, text).unwrap();
        }
        let clock = ManualClock::at(sample::now());
        (Arc::new(Shares::new(&Config::from_layers(&layers).web, Arc::new(clock.clone()))), clock)
    }

    fn paced() -> (Arc<Shares>, ManualClock) {
        shares(&[("token_requests_per_s_max", "10"), ("token_requests_burst_max", "3")])
    }

    /// How many requests go through without waiting.
    fn burst(shares: &Shares, holder: Holder) -> usize {
        (0..1_000).take_while(|_| shares.request(holder).is_ok()).count()
    }

    #[test]
    fn a_token_has_its_burst_and_then_its_pace_and_no_other_token_feels_it() {
        let (shares, clock) = paced();
        assert_eq!(burst(&shares, ADA), 3);
        assert_eq!(burst(&shares, BO), 3);
        clock.advance_ms(99);
        let refused = shares.request(ADA).unwrap_err();
        assert_eq!(refused, Exceeded { limit: "token_requests_per_s_max", retry_after: Duration::from_millis(1) });
        clock.advance_ms(1);
        assert_eq!(burst(&shares, ADA), 1);
        clock.advance_ms(200);
        assert_eq!(burst(&shares, ADA), 2);
        clock.advance_ms(3_600_000);
        assert_eq!(burst(&shares, ADA), 3);
    }

    #[test]
    fn zero_is_no_limit_and_the_default_is_out_of_the_way() {
        let (free, _) = shares(&[("token_requests_per_s_max", "0")]);
        assert_eq!(burst(&free, ADA), 1_000);
        let (default, _) = shares(&[]);
        assert_eq!((0..20_000).take_while(|_| default.request(ADA).is_ok()).count(), 20_000);
        assert!(default.request(ADA).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_a_burst() {
        let (shares, clock) = paced();
        assert_eq!(burst(&shares, ADA), 3);
        let back = ManualClock::at(sample::now() - chrono::Duration::days(1));
        let shares = Arc::new(Shares { clock: Arc::new(back.clone()), ..Arc::into_inner(shares).unwrap() });
        drop(clock);
        assert!(shares.request(ADA).is_err());
        back.advance_ms(100);
        assert_eq!(burst(&shares, ADA), 1);
        back.advance_ms(300);
        assert_eq!(burst(&shares, ADA), 3);
    }

    #[test]
    fn places_are_taken_and_given_back_by_token_and_kind() {
        let (shares, _) = shares(&[("token_connections_max", "2"), ("token_subscriptions_max", "1")]);
        let first = shares.take(ADA, Place::Connection).unwrap();
        let _second = shares.take(ADA, Place::Connection).unwrap();
        let _others = shares.take(BO, Place::Connection).unwrap();
        assert_eq!(shares.take(ADA, Place::Connection).err().unwrap().limit, "token_connections_max");
        drop(first);
        let _third = shares.take(ADA, Place::Connection).unwrap();
        let _operation = shares.take(ADA, Place::Subscription).unwrap();
        assert_eq!(shares.take(ADA, Place::Subscription).err().unwrap().limit, "token_subscriptions_max");
    }

    #[test]
    fn busy_tokens_are_remembered_idle_ones_forgotten_and_no_more_than_the_limit_says() {
        let (shares, clock) = paced();
        let _held = shares.take(ADA, Place::Connection).unwrap();
        for holder in 0..(2 * SHARES_KEPT_MAX as u128) {
            let _ = shares.request(Holder(1_000 + holder));
        }
        assert_eq!(shares.table.lock().shares.len(), SHARES_KEPT_MAX);
        // A token that is not counted is let through, and gives nothing back when it goes.
        drop(shares.take(BO, Place::Connection).unwrap());
        clock.advance_ms(SHARES_SWEEP_MS.max(1_000));
        assert!(shares.request(BO).is_ok());
        let kept = shares.table.lock().shares.keys().copied().collect::<Vec<_>>();
        assert_eq!(kept.len(), 2, "the token that holds a connection and the one that came");
        assert!(kept.contains(&ADA) && kept.contains(&BO));
    }
}
