//! The real binary as a process that can be killed and started again on the same data.

use super::{Api, PATIENCE};
use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

/// The admin token of every installation.
const TOKEN: &str = "hgt_test_0123456789abcdef0123456789abcdef";
/// The signature secret of every installation, which is no secret.
pub const SIGNATURE_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A database and a key file, on which processes come and go; the processes make the tenant `acme` with a known token.
pub struct Installation {
    directory: TempDir,
    database_url: String,
}

/// A running server.
pub struct Process {
    child: Child,
    warnings: Arc<Mutex<Vec<String>>>,
    /// The server's API, with the admin token.
    pub api: Api,
}

impl Installation {
    pub(crate) fn on_sqlite() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let database_url = format!("sqlite://{}", directory.path().join("hookgraph.db").display());
        Ok(Self { directory, database_url })
    }

    pub(crate) fn on_postgres(database_url: String) -> anyhow::Result<Self> {
        Ok(Self { directory: tempfile::tempdir()?, database_url })
    }

    /// The URL of the database.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Starts a server and waits until it listens.
    pub async fn serve(&self) -> anyhow::Result<Process> {
        self.serve_with(&[]).await
    }

    /// Starts a server with further environment variables and waits until it listens.
    pub async fn serve_with(&self, environment: &[(&str, &str)]) -> anyhow::Result<Process> {
        // A write beyond a file's limit fails as one on a full disk does, instead of ending the process.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" serve"]).arg(binary()?);
        command.current_dir(self.directory.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_clear().envs(self.environment()).envs(environment.iter().copied());
        let mut child = command.spawn().context("the server starts")?;
        let warnings = Arc::<Mutex<Vec<String>>>::default();
        let stderr = child.stderr.take().context("its log is piped")?;
        tokio::spawn(keep_log(stderr, warnings.clone()));
        let stdout = child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let base_url = loop {
            let Some(line) = lines.next_line().await? else { bail!("the server ended: {}", child.wait().await?) };
            if let Some(url) = listening_on(&line) {
                break url;
            }
        };
        // The rest of the output is read, because it must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Process { child, warnings, api: Api::new(base_url, TOKEN.to_owned()) })
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("HOOKGRAPH_LISTEN", "127.0.0.1:0".to_owned()),
            ("HOOKGRAPH_DATABASE", self.database_url.clone()),
            ("HOOKGRAPH_KEY_FILE", self.directory.path().join("key").display().to_string()),
            ("HOOKGRAPH_ALLOWED_ADDRESSES", "127.0.0.0/8".to_owned()),
            ("HOOKGRAPH_LOG", "warn".to_owned()),
            ("HOOKGRAPH_BOOTSTRAP_TENANT", "acme".to_owned()),
            ("HOOKGRAPH_BOOTSTRAP_TOKEN", TOKEN.to_owned()),
            ("HOOKGRAPH_BOOTSTRAP_SIGNATURE_SECRET", SIGNATURE_SECRET.to_owned()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Passes a log on, and keeps its warnings and errors.
async fn keep_log(stderr: ChildStderr, warnings: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // Nobody could be told that a test's own output cannot be written.
        let _ = writeln!(std::io::stderr(), "{line}");
        if line.contains(" WARN ") || line.contains(" ERROR ") {
            warnings.lock().push(line);
        }
    }
}

impl Process {
    /// The warnings and errors that the server wrote.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }

    /// The most memory that the server had so far, in KiB.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn peak_kib(&self) -> anyhow::Result<u64> {
        let id = self.child.id().context("it runs")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// Lets no file of the server grow beyond `bytes_max` bytes, or again without end.
    ///
    /// # Errors
    /// Where there is no `prlimit`.
    pub async fn limit_files(&self, bytes_max: Option<u64>) -> anyhow::Result<()> {
        let id = self.child.id().context("it runs")?.to_string();
        let limit = bytes_max.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let limited = Command::new("prlimit").args(["--pid", &id, &format!("--fsize={limit}:")]).status().await;
        ensure!(limited.context("prlimit, of util-linux, starts")?.success(), "prlimit failed");
        Ok(())
    }

    /// Ends the server as an operator does, and waits until it has ended.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("it runs")?;
        let killed = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        ensure!(killed.success(), "kill -TERM failed");
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.context("the server does not stop")??;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    /// Waits until the server was ended by `SIGKILL`.
    pub async fn was_killed(mut self) -> anyhow::Result<()> {
        use std::os::unix::process::ExitStatusExt;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.context("the server was not killed: was it built with its failpoints?")??;
        ensure!(status.signal() == Some(9), "the server was not killed, it ended with {status}");
        Ok(())
    }

    /// Kills the server as a power cut would.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.start_kill()?;
        self.was_killed().await
    }
}

fn listening_on(line: &str) -> Option<String> {
    let start = line.find("http://127.0.0.1:")?;
    let url = line[start..].split(|c: char| c.is_whitespace() || c == '"').next()?;
    let port = url.strip_prefix("http://127.0.0.1:")?.split('/').next()?;
    Some(format!("http://127.0.0.1:{}", port.parse::<u16>().ok()?))
}

/// The server's binary with its failpoints, built once per test run.
fn binary() -> anyhow::Result<&'static PathBuf> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BINARY.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("HOOKGRAPH_BINARY") {
        return Ok(path.into());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments =
        ["build", "--workspace", "--quiet", "--bin", "hookgraph", "--features", "hookgraph-server/failpoints"];
    let status = std::process::Command::new(cargo).args(arguments).status().context("cargo builds the server")?;
    ensure!(status.success(), "the server does not build");
    let this = std::env::current_exe()?;
    let profile = this.ancestors().nth(2).context("a test binary lives in target/PROFILE/deps")?;
    Ok(profile.join("hookgraph"))
}
