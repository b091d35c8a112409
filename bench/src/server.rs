//! Processes of this benchmark: the servers under test, and the receiver and load generator beside them.

use crate::client::{Connection, TOKEN};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A process, which ends with this value.
pub struct Process {
    child: Child,
    /// The address on which the process listens.
    pub address: SocketAddr,
    _lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Process {
    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Ends the process at once, and waits until it has ended.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("the process does not end")
    }

    /// Starts the server under test on that database. The `HOOKGRAPH_*` of this process's environment reach the server,
    /// so that its limits can be tried.
    pub async fn server(binary: &Path, directory: &Path, database_url: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.arg("serve").current_dir(directory).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let defaults = [
            ("HOOKGRAPH_LISTEN", "127.0.0.1:0".to_owned()),
            ("HOOKGRAPH_DATABASE", database_url.to_owned()),
            ("HOOKGRAPH_KEY_FILE", directory.join("key").display().to_string()),
            ("HOOKGRAPH_ALLOWED_ADDRESSES", "127.0.0.0/8".to_owned()),
            ("HOOKGRAPH_BOOTSTRAP_TENANT", "bench".to_owned()),
            ("HOOKGRAPH_BOOTSTRAP_TOKEN", TOKEN.to_owned()),
        ];
        // The variable names the binary for this process; the server would take it for a key of its configuration.
        command.envs(defaults).env_remove("HOOKGRAPH_BINARY");
        if std::env::var_os("HOOKGRAPH_LOG").is_none() {
            command.env("HOOKGRAPH_LOG", "warn");
        }
        let child = command.spawn().with_context(|| format!("{} does not start", binary.display()))?;
        Self::listening(child).await
    }

    /// Starts the receiver.
    pub async fn receiver() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("receiver").kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped());
        Self::listening(command.spawn()?).await
    }

    async fn listening(mut child: Child) -> anyhow::Result<Self> {
        let stdout = child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            let port = match line.split_once("http://127.0.0.1:") {
                Some((_, rest)) => rest.chars().take_while(char::is_ascii_digit).collect(),
                None => line.clone(),
            };
            if let Ok(port) = port.parse::<u16>() {
                return Ok(Self { child, address: ([127, 0, 0, 1], port).into(), _lines: Some(lines) });
            }
        }
        bail!("the process ended: {}", child.wait().await?)
    }
}

/// The server's API, by which a run is prepared.
pub struct Api {
    connection: Connection,
}

impl Api {
    /// Connects to that address.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { connection: Connection::open(address).await? })
    }

    /// The data of an answer without errors.
    pub async fn ask(&mut self, query: &str, variables: Value) -> anyhow::Result<Value> {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let path = Uri::from_static("/graphql");
        let (status, answer) = self.connection.send(Method::POST, &path, body.into()).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(status == StatusCode::OK && answer.get("errors").is_none(), "{query}: {status} {answer}");
        Ok(answer["data"].clone())
    }
}

/// The receiver's answers under `/control/`.
pub struct Control {
    connection: Connection,
}

impl Control {
    /// Connects to that address.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { connection: Connection::open(address).await? })
    }

    /// The answer under `/control/` of that name.
    pub async fn ask(&mut self, what: &str) -> anyhow::Result<Bytes> {
        let path = format!("/control/{what}").parse()?;
        Ok(self.connection.send(Method::GET, &path, Bytes::new()).await?.1)
    }
}
