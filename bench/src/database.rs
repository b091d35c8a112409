//! Throw-away databases: files for SQLite, and a PostgreSQL of the benchmark's own that waits for the disk with every
//! commit.

use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// A file of SQLite.
    Sqlite,
    /// A database on [`Cluster`].
    Postgres,
}

impl DatabaseKind {
    /// The name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            DatabaseKind::Sqlite => "SQLite",
            DatabaseKind::Postgres => "PostgreSQL",
        }
    }
}

/// A durable PostgreSQL that is thrown away with this value.
pub struct Cluster {
    directory: TempDir,
    url: String,
    psql: PathBuf,
    /// The process whose children all other processes of this PostgreSQL are.
    pub postmaster: u32,
}

const SCRIPT: &str = "tests/postgres.sh";

impl Cluster {
    /// Starts a PostgreSQL in a directory of its own.
    pub fn start() -> anyhow::Result<Self> {
        ensure!(Path::new(SCRIPT).exists(), "run this from the root of the repository: there is no {SCRIPT} here");
        let directory = tempfile::tempdir()?;
        // PostgreSQL runs as another user when this process is root: the directory around its own must let it in.
        #[cfg(unix)]
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let data = directory.path().join("postgres");
        let output = Command::new(SCRIPT).arg("start").arg(&data).arg("--durable").output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let url = String::from_utf8(output.stdout)?.trim().to_owned();
        let pid_file = std::fs::read_to_string(data.join("data/postmaster.pid"))?;
        let postmaster =
            pid_file.lines().next().and_then(|pid| pid.parse().ok()).context("postmaster.pid has no pid")?;
        Ok(Self { psql: psql()?, directory, url, postmaster })
    }

    /// Makes an empty database, and answers its URL.
    pub fn create(&self, name: &str) -> anyhow::Result<String> {
        self.run(&format!("CREATE DATABASE {name}"))?;
        let (server, _) = self.url.rsplit_once('/').context("the URL names a database")?;
        Ok(format!("{server}/{name}"))
    }

    /// Drops a database that nobody needs any more, and writes out dirty pages, so that all runs begin alike.
    pub fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        self.run(&format!("DROP DATABASE {name} WITH (FORCE)"))?;
        self.run("CHECKPOINT")
    }

    /// Runs a script on one of the databases.
    pub fn run_on(&self, name: &str, script: &str) -> anyhow::Result<()> {
        let (server, _) = self.url.rsplit_once('/').context("the URL names a database")?;
        let arguments = ["--quiet", "--set", "ON_ERROR_STOP=1", "--command", script, &format!("{server}/{name}")];
        let output = Command::new(&self.psql).args(arguments).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn run(&self, statement: &str) -> anyhow::Result<()> {
        let output = Command::new(&self.psql).args(["--quiet", "--command", statement, &self.url]).output()?;
        ensure!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// PostgreSQL's client: on the path, or where Debian keeps it.
fn psql() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    places.extend(versions.map(|version| version.path().join("bin")));
    let found = places.into_iter().map(|place| place.join("psql")).find(|psql| psql.exists());
    found.context("psql is not installed (on Debian: apt-get install postgresql)")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new(SCRIPT).arg("stop").arg(self.directory.path().join("postgres")).status();
    }
}
