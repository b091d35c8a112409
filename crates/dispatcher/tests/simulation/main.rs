//! The road under failure, simulated: processes that die and come back on one store, whose calls fail, hang or lose
//! their answers; receivers that fail, hang and ask for patience; people who pause, switch off, cancel, retry and
//! replay; clocks that jump. Everything happens as a seed says, and the same way again; no time passes but the
//! simulated.
//!
//! Each call of the store is judged at once by the `model`, a small state machine of its own; `ending` asks in the end
//! whether anything was lost. A failing seed is printed with what happened last:
//!
//! - `HOOKGRAPH_SEED=17 cargo test -p hookgraph-dispatcher --test simulation` runs one seed and prints everything
//!   that happened;
//! - `HOOKGRAPH_SEEDS=100000` runs this many seeds instead of [`SEEDS`].

mod changing;
mod dice;
mod ending;
mod judging;
mod model;
mod people;
mod plan;
mod process;
mod receiver;
mod run;
mod settling;
mod world;

use run::{Failure, Report, run};

/// How many seeds every test run tries: about half a minute of processor time, unoptimised.
const SEEDS: u64 = 1_200;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Runs seeds on as many threads as there are cores, and sums up their reports.
fn run_all(seeds: std::ops::Range<u64>) -> Result<Report, Box<Failure>> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let mut total = Report::default();
    std::thread::scope(|scope| {
        let shares = (0..threads).map(|share| {
            let own = seeds.clone().skip(share as usize).step_by(threads as usize);
            scope.spawn(move || {
                let mut sum = Report::default();
                for seed in own {
                    sum += run(seed, false)?;
                }
                Ok::<_, Box<Failure>>(sum)
            })
        });
        for share in shares.collect::<Vec<_>>() {
            total += share.join().expect("a run judges, it does not panic")?;
        }
        Ok(total)
    })
}

#[test]
fn the_road_keeps_its_word_whatever_fails() {
    if let Some(seed) = variable("HOOKGRAPH_SEED") {
        match run(seed, true) {
            Ok(report) => println!("seed {seed} holds: {report:?}"),
            Err(failure) => panic!("{failure}"),
        }
        return;
    }
    let seeds = variable("HOOKGRAPH_SEEDS").unwrap_or(SEEDS);
    let report = run_all(0..seeds).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{seeds} seeds hold: {report:?}");
    // What never happens proves nothing.
    let Report { delivered, failed, held, cancelled, orphans, gone_on, refused, kills, trips, replayed, .. } = report;
    for (what, count) in [
        ("delivered", delivered),
        ("failed", failed),
        ("held", held),
        ("cancelled", cancelled),
        ("taken over", orphans),
        ("settled under a lost lease", refused),
        ("killed", kills),
        ("breakers opened", trips),
        ("replayed", replayed),
    ] {
        assert!(count > seeds / 50, "too few were {what}: {count}");
    }
    assert!(gone_on > 0, "no request went on after its own process had taken it over");
}

#[test]
fn a_seed_always_runs_the_same_way() {
    for seed in [1, 2, 3, 5, 8, 13] {
        let told = |run: Result<Report, Box<Failure>>| run.map_or_else(|failure| failure.told, |report| report.told);
        let (first, second) = (told(run(seed, true)), told(run(seed, true)));
        let differs = first.iter().zip(&second).position(|(one, other)| one != other);
        assert_eq!(differs.map(|place| (&first[place], &second[place])), None, "seed {seed}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
