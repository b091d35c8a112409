//! Processes, databases and the network fail under load, and every accepted event arrives: the short forms of `make
//! soak`.

use anyhow::ensure;
use hookgraph_tests::chaos::{Case, Scale, run};

/// The most memory that a process may have, in MiB.
const PEAK_MIB_MAX: u64 = 100;

async fn holds(case: Case) -> anyhow::Result<()> {
    let scale = Scale::SHORT;
    let Some(outcome) = run(case, scale).await? else {
        eprintln!("not run, this user may not mount a small disk: {}", case.as_str());
        return Ok(());
    };
    let problems = outcome.problems(case.warnings_max(scale.rounds), PEAK_MIB_MAX);
    ensure!(problems.is_empty(), "{}: {problems:?}: {outcome:?}", case.as_str());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_killed_one_after_another_lose_nothing() -> anyhow::Result<()> {
    holds(Case::KillsOnPostgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_on_sqlite_killed_again_and_again_loses_nothing() -> anyhow::Result<()> {
    holds(Case::KillsOnSqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_restarts_costs_nothing_but_time() -> anyhow::Result<()> {
    holds(Case::PostgresRestarts).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_database_ends_are_made_again() -> anyhow::Result<()> {
    holds(Case::BackendsKilled).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_nothing_but_time() -> anyhow::Result<()> {
    holds(Case::DiskFull).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_go_on_while_a_session_holds_the_horizon() -> anyhow::Result<()> {
    holds(Case::HorizonHeld).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_cut_and_healed_costs_nothing_but_time() -> anyhow::Result<()> {
    holds(Case::NetworkCut).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_a_network_swallowed_cost_seconds() -> anyhow::Result<()> {
    holds(Case::NetworkSwallows).await
}
