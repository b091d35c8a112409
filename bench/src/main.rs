//! The benchmark of the road: one program that starts everything, the receiver and the load generator included, which
//! are processes of their own.
//!
//! `hookgraph-bench run` reads `CASE` (keys, by comma), `DATABASE` (`sqlite`, `postgres`; both where none is named),
//! `RUNS`, `SECONDS_PER_RUN` and `FULL=1` from the environment; `make bench` sets them. With `STRICT=1` the run fails
//! where a delivery is missing or arrives twice.

mod case;
mod client;
mod database;
mod history;
mod load;
mod marker;
mod monotonic;
mod prepare;
mod processes;
mod receiver;
mod run;
mod sample;
mod server;
mod table;

use anyhow::{Context, bail, ensure};
use case::{Case, Pace};
use database::{Cluster, DatabaseKind};
use run::Bench;
use sample::Sample;
use std::env;
use std::io::Write as _;
use std::str::FromStr;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

fn main() -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["run"] => runtime.block_on(bench()),
        ["receiver"] => runtime.block_on(LocalSet::new().run_until(receiver::serve())),
        ["load", plan] => {
            let plan = serde_json::from_slice(&std::fs::read(plan)?)?;
            runtime.block_on(LocalSet::new().run_until(load::run(plan)))
        }
        _ => bail!("hookgraph-bench run, or `make bench`"),
    }
}

async fn bench() -> anyhow::Result<()> {
    let databases = match env::var("DATABASE").ok().as_deref() {
        Some("sqlite") => vec![DatabaseKind::Sqlite],
        Some("postgres") => vec![DatabaseKind::Postgres],
        None | Some("") => vec![DatabaseKind::Postgres, DatabaseKind::Sqlite],
        Some(other) => bail!("DATABASE={other}: sqlite or postgres"),
    };
    let wanted = env::var("CASE").ok().filter(|keys| !keys.is_empty());
    let cases = case::chosen(wanted.as_deref(), &databases, setting("FULL", 0)? == 1);
    if cases.is_empty() {
        let keys: Vec<_> = case::CASES.iter().map(|case| case.key).collect();
        bail!("there is no such case: {}", keys.join(", "));
    }
    let needs_postgres = cases.iter().any(|case| case.database == DatabaseKind::Postgres);
    let binary = env::var("HOOKGRAPH_BINARY").unwrap_or_else(|_| "target/release/hookgraph".to_owned());
    let mut bench = Bench {
        binary: std::fs::canonicalize(&binary).with_context(|| format!("there is no {binary}"))?,
        directory: tempfile::tempdir()?,
        cluster: if needs_postgres { Some(Cluster::start()?) } else { None },
        duration: Duration::from_secs(setting("SECONDS_PER_RUN", 5)?),
        runs: 0,
    };
    let measured = run_all(&mut bench, cases, setting("RUNS", 5)?).await?;
    if setting("STRICT", 0)? == 1 { nothing_lost(&measured) } else { Ok(()) }
}

/// Refuses a run in which a delivery did not arrive, or arrived twice.
fn nothing_lost(measured: &[(Case, Vec<Sample>)]) -> anyhow::Result<()> {
    for (case, samples) in measured {
        let sum = |count: fn(&Sample) -> f64| samples.iter().map(count).sum::<f64>();
        let (missing, twice) = (sum(|sample| sample.missing), sum(|sample| sample.twice));
        ensure!(missing + twice == 0.0, "{}: {missing} missing, {twice} twice", case.name);
    }
    Ok(())
}

/// Runs every case once, then every case again, so that a drift of the machine meets all cases alike.
async fn run_all(bench: &mut Bench, cases: Vec<Case>, rounds: u32) -> anyhow::Result<Vec<(Case, Vec<Sample>)>> {
    let mut raw: Vec<Sample> = Vec::new();
    let mut measured: Vec<(Case, Vec<Sample>)> = cases.into_iter().map(|case| (case, Vec::new())).collect();
    for round in 1..=rounds {
        let sample = bench.raw_limit().await.context("the raw limit")?;
        complain(&format!("round {round}: {}", table::progress("raw limit", &sample)));
        raw.push(sample);
        for index in 0..measured.len() {
            let case = measured[index].0;
            let maximum = maximum_on(&measured, &case)?;
            let name = format!("{} on {}", case.name, case.database.name());
            let sample = bench.run(&case, maximum).await.with_context(|| name.clone())?;
            complain(&format!("round {round}: {}", table::progress(&name, &sample)));
            measured[index].1.push(sample);
        }
    }
    say(&table::table(&raw, &measured));
    Ok(measured)
}

/// The rate that one webhook reached on the same database in this round, for the pace that is half of it.
fn maximum_on(measured: &[(Case, Vec<Sample>)], case: &Case) -> anyhow::Result<f64> {
    if case.pace != Pace::HalfOfMaximum {
        return Ok(0.0);
    }
    let one = measured.iter().find(|(known, _)| known.key == "one" && known.database == case.database);
    let sample = one.and_then(|(_, samples)| samples.last());
    let sample = sample.context("half of the maximum rate needs the case \"one\" beside it: CASE=one,half")?;
    Ok(sample.accepted_per_s.min(sample.delivered_per_s))
}

fn setting<T: FromStr>(name: &str, default: T) -> anyhow::Result<T> {
    match env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().ok().with_context(|| format!("{name}={text} is no number")),
        _ => Ok(default),
    }
}

/// Writes a line of the answer.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Writes a line beside the answer.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::nothing_lost;
    use crate::case::CASES;
    use crate::sample::Sample;

    #[test]
    fn a_strict_run_fails_where_one_delivery_of_any_round_is_missing_or_twice() {
        let of =
            |missing, twice| vec![(CASES[0], vec![Sample::default(), Sample { missing, twice, ..Sample::default() }])];
        assert!(nothing_lost(&of(0.0, 0.0)).is_ok());
        assert!(nothing_lost(&of(1.0, 0.0)).is_err() && nothing_lost(&of(0.0, 1.0)).is_err());
    }
}
