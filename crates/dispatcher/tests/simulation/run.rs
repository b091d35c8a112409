//! One run of a seed: trouble first, then calm, and everything must end.

use super::process::{Process, pass_ms};
use super::world::World;
use hookgraph_domain::replay::ReplayState;
use std::sync::Arc;

/// How long the rest of a run may take once it is calm: retries, drains, probes and a lost lease, one after the
/// other.
const CALM_MS_MAX: u64 = 1_200_000;
/// The last lines of the run that a failure shows.
const LINES_SHOWN: usize = 60;

/// The counts of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub delivered: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub expired: u64,
    pub render_failed: u64,
    /// Deliveries that were held for a while.
    pub held: u64,
    /// Deliveries that were taken over after their lease had ended.
    pub orphans: u64,
    /// Deliveries that were settled under a claim by which their own process took them over while their requests were
    /// under way.
    pub gone_on: u64,
    /// Settlements in vain, under a lease that was lost.
    pub refused: u64,
    pub trips: u64,
    pub replayed: u64,
    pub kills: u64,
    pub told: Vec<String>,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.expired += other.expired;
        self.render_failed += other.render_failed;
        self.held += other.held;
        self.orphans += other.orphans;
        self.gone_on += other.gone_on;
        self.refused += other.refused;
        self.trips += other.trips;
        self.replayed += other.replayed;
        self.kills += other.kills;
    }
}

/// What was wrong, and what happened until then.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub what: String,
    pub told: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hidden = self.told.len().saturating_sub(LINES_SHOWN);
        for line in self.told.first().into_iter().chain(&self.told[hidden..]) {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {} fails: {}", self.seed, self.what)?;
        write!(f, "run it alone: HOOKGRAPH_SEED={} cargo test -p hookgraph-dispatcher --test simulation", self.seed)
    }
}

/// Runs a seed. A failing seed that told nothing is run again, so that it tells.
pub fn run(seed: u64, tells: bool) -> Result<Report, Box<Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without threads and sockets");
    let ended = runtime.block_on(async {
        let world = Arc::new(World::of(seed, tells));
        live(&world).await;
        let report = world.model.lock().report();
        match world.violation() {
            None => Ok(Report { told: world.take_lines(), ..report }),
            Some(what) => Err(Box::new(Failure { seed, what, told: world.take_lines() })),
        }
    });
    match ended {
        Err(failure) if !tells => Err(run(seed, true).err().unwrap_or(failure)),
        ended => ended,
    }
}

async fn live(world: &Arc<World>) {
    world.begin();
    for slot in 0..world.plan.processes {
        tokio::spawn(keep_running(world.clone(), slot));
    }
    let pause_ms = world.plan.trouble_ms / world.plan.steps;
    for _ in 0..world.plan.steps {
        pass_ms(world.dice.between(0, 2 * pause_ms)).await;
        world.step();
        if world.violation().is_some() {
            return;
        }
    }
    pass_ms(world.dice.between(0, 20_000)).await;
    world.calm_down();
    for _ in 0..CALM_MS_MAX / 1_000 {
        world.resume_all();
        pass_ms(1_000).await;
        if world.violation().is_some() || is_over(world) {
            break;
        }
    }
    let kept = world.kept();
    let verdict = world.model.lock().ended(&kept);
    world.judge(verdict);
}

fn is_over(world: &World) -> bool {
    let model = world.model.lock();
    let replays = model.replays.values().any(|replay| replay.state == ReplayState::Running);
    !replays && model.unfinished().next().is_none()
}

/// Keeps a slot filled: a process that dies there is followed by another one, after a while.
async fn keep_running(world: Arc<World>, slot: u64) {
    for number in 0.. {
        let process = Process::start(&world, (slot, number));
        let lives_ms = if world.plan.restarts { world.dice.between(1_000, 40_000) } else { 10 * CALM_MS_MAX };
        let has_died = tokio::select! {
            biased;
            () = process.dies() => true,
            () = pass_ms(lives_ms) => false,
        };
        if !has_died {
            if world.is_calm() {
                // Nobody ends it any more.
                process.dies().await;
            } else if world.dice.coin() {
                process.stop().await;
            } else {
                process.kill();
            }
        }
        pass_ms(world.dice.between(0, 15_000)).await;
    }
}
