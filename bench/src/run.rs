//! One run of one case: it starts, prepares and publishes, waits until all deliveries have arrived, and counts.

use crate::case::{Case, Pace};
use crate::database::{Cluster, DatabaseKind};
use crate::history;
use crate::load::{BodyParts, LoadPlan, LoadReport, read_accepts};
use crate::prepare::{body, prepare};
use crate::processes;
use crate::receiver::Arrival;
use crate::sample::{Arrived, Sample, joined};
use crate::server::{Api, Control, Process};
use anyhow::{Context, ensure};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

/// How many connections the load generator opens.
const CONNECTIONS: u32 = 64;
/// How long no delivery arrives before the missing ones are given up.
const STALLED: Duration = Duration::from_secs(15);
/// How many deliveries of a backlog are watched as they drain.
const DRAINED: u64 = 20_000;
/// How many events one request publishes to make a backlog.
const BACKLOG_BATCH: u32 = 500;

/// The parts that all runs share.
pub struct Bench {
    /// The server under test.
    pub binary: PathBuf,
    /// The directory of databases and files.
    pub directory: TempDir,
    /// The PostgreSQL, where a case needs one.
    pub cluster: Option<Cluster>,
    /// How long one run publishes.
    pub duration: Duration,
    /// The number of runs so far, which numbers the databases.
    pub runs: u32,
}

/// The servers of one run with their database.
struct Installation {
    processes: Vec<Process>,
    directory: TempDir,
    database: Option<String>,
}

impl Bench {
    /// Measures the client and the receiver alone, with no server between them.
    pub async fn raw_limit(&mut self) -> anyhow::Result<Sample> {
        let receiver = Process::receiver().await?;
        let mut plan = self.plan(vec![receiver.address], body(1, Vec::new()))?;
        plan.path = "/ok/0".to_owned();
        let report = self.load(&plan).await?;
        let arrivals = Arrival::read_all(&Control::open(receiver.address).await?.ask("arrivals").await?);
        let arrived = joined(&read_accepts(&plan.accepts_file)?, &arrivals, 1);
        let cpu_ms = report.cpu_ms + processes::cpu_ms(receiver.pid()).unwrap_or_default();
        receiver.kill().await?;
        Ok(sample(&report, &arrived, report.started_at_ns, cpu_ms, 0))
    }

    /// Runs one case. `maximum` is the rate of which [`Pace::HalfOfMaximum`] is half.
    pub async fn run(&mut self, case: &Case, maximum: f64) -> anyhow::Result<Sample> {
        let receiver = Process::receiver().await?;
        let installation = self.install(case).await?;
        let result = self.measure(case, maximum, &receiver, &installation).await;
        for server in installation.processes {
            server.kill().await?;
        }
        receiver.kill().await?;
        if let (Some(name), Some(cluster)) = (&installation.database, &self.cluster) {
            cluster.drop_database(name)?;
        }
        drop(installation.directory);
        result
    }

    async fn measure(
        &self,
        case: &Case,
        maximum: f64,
        receiver: &Process,
        installation: &Installation,
    ) -> anyhow::Result<Sample> {
        let servers: Vec<_> = installation.processes.iter().map(|server| server.address).collect();
        let body = prepare(&mut Api::open(servers[0]).await?, case, receiver.address).await?;
        if let Some(rows) = case.history {
            let cluster = self.cluster.as_ref().zip(installation.database.as_deref());
            let directory = installation.directory.path();
            history::fill(&history::HistoryTarget { database: case.database, cluster, directory }, rows)?;
        }
        let mut control = Control::open(receiver.address).await?;
        let mut plan = self.plan(servers.clone(), body)?;
        plan.batch = case.batch;
        match case.pace {
            Pace::Saturated => {}
            Pace::PerSecond(rate) => plan.requests_per_s = Some(rate),
            Pace::HalfOfMaximum => plan.requests_per_s = Some(whole(maximum / 2.0)),
            Pace::Backlog(count) => return self.drain(plan, count, &mut control, receiver, installation).await,
        }
        let cpu_before_ms = self.server_cpu_ms(installation);
        let report = self.load(&plan).await?;
        ensure!(report.accepted > 0, "no event was accepted");
        wait(&mut control, report.accepted * u64::from(case.healthy)).await?;
        let cpu_ms = self.server_cpu_ms(installation) - cpu_before_ms;
        if case.history.is_some() {
            let (head_ms, middle_ms) = history::page_ms(&mut Api::open(servers[0]).await?).await?;
            let (name, database) = (case.name, case.database.name());
            crate::complain(&format!(
                "{name} on {database}: a page of 50 of the log in {head_ms:.2} ms, from two weeks back in \
                 {middle_ms:.2} ms"
            ));
        }
        let arrivals = Arrival::read_all(&control.ask("arrivals").await?);
        let arrived = joined(&read_accepts(&plan.accepts_file)?, &arrivals, case.healthy);
        Ok(sample(&report, &arrived, report.started_at_ns, cpu_ms, installation.peak_rss_kib()))
    }

    /// Fills the queue while the receiver hangs, then opens its gate.
    async fn drain(
        &self,
        mut plan: LoadPlan,
        count: u32,
        control: &mut Control,
        receiver: &Process,
        installation: &Installation,
    ) -> anyhow::Result<Sample> {
        plan.batch = BACKLOG_BATCH.min(count);
        plan.body = body(plan.batch, Vec::new());
        plan.events_max = count;
        plan.duration_ms = u64::MAX / 2_000_000;
        plan.connections = 2;
        let report = self.load(&plan).await?;
        let cpu_before_ms = self.server_cpu_ms(installation);
        let before = Arrival::read_all(&control.ask("arrivals").await?).len() as u64;
        let opened_at_ns = crate::monotonic::now_ns();
        control.ask("open").await?;
        let drained = DRAINED.min(report.accepted - before);
        wait(control, before + drained).await?;
        let cpu_ms = self.server_cpu_ms(installation) - cpu_before_ms;
        let mut arrivals = Arrival::read_all(&control.ask("arrivals").await?);
        arrivals.truncate(usize::try_from(before + drained)?);
        let mut arrived = joined(&read_accepts(&plan.accepts_file)?, &arrivals, 1);
        arrived.count -= before.min(arrived.count);
        arrived.missing = drained - arrived.count.min(drained);
        ensure!(receiver.pid() > 0, "the receiver ended");
        Ok(sample(&report, &arrived, opened_at_ns, cpu_ms, installation.peak_rss_kib()))
    }

    async fn install(&mut self, case: &Case) -> anyhow::Result<Installation> {
        self.runs += 1;
        let directory = TempDir::new_in(self.directory.path())?;
        let (url, database) = match case.database {
            DatabaseKind::Sqlite => (format!("sqlite://{}", directory.path().join("hookgraph.db").display()), None),
            DatabaseKind::Postgres => {
                let name = format!("bench_{}", self.runs);
                let cluster = self.cluster.as_ref().context("there is no PostgreSQL")?;
                (cluster.create(&name)?, Some(name))
            }
        };
        let mut processes = Vec::new();
        for _ in 0..case.servers {
            processes.push(Process::server(&self.binary, directory.path(), &url).await?);
        }
        Ok(Installation { processes, directory, database })
    }

    fn plan(&self, servers: Vec<std::net::SocketAddr>, body: BodyParts) -> anyhow::Result<LoadPlan> {
        let accepts_file = self.directory.path().join("accepts");
        Ok(LoadPlan {
            servers,
            path: "/graphql".to_owned(),
            body,
            batch: 1,
            connections: CONNECTIONS,
            duration_ms: u64::try_from(self.duration.as_millis())?,
            events_max: u32::MAX,
            requests_per_s: None,
            accepts_file: accepts_file.to_str().context("the directory's name is text")?.to_owned(),
        })
    }

    async fn load(&self, plan: &LoadPlan) -> anyhow::Result<LoadReport> {
        let mut command = Command::new(std::env::current_exe()?);
        let plan_file = self.directory.path().join("plan");
        std::fs::write(&plan_file, serde_json::to_vec(plan)?)?;
        command.arg("load").arg(plan_file).kill_on_drop(true).stderr(Stdio::inherit());
        let output = command.output().await?;
        ensure!(output.status.success(), "the load generator failed");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// CPU time of all processes that serve: the server's and PostgreSQL's.
    fn server_cpu_ms(&self, installation: &Installation) -> u64 {
        let servers = installation.processes.iter().filter_map(|server| processes::cpu_ms(server.pid())).sum::<u64>();
        let postgres = self.cluster.as_ref().filter(|_| installation.database.is_some());
        servers + postgres.map_or(0, |cluster| processes::tree_cpu_ms(cluster.postmaster))
    }
}

impl Installation {
    fn peak_rss_kib(&self) -> u64 {
        self.processes.iter().map(|server| processes::peak_rss_kib(server.pid())).max().unwrap_or_default()
    }
}

/// Waits until `expected` requests arrived, or none arrives any more; and a moment longer, for requests that come twice
/// and for what the server writes after an arrival.
async fn wait(control: &mut Control, expected: u64) -> anyhow::Result<()> {
    let (mut last, mut last_at) = (0, Instant::now());
    loop {
        let (count, _unmarked): (u64, u64) = serde_json::from_slice(&control.ask("count").await?)?;
        if count != last {
            (last, last_at) = (count, Instant::now());
        }
        if count >= expected || last_at.elapsed() > STALLED {
            tokio::time::sleep(Duration::from_millis(500)).await;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn sample(report: &LoadReport, arrived: &Arrived, started_at_ns: u64, cpu_ms: u64, peak_rss_kib: u64) -> Sample {
    let seconds = |from_ns: u64, to_ns: u64| (to_ns.saturating_sub(from_ns) as f64 / 1e9).max(1e-9);
    Sample {
        accepted_per_s: report.accepted as f64 / seconds(report.started_at_ns, report.ended_at_ns),
        delivered_per_s: arrived.count as f64 / seconds(started_at_ns, arrived.last_at_ns),
        p50_ms: arrived.p50_ms,
        p99_ms: arrived.p99_ms,
        cpu_ms_per_delivery: cpu_ms as f64 / (arrived.count as f64).max(1.0),
        peak_rss_mib: peak_rss_kib as f64 / 1024.0,
        missing: arrived.missing as f64,
        twice: arrived.twice as f64,
        failed: report.failed as f64,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate that a machine can reach")]
fn whole(rate: f64) -> u32 {
    rate.max(1.0) as u32
}
