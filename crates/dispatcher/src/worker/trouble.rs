//! Trouble: what the calls of this process tell of the store, and what comes before the next claim.
//!
//! While the store is away leases end, though the processes that hold them live and know the outcomes of their
//! requests. The process that claims first when the store is back would take these deliveries over and send again
//! requests that have arrived. So after a long outage nothing is claimed for [`SETTLE_FIRST_MS`]: every process
//! writes its delayed settlements in that time. The `//!` of `settler` holds the whole policy, decision 0022 its
//! reasons.

use crate::limits::{OUTAGE_PAST_MS, SETTLE_FIRST_MS, WRITES_APART_MS};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::{Timestamp, plus_ms};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::Notify;

/// The state of the store, as all calls of the road together tell it.
#[derive(Debug)]
pub(super) struct Trouble {
    calls: Mutex<CallTable>,
    answers: Notify,
    /// The length from which on an outage is long: a lease may not outlive it. In milliseconds.
    long_ms: u64,
}

/// The calls under way, and what the ended ones told.
#[derive(Debug, Default)]
struct CallTable {
    outage: Option<StoreOutage>,
    recent_writes: RecentWrites,
    /// When each call under way began, by its number.
    under_way: BTreeMap<u64, Timestamp>,
    next_number: u64,
    /// How many calls have written.
    write_count: u64,
}

/// An outage: calls failed, or took as long as a long outage, and since then none has written and been followed by a
/// claim.
#[derive(Clone, Copy, Debug)]
struct StoreOutage {
    /// When the first of the failed calls began.
    since: Timestamp,
    /// When a call first succeeded after the last failure.
    answers_since: Option<Timestamp>,
    /// When a call first wrote after the last failure: a full disk can be read, too.
    writes_since: Option<Timestamp>,
    /// Whether reads failed, too, and no call has succeeded since.
    is_away: bool,
}

/// The calls that wrote lately. Once calls have succeeded for [`SETTLE_FIRST_MS`], every settlement that an outage
/// delayed has been written.
#[derive(Debug, Default)]
struct RecentWrites {
    /// When the newest write began of those that ended [`SETTLE_FIRST_MS`] ago or earlier.
    settled: Option<Timestamp>,
    /// Some of the later writes in their order, [`WRITES_APART_MS`] apart: when each began, and when it ended.
    lately: VecDeque<(Timestamp, Timestamp)>,
}

impl RecentWrites {
    fn note(&mut self, begun_at: Timestamp, now: Timestamp) {
        self.pass(now);
        if self.lately.back().is_none_or(|(_, ended_at)| now >= plus_ms(*ended_at, WRITES_APART_MS)) {
            self.lately.push_back((begun_at, now));
        }
    }

    fn pass(&mut self, now: Timestamp) {
        // A clock that was set back leaves writes in the future: they are forgotten.
        self.settled = self.settled.filter(|begun_at| *begun_at <= now);
        self.lately.retain(|(_, ended_at)| *ended_at <= now);
        while let Some((begun_at, ended_at)) = self.lately.front().copied()
            && now >= plus_ms(ended_at, SETTLE_FIRST_MS)
        {
            self.settled = self.settled.max(Some(begun_at));
            self.lately.pop_front();
        }
    }

    /// Whether the failure of a call that began at `begun_at` is old news: a later call has written, and long enough
    /// ago.
    fn outdate(&mut self, begun_at: Timestamp, now: Timestamp) -> bool {
        self.pass(now);
        self.settled.is_some_and(|settled| begun_at < settled)
    }
}

/// What comes before a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BeforeClaim {
    /// Nothing: the claim may be made.
    Nothing,
    /// A read that asks whether the store answers: it takes no delivery over.
    Ask,
    /// The writing of delayed settlements, for this long yet.
    Settle(Duration),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallEnded {
    /// The call failed. It was to write: the store may still be read.
    Failed,
    /// The call failed though it only reads: the store is away.
    ReadFailed,
    /// The call succeeded and wrote nothing.
    Read,
    /// The call succeeded and wrote something.
    Wrote,
}

impl CallEnded {
    /// How a call ended that was to write and came to this error. A final refusal is an answer: the store works.
    pub(super) fn of_error(error: &StoreError) -> Self {
        if error.is_retryable() { CallEnded::Failed } else { CallEnded::Read }
    }
}

impl StoreOutage {
    /// Whether a call that began at `begun_at` and failed belongs to this outage. The first call after the wait for
    /// settlements may well be late.
    fn goes_on(&self, begun_at: Timestamp) -> bool {
        self.writes_since.is_none() && !self.is_past(begun_at)
    }

    /// Whether the store has answered for [`OUTAGE_PAST_MS`] without a failure: either nothing was left to write, or
    /// all of it is written.
    fn is_past(&self, at: Timestamp) -> bool {
        self.answers_since.is_some_and(|since| at >= plus_ms(since, OUTAGE_PAST_MS))
    }
}

impl CallTable {
    /// Notes a call that failed, as `ended` says.
    fn failed(&mut self, begun_at: Timestamp, now: Timestamp, ended: CallEnded) {
        if self.recent_writes.outdate(begun_at, now) {
            return;
        }
        let before = self.outage.filter(|outage| outage.goes_on(begun_at));
        self.outage = Some(StoreOutage {
            since: before.map_or(begun_at, |outage| outage.since.min(begun_at)),
            answers_since: None,
            writes_since: None,
            is_away: ended == CallEnded::ReadFailed || before.is_some_and(|outage| outage.is_away),
        });
    }

    /// Notes a call that succeeded, as `ended` says, and answers whether it is the first one after the store was away.
    fn succeeded(&mut self, begun_at: Timestamp, now: Timestamp, ended: CallEnded) -> bool {
        let writes = ended == CallEnded::Wrote;
        if writes {
            self.write_count += 1;
            self.recent_writes.note(begun_at, now);
        }
        self.outage = self.outage.filter(|outage| !outage.is_past(now));
        let Some(outage) = self.outage.as_mut() else { return false };
        outage.answers_since.get_or_insert(now);
        if writes {
            outage.writes_since.get_or_insert(now);
        }
        std::mem::take(&mut outage.is_away)
    }
}

/// A call under way. One that is dropped before it ended tells nothing.
#[derive(Debug)]
pub(super) struct Call<'a> {
    trouble: &'a Trouble,
    number: u64,
    begun_at: Timestamp,
}

impl Call<'_> {
    /// Notes how the call ended. A call that took as long as a long outage was kept waiting by one, though it
    /// succeeded.
    pub(super) fn ended(self, now: Timestamp, ended: CallEnded) {
        let mut calls = self.trouble.calls.lock();
        let is_back = match ended {
            CallEnded::Failed | CallEnded::ReadFailed => {
                calls.failed(self.begun_at, now, ended);
                false
            }
            CallEnded::Read | CallEnded::Wrote => {
                if self.is_slow(now) {
                    calls.failed(self.begun_at, now, CallEnded::Failed);
                }
                calls.succeeded(self.begun_at, now, ended)
            }
        };
        drop(calls);
        if is_back {
            self.trouble.answers.notify_waiters();
        }
    }

    /// Notes the success of a claim that took `count` deliveries. It ends an outage, if the store had answered before
    /// the claim began.
    pub(super) fn claimed(self, now: Timestamp, count: usize) {
        let trouble = self.trouble;
        let is_over = trouble.calls.lock().outage.is_some_and(|outage| {
            outage.answers_since.is_some_and(|since| since <= self.begun_at)
                && (count > 0 || outage.writes_since.is_some())
                && !self.is_slow(now)
        });
        self.ended(now, if count > 0 { CallEnded::Wrote } else { CallEnded::Read });
        if is_over {
            trouble.calls.lock().outage = None;
        }
    }

    /// Whether the call took as long as a long outage.
    fn is_slow(&self, now: Timestamp) -> bool {
        now >= plus_ms(self.begun_at, self.trouble.long_ms)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.trouble.calls.lock().under_way.remove(&self.number);
    }
}

impl Trouble {
    /// No trouble yet. An outage of `long_ms` milliseconds and more counts as long.
    pub(super) fn of(long_ms: u64) -> Self {
        Self { calls: Mutex::default(), answers: Notify::new(), long_ms }
    }

    /// Begins a call.
    pub(super) fn begin_call(&self, now: Timestamp) -> Call<'_> {
        let mut calls = self.calls.lock();
        let number = calls.next_number;
        calls.next_number += 1;
        calls.under_way.insert(number, now);
        Call { trouble: self, number, begun_at: now }
    }

    /// Whether there is an outage, or was one a moment ago, or a call waits as long as in a long one.
    pub(super) fn is_on(&self, now: Timestamp) -> bool {
        let calls = self.calls.lock();
        calls.outage.is_some_and(|outage| !outage.is_past(now))
            || calls.under_way.values().any(|begun_at| now >= plus_ms(*begun_at, self.long_ms))
    }

    /// What comes before a claim at the time `now`.
    pub(super) fn before_claim(&self, now: Timestamp) -> BeforeClaim {
        let outage = self.calls.lock().outage.filter(|outage| !outage.is_past(now));
        let Some(outage) = outage else { return BeforeClaim::Nothing };
        let Some(answers_since) = outage.answers_since else { return BeforeClaim::Ask };
        let is_long = answers_since >= plus_ms(outage.since, self.long_ms);
        let since = outage.writes_since.unwrap_or(answers_since);
        let left = (plus_ms(since, SETTLE_FIRST_MS) - now).to_std().unwrap_or_default();
        // A clock that was set back would leave more than the whole wait: then nobody waits.
        let is_waited_for = is_long && !left.is_zero() && left <= Duration::from_millis(SETTLE_FIRST_MS);
        if is_waited_for { BeforeClaim::Settle(left) } else { BeforeClaim::Nothing }
    }

    /// How many calls have written.
    pub(super) fn write_count(&self) -> u64 {
        self.calls.lock().write_count
    }

    /// Waits for `at_most`, or until a store that was away answers again.
    pub(super) async fn wait(&self, at_most: Duration) {
        tokio::select! {
            biased;
            () = self.answers.notified() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }
}

#[cfg(test)]
mod tests;
