//! The cases: the ground on which each one runs, and its trouble.

use super::fleet::Fleet;
use super::ground::Ground;
use super::proxy::Network;
use super::tally::Tally;
use anyhow::Context;
use sea_orm::ConnectionTrait;
use std::time::Duration;

/// How long the load may take to show itself.
const PATIENCE: Duration = Duration::from_secs(90);
/// How soon after the network is back the server does without the connections that it swallowed: a call of the road is
/// given up after ten seconds.
const SWALLOWED_PATIENCE: Duration = Duration::from_secs(20);

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Processes on one PostgreSQL are killed, one after another.
    KillsOnPostgres,
    /// The process on SQLite is killed, again and again.
    KillsOnSqlite,
    /// PostgreSQL is ended without a word, and started again.
    PostgresRestarts,
    /// PostgreSQL ends every connection.
    BackendsKilled,
    /// The disk of the database is full.
    DiskFull,
    /// A session of someone else holds the transaction horizon.
    HorizonHeld,
    /// The network to the database is cut, or goes silent, and comes back.
    NetworkCut,
    /// The network to the database swallows everything, and goes on to do so for the connections that were open.
    NetworkSwallows,
}

/// The scale of a case.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// How many processes run, where there may be several.
    pub processes: usize,
    /// How many events are published per second.
    pub per_second: u32,
    /// How often the trouble comes.
    pub rounds: usize,
    /// How long a round is.
    pub round: Duration,
}

impl Scale {
    /// The scale of the tests.
    pub const SHORT: Self = Self { processes: 2, per_second: 60, rounds: 2, round: Duration::from_millis(1_200) };
    /// The scale of `make soak`.
    pub const LONG: Self = Self { processes: 4, per_second: 200, rounds: 60, round: Duration::from_secs(2) };
}

impl Case {
    /// All cases.
    pub const ALL: [Case; 8] = [
        Self::KillsOnPostgres,
        Self::KillsOnSqlite,
        Self::PostgresRestarts,
        Self::BackendsKilled,
        Self::DiskFull,
        Self::HorizonHeld,
        Self::NetworkCut,
        Self::NetworkSwallows,
    ];

    /// The name of the case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Case::KillsOnPostgres => "kill -9 of one of several on PostgreSQL",
            Case::KillsOnSqlite => "kill -9 on SQLite",
            Case::PostgresRestarts => "PostgreSQL restarts",
            Case::BackendsKilled => "PostgreSQL's backends killed",
            Case::DiskFull => "PostgreSQL's disk full",
            Case::HorizonHeld => "the transaction horizon held",
            Case::NetworkCut => "the network cut and silent",
            Case::NetworkSwallows => "the network swallows what there was",
        }
    }

    /// The ground on which the case runs; none where this user may not make it.
    pub(super) async fn ground(self) -> anyhow::Result<Option<Ground>> {
        Ok(match self {
            Case::KillsOnSqlite => Some(Ground::sqlite()?),
            Case::DiskFull => Ground::on_small_disk().await?,
            Case::NetworkCut | Case::NetworkSwallows => Some(Ground::behind_proxy().await?),
            _ => Some(Ground::postgres().await?),
        })
    }

    pub(super) const fn processes(self, scale: Scale) -> usize {
        match self {
            Case::KillsOnSqlite => 1,
            _ => scale.processes,
        }
    }

    /// How many warnings and errors one process may write in that number of rounds: a few about each failure, never one
    /// about each call.
    pub const fn warnings_max(self, rounds: usize) -> usize {
        20 + 12 * rounds
    }

    /// Whether a process that starts takes over the deliveries of the one before it, without waiting for its leases.
    pub(super) const fn takes_over_at_once(self) -> bool {
        matches!(self, Self::KillsOnSqlite)
    }

    #[expect(clippy::too_many_lines, reason = "an arm for each case")]
    pub(super) async fn trouble(
        self,
        scale: Scale,
        ground: &Ground,
        fleet: &mut Fleet,
        tally: &Tally,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(scale.round);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        match self {
            Case::KillsOnPostgres | Case::KillsOnSqlite => {
                for turn in 0..scale.rounds {
                    ticks.tick().await;
                    fleet.kill(turn).await?;
                }
            }
            Case::PostgresRestarts => {
                // The processes deliver again between two restarts.
                for _ in 0..scale.rounds.div_ceil(4) {
                    ground.instance()?.restart().await?;
                    tally.more(10, PATIENCE).await?;
                }
            }
            Case::BackendsKilled => {
                let admin = ground.admin().await?;
                for _ in 0..scale.rounds {
                    ticks.tick().await;
                    ground.instance()?.kill_backends(&admin).await?;
                }
            }
            Case::DiskFull => {
                let disk = ground.disk.as_ref().context("a disk")?;
                disk.fill()?;
                // There is room in pages of the database that were made before.
                let instance = ground.instance()?;
                let waited = tokio::time::timeout(PATIENCE, async {
                    while !instance.has_told_of_a_full_disk()? {
                        ticks.tick().await;
                    }
                    std::io::Result::Ok(())
                });
                waited.await.context("the disk is full and nobody minds")??;
                for _ in 0..=scale.rounds {
                    ticks.tick().await;
                }
                disk.empty()?;
            }
            Case::HorizonHeld => {
                let holder = super::ground::connect(&ground.database_url()?).await?;
                holder.execute_unprepared("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM due").await?;
                for _ in 0..scale.rounds {
                    ticks.tick().await;
                    tally.more(10, PATIENCE).await?;
                }
                holder.execute_unprepared("ROLLBACK").await?;
            }
            Case::NetworkCut => {
                let proxy = ground.proxy.as_ref().context("a proxy")?;
                for turn in 0..scale.rounds.div_ceil(2) {
                    ticks.tick().await;
                    proxy.be(if turn % 2 == 0 { Network::Silent } else { Network::Cut });
                    ticks.tick().await;
                    ticks.tick().await;
                    proxy.be(Network::Up);
                    tally.more(10, PATIENCE).await?;
                }
            }
            Case::NetworkSwallows => {
                let proxy = ground.proxy.as_ref().context("a proxy")?;
                for _ in 0..scale.rounds.div_ceil(4) {
                    ticks.tick().await;
                    proxy.be(Network::Swallowing);
                    ticks.tick().await;
                    proxy.be(Network::Up);
                    tally.more(10, SWALLOWED_PATIENCE).await?;
                }
            }
        }
        Ok(())
    }
}
