//! Processes on one database that come and go, with the memory that they used and the warnings that they wrote.

use crate::{Api, Installation, Process};
use anyhow::Context;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// The addresses of the processes that run, shared with the load.
#[derive(Debug, Default)]
pub struct Addresses(Mutex<Vec<Option<String>>>);

impl Addresses {
    /// The address of one of the processes that run, in turn.
    pub fn get(&self, turn: usize) -> Option<String> {
        let addresses = self.0.lock();
        let live: Vec<&String> = addresses.iter().flatten().collect();
        live.get(turn.checked_rem(live.len())?).map(|address| (*address).clone())
    }
}

/// The processes.
pub struct Fleet {
    installation: Installation,
    processes: Vec<Option<Process>>,
    /// The addresses of the processes.
    pub addresses: Arc<Addresses>,
    /// The most memory that one of the processes had, in KiB.
    pub peak_kib: u64,
    /// The most warnings and errors that one of the processes wrote.
    pub warnings_max: usize,
    /// The times from when one process was dead until another was ready in its place.
    pub gaps: Vec<(Instant, Instant)>,
}

impl Fleet {
    /// Starts `count` processes.
    ///
    /// # Errors
    /// Where one does not start.
    pub async fn start(installation: Installation, count: usize) -> anyhow::Result<Self> {
        let addresses = Arc::new(Addresses::default());
        let mut fleet =
            Self { installation, processes: Vec::new(), addresses, peak_kib: 0, warnings_max: 0, gaps: Vec::new() };
        for slot in 0..count {
            fleet.processes.push(None);
            fleet.addresses.0.lock().push(None);
            fleet.restart(slot).await?;
        }
        Ok(fleet)
    }

    /// The API of a process that runs.
    ///
    /// # Errors
    /// Where none does.
    pub fn api(&self) -> anyhow::Result<&Api> {
        self.processes.iter().flatten().map(|process| &process.api).next().context("a process that runs")
    }

    /// Kills a process as a power cut would, and starts another in its place.
    ///
    /// # Errors
    /// Where none starts.
    pub async fn kill(&mut self, turn: usize) -> anyhow::Result<()> {
        let slot = turn % self.processes.len();
        self.addresses.0.lock()[slot] = None;
        if let Some(process) = self.processes[slot].take() {
            self.note(&process)?;
            process.kill().await?;
        }
        let dead_at = Instant::now();
        self.restart(slot).await?;
        self.gaps.push((dead_at, Instant::now()));
        Ok(())
    }

    async fn restart(&mut self, slot: usize) -> anyhow::Result<()> {
        let process = self.installation.serve().await?;
        self.addresses.0.lock()[slot] = Some(process.api.base_url.clone());
        self.processes[slot] = Some(process);
        Ok(())
    }

    fn note(&mut self, process: &Process) -> anyhow::Result<()> {
        self.peak_kib = self.peak_kib.max(process.peak_kib()?);
        self.warnings_max = self.warnings_max.max(process.warnings().len());
        Ok(())
    }

    /// Ends all processes as an operator does.
    ///
    /// # Errors
    /// Where one does not end well.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        for process in std::mem::take(&mut self.processes).into_iter().flatten() {
            self.note(&process)?;
            process.stop().await?;
        }
        Ok(())
    }
}
