//! `make soak`: the cases of trouble at length, one after another, as one table.
//!
//! `CASES=kill,silent` runs those whose names hold one of the words; `ROUNDS` and `PER_SECOND` change the scale.

use anyhow::{Context, bail};
use hookgraph_tests::chaos::{Case, Outcome, Scale, run};
use std::io::Write;

/// The most memory that a process may have, in MiB.
const PEAK_MIB_MAX: u64 = 100;

fn number<T: std::str::FromStr>(name: &str, default: T) -> anyhow::Result<T> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().ok().with_context(|| format!("{name} is no number: {text}")),
        _ => Ok(default),
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn row(case: Case, outcome: &Outcome) -> String {
    format!(
        "| {:<40} | {:>8} | {:>9} | {:>7} | {:>5} | {:>10.1} | {:>8} | {:>8} |",
        case.as_str(),
        outcome.accepted,
        outcome.delivered,
        outcome.missing,
        outcome.twice,
        outcome.recovery.as_secs_f64(),
        outcome.peak_mib,
        outcome.warnings,
    )
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wanted = std::env::var("CASES").unwrap_or_default();
    let words: Vec<&str> = wanted.split(',').filter(|word| !word.is_empty()).collect();
    let scale = Scale {
        rounds: number("ROUNDS", Scale::LONG.rounds)?,
        per_second: number("PER_SECOND", Scale::LONG.per_second)?,
        ..Scale::LONG
    };
    say(
        "| case                                     | accepted | delivered | missing | twice | recovery s | peak MiB | warnings |",
    )?;
    say(
        "|------------------------------------------|---------:|----------:|--------:|------:|-----------:|---------:|---------:|",
    )?;
    let mut wrong = Vec::new();
    for case in Case::ALL {
        if !words.is_empty() && !words.iter().any(|word| case.as_str().contains(word)) {
            continue;
        }
        let Some(outcome) = run(case, scale).await.with_context(|| case.as_str())? else {
            say(&format!("| {:<40} | not run: this user may not mount a small disk", case.as_str()))?;
            continue;
        };
        say(&row(case, &outcome))?;
        let problems = outcome.problems(case.warnings_max(scale.rounds), PEAK_MIB_MAX);
        wrong.extend(problems.into_iter().map(|problem| format!("{}: {problem}", case.as_str())));
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}
