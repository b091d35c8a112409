//! The loop of retention: deliveries that were owed for too long expire; history, feed and ended work that are too
//! old, or too much, are removed, and so is everything that deleted tenants owned.
//!
//! The loop works in short steps. Each step is a transaction that may be repeated, so a crash costs one step. Any
//! number of processes may run the loop on one store: while one of them takes a step, the rounds of the others end
//! early.

#[cfg(test)]
mod tests;
mod turns;

use crate::guard::guarded;
use crate::limits::{
    RETENTION_AGAIN_MS, RETENTION_DAYS_FOR_ROOM_MAX, RETENTION_POLL_MS, RETENTION_ROUND_MS_MAX, RETENTION_STEP_ROWS,
    RETENTION_TENANT_MS_MAX, RETENTION_TENANTS_MS,
};
use hookgraph_domain::ports::{Clock, PrunePosition, PruneStep, Retention, StoreError, WakeUps};
use hookgraph_domain::retention::{HistoryCut, RetentionRules, WorkCut};
use hookgraph_domain::time::{Timestamp, plus_ms};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use turns::{Turn, resumed_at};

/// The services that the loop uses.
#[derive(Clone)]
pub struct RetentionServices {
    /// The store of the history.
    pub retention: Arc<dyn Retention>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Told of deliveries that expired.
    pub wake_ups: Arc<dyn WakeUps>,
}

/// The counts of one round, and everything that it put off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionRound {
    /// Deliveries that expired.
    pub expired: u64,
    /// Rows of the history that were removed.
    pub history_rows: u64,
    /// Partitions of the history that were dropped.
    pub partitions: u64,
    /// Batches of the feed that were removed.
    pub feed_batches: u64,
    /// Ended replays, ended tenant copies and entries of the audit log that were removed.
    pub work_rows: u64,
    /// Rows of deleted tenants that were removed.
    pub tenant_rows: u64,
    /// The reasons why some rows stay for now, in words.
    pub put_off: BTreeSet<String>,
    /// Whether the round did everything, and did not end with its time.
    pub is_whole: bool,
}

impl RetentionRound {
    /// A round that has done nothing yet.
    fn begun() -> Self {
        Self { is_whole: true, ..Self::default() }
    }
}

/// The loop of one process.
pub struct RetentionLoop {
    services: RetentionServices,
    rules: RetentionRules,
    /// The position from which the next round looks for deleted tenants.
    tenants_from: Mutex<PrunePosition>,
}

/// The reasons to put rows off that were logged. Each is logged once for as long as its rows stay.
#[derive(Debug, Default)]
struct LoggedReasons(BTreeSet<String>);

impl LoggedReasons {
    /// Logs the reasons that are new, and answers whether any is.
    fn log_news(&mut self, put_off: &BTreeSet<String>) -> bool {
        let news: Vec<String> = put_off.difference(&self.0).cloned().collect();
        news.iter().for_each(|why| tracing::info!(why, "some history stays for now"));
        let is_news = !news.is_empty();
        self.0.extend(news);
        is_news
    }
}

/// What a look at deleted tenants between two rounds left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TenantsLeft {
    Nothing,
    More,
}

/// The kinds of work, each with its bounds.
#[derive(Clone, Copy)]
enum Work {
    Expire { owed_before: Timestamp, now: Timestamp },
    History(HistoryCut),
    Feed(Timestamp),
    Ended(WorkCut),
    Tenants,
}

impl RetentionLoop {
    /// A loop under these rules.
    pub fn new(services: RetentionServices, rules: RetentionRules) -> Self {
        Self { services, rules, tenants_from: Mutex::default() }
    }

    /// Runs one round. A kind of work that fails keeps no other from its turn.
    ///
    /// # Errors
    /// The first failure of the store: the next round tries again.
    pub async fn run_once(&self) -> Result<RetentionRound, StoreError> {
        let mut round = RetentionRound::begun();
        self.round(&mut round).await.map(|()| round)
    }

    /// Runs one round into `round`, which tells what was done and put off also where a part fails.
    async fn round(&self, round: &mut RetentionRound) -> Result<(), StoreError> {
        let now = self.services.clock.now();
        let ends_at = plus_ms(now, RETENTION_ROUND_MS_MAX);
        let done = [
            guarded(self.expire(now, ends_at, round)).await,
            guarded(self.prune_history(now, ends_at, round)).await,
            guarded(self.make_room(now, ends_at, round)).await,
            guarded(self.prune_feed(now, ends_at, round)).await,
            guarded(self.prune_work(now, ends_at, round)).await,
            guarded(self.prune_tenants(round)).await,
        ];
        done.into_iter().collect()
    }

    async fn expire(&self, now: Timestamp, ends_at: Timestamp, round: &mut RetentionRound) -> Result<(), StoreError> {
        let work = Work::Expire { owed_before: self.rules.owed_before(now), now };
        round.expired = self.all(work, ends_at, round).await?;
        if round.expired > 0 {
            self.services.wake_ups.fed();
            let reason = self.rules.expired_reason();
            tracing::warn!(count = round.expired, reason, "deliveries expired");
        }
        Ok(())
    }

    async fn prune_history(
        &self,
        now: Timestamp,
        ends_at: Timestamp,
        round: &mut RetentionRound,
    ) -> Result<(), StoreError> {
        let cut = HistoryCut::by_age(&self.rules, now);
        round.history_rows = self.all(Work::History(cut), ends_at, round).await?;
        if round.history_rows + round.partitions > 0 {
            let (rows, partitions) = (round.history_rows, round.partitions);
            tracing::info!(rows, partitions, before = %cut.before, "history older than it is kept was removed");
        }
        Ok(())
    }

    async fn prune_feed(
        &self,
        now: Timestamp,
        ends_at: Timestamp,
        round: &mut RetentionRound,
    ) -> Result<(), StoreError> {
        let before = self.rules.feed_before(now);
        round.feed_batches = self.all(Work::Feed(before), ends_at, round).await?;
        if round.feed_batches > 0 {
            tracing::info!(batches = round.feed_batches, %before, "feed older than it is kept was removed");
        }
        Ok(())
    }

    async fn prune_work(
        &self,
        now: Timestamp,
        ends_at: Timestamp,
        round: &mut RetentionRound,
    ) -> Result<(), StoreError> {
        let cut = self.rules.work_cut(now);
        round.work_rows = self.all(Work::Ended(cut), ends_at, round).await?;
        if round.work_rows > 0 {
            let (rows, ended, audited) = (round.work_rows, cut.ended_before, cut.audited_before);
            tracing::info!(
                rows, %ended, %audited,
                "replays, copies and audit entries older than they are kept were removed"
            );
        }
        Ok(())
    }

    /// Removes rows of deleted tenants, in a time of its own: a history that takes all of a round's time must not
    /// keep rows that nobody owns any more.
    async fn prune_tenants(&self, round: &mut RetentionRound) -> Result<(), StoreError> {
        let done = self.tenants_in_turns(round).await;
        if round.tenant_rows > 0 {
            tracing::info!(rows = round.tenant_rows, "rows of deleted tenants were removed");
        }
        done
    }

    /// Gives deleted tenants their turns of [`RETENTION_TENANT_MS_MAX`]. The next round begins behind the tenant at
    /// which this round ends, so that all have their turns. Where another process takes a step, the round ends and
    /// the next one goes on with the same tenant.
    async fn tenants_in_turns(&self, round: &mut RetentionRound) -> Result<(), StoreError> {
        let clock = &self.services.clock;
        let mut from = *self.tenants_from.lock();
        // Whether tenants are left to come back to: those before the first one, and those that gave way.
        let mut is_again = from != PrunePosition::default();
        let ends_at = plus_ms(clock.now(), RETENTION_ROUND_MS_MAX);
        let mut turn_ends_at = ends_at;
        loop {
            let now = clock.now();
            if now >= ends_at {
                round.is_whole = false;
                *self.tenants_from.lock() = PrunePosition::behind(from.owner);
                return Ok(());
            }
            let step = self.step(Work::Tenants, from).await?;
            if step.is_others {
                *self.tenants_from.lock() = resumed_at(from);
                return Ok(());
            }
            round.tenant_rows += step.rows;
            round.put_off.extend(step.put_off);
            from = match Turn::after(from, step.next, clock.now(), turn_ends_at) {
                Turn::GoesOn(next) => next,
                Turn::Begins(next) => {
                    turn_ends_at = plus_ms(now, RETENTION_TENANT_MS_MAX);
                    next
                }
                Turn::GivesWay(next) => {
                    is_again = true;
                    next
                }
                Turn::WasTheLast if std::mem::take(&mut is_again) => PrunePosition::default(),
                Turn::WasTheLast => {
                    *self.tenants_from.lock() = PrunePosition::default();
                    return Ok(());
                }
            };
        }
    }

    /// Takes step after step until nothing is left or the round's time is over, and answers how many rows they
    /// removed or ended.
    async fn all(&self, work: Work, ends_at: Timestamp, round: &mut RetentionRound) -> Result<u64, StoreError> {
        let (mut rows, mut from) = (0, PrunePosition::default());
        loop {
            if self.services.clock.now() >= ends_at {
                round.is_whole = false;
                return Ok(rows);
            }
            let step = self.step(work, from).await?;
            rows += step.rows;
            round.partitions += step.partitions;
            round.put_off.extend(step.put_off);
            let Some(next) = step.next else { return Ok(rows) };
            from = next;
        }
    }

    async fn step(&self, work: Work, from: PrunePosition) -> Result<PruneStep, StoreError> {
        let retention = &self.services.retention;
        match work {
            Work::Expire { owed_before, now } => {
                retention.expire_due(owed_before, &self.rules.expired_reason(), now, from, RETENTION_STEP_ROWS).await
            }
            Work::History(cut) => retention.prune_history(&cut, from, RETENTION_STEP_ROWS).await,
            Work::Feed(before) => retention.prune_feed(before, from, RETENTION_STEP_ROWS).await,
            Work::Ended(cut) => retention.prune_work(&cut, from, RETENTION_STEP_ROWS).await,
            Work::Tenants => retention.prune_tenants(from, RETENTION_STEP_ROWS).await,
        }
    }

    /// Removes the oldest days of history, one after another, until the rest fits into its room.
    async fn make_room(
        &self,
        now: Timestamp,
        ends_at: Timestamp,
        round: &mut RetentionRound,
    ) -> Result<(), StoreError> {
        let Some(bytes_max) = self.rules.history_bytes_max else { return Ok(()) };
        let mut last: Option<HistoryCut> = None;
        for _ in 0..RETENTION_DAYS_FOR_ROOM_MAX {
            let kept = self.services.retention.history_kept().await?;
            if kept.bytes <= bytes_max || !round.is_whole {
                return Ok(());
            }
            // Deliveries that are still owed stay, so a day may make no room: then the next day is removed.
            let oldest_at = last.map_or(kept.oldest_at, |cut| kept.oldest_at.max(Some(cut.before)));
            let Some(cut) = oldest_at.and_then(|oldest_at| HistoryCut::of_day(oldest_at, now)) else {
                let bytes = kept.bytes;
                let why = format!("history has {bytes} bytes, {bytes_max} are allowed: all but today's is gone");
                round.put_off.insert(why);
                return Ok(());
            };
            let partitions_before = round.partitions;
            let rows = self.all(Work::History(cut), ends_at, round).await?;
            round.history_rows += rows;
            let (partitions, bytes, before) = (round.partitions - partitions_before, kept.bytes, cut.before);
            tracing::info!(rows, partitions, bytes, bytes_max, %before, "history was removed for lack of room");
            last = Some(cut);
        }
        round.is_whole = false;
        Ok(())
    }

    /// Runs a round every [`RETENTION_POLL_MS`], or sooner after one that did not do everything, until the shutdown.
    /// Rows of deleted tenants are removed between the rounds, too.
    pub async fn run(self, shutdown: CancellationToken) {
        let (mut fails, mut logged) = (false, LoggedReasons::default());
        while !shutdown.is_cancelled() {
            let mut round = RetentionRound::begun();
            let done = tokio::select! {
                () = shutdown.cancelled() => return,
                done = self.round(&mut round) => done,
            };
            let is_news = logged.log_news(&round.put_off);
            let wait_ms = match done {
                Ok(()) => {
                    fails = false;
                    // A reason that is gone is logged again, should it come back.
                    if round.is_whole {
                        logged.0 = round.put_off;
                    }
                    if round.is_whole && !is_news { RETENTION_POLL_MS } else { RETENTION_AGAIN_MS }
                }
                Err(error) => {
                    if !std::mem::replace(&mut fails, true) {
                        tracing::warn!(%error, "retention waits for the database");
                    }
                    RETENTION_AGAIN_MS
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = self.wait(wait_ms, &mut logged) => {}
            }
        }
    }

    /// Waits for the next round, and meanwhile removes rows of deleted tenants every [`RETENTION_TENANTS_MS`]. Where
    /// more of them are left, or that fails, the next round is early.
    async fn wait(&self, wait_ms: u64, logged: &mut LoggedReasons) {
        let mut left_ms = wait_ms;
        while left_ms > RETENTION_TENANTS_MS {
            tokio::time::sleep(Duration::from_millis(RETENTION_TENANTS_MS)).await;
            left_ms -= RETENTION_TENANTS_MS;
            if self.tenants_between(logged).await == TenantsLeft::More {
                left_ms = RETENTION_AGAIN_MS;
            }
        }
        tokio::time::sleep(Duration::from_millis(left_ms)).await;
    }

    async fn tenants_between(&self, logged: &mut LoggedReasons) -> TenantsLeft {
        let mut round = RetentionRound::begun();
        let done = guarded(self.prune_tenants(&mut round)).await;
        logged.log_news(&round.put_off);
        if let Err(error) = &done {
            tracing::debug!(%error, "what deleted tenants owned stays for the next round");
        }
        if done.is_ok() && round.is_whole { TenantsLeft::Nothing } else { TenantsLeft::More }
    }
}
