//! A store that was away: what is written first once it answers again.

use crate::limits::SETTLE_FIRST_MS;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::{Timestamp, plus_ms};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::Notify;

/// What all calls of the road together tell of the store.
///
/// Where it fails for so long that leases end, those who wait with what came of their requests are to write it before anyone
/// claims: else what has arrived is sent again.
#[derive(Debug)]
pub(super) struct Trouble {
    known: Mutex<Known>,
    answers: Notify,
    /// How long an outage is that a lease may not outlive, in milliseconds.
    long_ms: u64,
}

#[derive(Debug, Default)]
struct Known {
    failing: Option<Failing>,
    wrote: Wrote,
    /// When each call under way was asked for, by its number.
    under_way: BTreeMap<u64, Timestamp>,
    next_number: u64,
    /// How many calls wrote so far.
    writes: u64,
}

/// Calls failed, or took as long as an outage, and none has written since that a claim followed.
#[derive(Clone, Copy, Debug)]
struct Failing {
    /// When the first of them was asked for.
    since: Timestamp,
    /// When a call first succeeded after the last of them.
    answers_since: Option<Timestamp>,
    /// When one did that has written: to read is possible on a full disk too.
    writes_since: Option<Timestamp>,
    /// Whether it could not even be read, until it answers.
    is_away: bool,
}

/// Calls that wrote: who was kept waiting by an outage wrote by now, if others could write for long enough.
#[derive(Debug, Default)]
struct Wrote {
    /// When the newest was asked for that ended [`SETTLE_FIRST_MS`] ago or before.
    long_ago: Option<Timestamp>,
    /// Some of those since, in their order: when they were asked for, and when they ended.
    lately: VecDeque<(Timestamp, Timestamp)>,
}

impl Wrote {
    fn note(&mut self, asked_at: Timestamp, now: Timestamp) {
        self.pass(now);
        let apart_ms = SETTLE_FIRST_MS / 8;
        if self.lately.back().is_none_or(|(_, ended_at)| now >= plus_ms(*ended_at, apart_ms)) {
            self.lately.push_back((asked_at, now));
        }
    }

    fn pass(&mut self, now: Timestamp) {
        // A clock that was set back.
        self.long_ago = self.long_ago.filter(|asked_at| *asked_at <= now);
        self.lately.retain(|(_, ended_at)| *ended_at <= now);
        while let Some((asked_at, ended_at)) = self.lately.front().copied()
            && now >= plus_ms(ended_at, SETTLE_FIRST_MS)
        {
            self.long_ago = self.long_ago.max(Some(asked_at));
            self.lately.pop_front();
        }
    }

    /// Whether what a call tells that was asked for then is known to be over.
    fn is_after(&mut self, asked_at: Timestamp, now: Timestamp) -> bool {
        self.pass(now);
        self.long_ago.is_some_and(|long_ago| asked_at < long_ago)
    }
}

/// What is to be done before a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Nothing.
    Claim,
    /// Somebody has to ask whether the store answers, by a call that takes nothing over.
    Ask,
    /// What came of requests is written, for so long yet.
    Settle(Duration),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// With a failure.
    Failed,
    /// With a failure, though it only reads.
    Away,
    /// With an answer, and whether it wrote anything.
    Answered { writes: bool },
}

impl Told {
    /// What an error tells: one that is final is an answer.
    pub(super) fn by(error: &StoreError) -> Self {
        if error.is_retryable() { Told::Failed } else { Told::Answered { writes: false } }
    }
}

impl Failing {
    /// Whether a call that is asked for at that time and fails is of the same outage. The first after the wait may well be late.
    fn goes_on(&self, at: Timestamp) -> bool {
        self.writes_since.is_none() && !self.is_past(at)
    }

    /// Whether nothing failed for so long that there was nothing to write, or all of it was written.
    fn is_past(&self, at: Timestamp) -> bool {
        self.answers_since.is_some_and(|since| at >= plus_ms(since, 2 * SETTLE_FIRST_MS))
    }
}

impl Known {
    fn failed(&mut self, asked_at: Timestamp, now: Timestamp, is_away: bool) {
        if self.wrote.is_after(asked_at, now) {
            return;
        }
        let before = self.failing.filter(|failing| failing.goes_on(asked_at));
        self.failing = Some(Failing {
            since: before.map_or(asked_at, |failing| failing.since.min(asked_at)),
            answers_since: None,
            writes_since: None,
            is_away: is_away || before.is_some_and(|failing| failing.is_away),
        });
    }

    /// Whether those who wait are to be told.
    fn answered(&mut self, asked_at: Timestamp, now: Timestamp, writes: bool) -> bool {
        if writes {
            self.writes += 1;
            self.wrote.note(asked_at, now);
        }
        self.failing = self.failing.filter(|failing| !failing.is_past(now));
        let Some(failing) = self.failing.as_mut() else { return false };
        failing.answers_since.get_or_insert(now);
        if writes {
            failing.writes_since.get_or_insert(now);
        }
        std::mem::take(&mut failing.is_away)
    }
}

/// A call under way; one that is given up tells nothing.
#[derive(Debug)]
pub(super) struct Call<'a> {
    trouble: &'a Trouble,
    number: u64,
    asked_at: Timestamp,
}

impl Call<'_> {
    /// Takes down how it ended. One that took as long as an outage was kept waiting by one.
    pub(super) fn ended(self, now: Timestamp, told: Told) {
        let mut known = self.trouble.known.lock();
        let tells_others = match told {
            Told::Failed | Told::Away => {
                known.failed(self.asked_at, now, told == Told::Away);
                false
            }
            Told::Answered { writes } => {
                if self.is_slow(now) {
                    known.failed(self.asked_at, now, false);
                }
                known.answered(self.asked_at, now, writes)
            }
        };
        drop(known);
        if tells_others {
            self.trouble.answers.notify_waiters();
        }
    }

    /// The same for a claim that succeeded, which took something or did not: where the store had answered before it was asked for,
    /// the outage is over.
    pub(super) fn claimed(self, now: Timestamp, takes_any: bool) {
        let trouble = self.trouble;
        let is_over = trouble.known.lock().failing.is_some_and(|failing| {
            failing.answers_since.is_some_and(|since| since <= self.asked_at)
                && (takes_any || failing.writes_since.is_some())
                && !self.is_slow(now)
        });
        self.ended(now, Told::Answered { writes: takes_any });
        if is_over {
            trouble.known.lock().failing = None;
        }
    }

    /// Whether it took as long as an outage.
    fn is_slow(&self, now: Timestamp) -> bool {
        now >= plus_ms(self.asked_at, self.trouble.long_ms)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.trouble.known.lock().under_way.remove(&self.number);
    }
}

impl Trouble {
    /// None yet, where an outage is long that lasts so many milliseconds.
    pub(super) fn of(long_ms: u64) -> Self {
        Self { known: Mutex::default(), answers: Notify::new(), long_ms }
    }

    /// A call begins.
    pub(super) fn asks(&self, now: Timestamp) -> Call<'_> {
        let mut known = self.known.lock();
        let number = known.next_number;
        known.next_number += 1;
        known.under_way.insert(number, now);
        Call { trouble: self, number, asked_at: now }
    }

    /// Whether there is an outage, or was one a moment ago, or a call waits as long as in one.
    pub(super) fn is_on(&self, now: Timestamp) -> bool {
        let known = self.known.lock();
        known.failing.is_some_and(|failing| !failing.is_past(now))
            || known.under_way.values().any(|asked_at| now >= plus_ms(*asked_at, self.long_ms))
    }

    /// What comes before a claim.
    pub(super) fn first(&self, now: Timestamp) -> First {
        let failing = self.known.lock().failing.filter(|failing| !failing.is_past(now));
        let Some(failing) = failing else { return First::Claim };
        let Some(answers_since) = failing.answers_since else { return First::Ask };
        let is_long = answers_since >= plus_ms(failing.since, self.long_ms);
        let since = failing.writes_since.unwrap_or(answers_since);
        let left = (plus_ms(since, SETTLE_FIRST_MS) - now).to_std().unwrap_or_default();
        // More is left than there is where the clock was set back.
        let is_waited_for = is_long && !left.is_zero() && left <= Duration::from_millis(SETTLE_FIRST_MS);
        if is_waited_for { First::Settle(left) } else { First::Claim }
    }

    /// How many calls wrote so far.
    pub(super) fn writes(&self) -> u64 {
        self.known.lock().writes
    }

    /// Waits so long, or until a store that was away answers again.
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
