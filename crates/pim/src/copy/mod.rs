//! Copying a tenant: a durable task that [`CopyRunner`] advances in batches.
//!
//! A batch and the task's progress commit together, so that a crash loses the current batch at most, and no row is
//! copied twice. Records that are created, changed or deleted while a copy runs may or may not be in the copy in their
//! new form. Copied records raise no events, and webhooks are copied switched off.

mod batch;
mod events;
mod exclude;
mod kinds;
mod plan;
mod remap;
mod start;

pub(crate) use exclude::TenantCopyExcludeableTypes;
pub(crate) use start::{CopyRequest, start};

use crate::context::PimServices;
use crate::limits::{COPY_POLL_MS, COPY_TASKS_AT_ONCE_MAX};
use batch::{Batch, StepError};
use events::{CopyEvent, copy_event};
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ids::EventId;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::tenant::{CopyState, CopyTask};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Advances tenant copies. Any number of runners may share one store: the task's version refuses a batch that another
/// runner has written meanwhile.
pub struct CopyRunner {
    services: PimServices,
}

/// How a round of the runner ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyRound {
    /// No task is running.
    Idle,
    /// There were running tasks, and each was advanced by a batch where it could be.
    Worked,
}

impl CopyRunner {
    /// A runner on the ports of `services`.
    pub fn new(services: PimServices) -> Self {
        Self { services }
    }

    /// Advances the oldest running tasks by one batch each.
    ///
    /// # Errors
    /// When the store fails: the task stays as it is, and the next round tries again.
    pub async fn run_once(&self) -> Result<CopyRound, StoreError> {
        let tasks = self.services.store.running_copy_tasks(COPY_TASKS_AT_ONCE_MAX).await?;
        let round = if tasks.is_empty() { CopyRound::Idle } else { CopyRound::Worked };
        let mut failed = None;
        for task in tasks {
            // A task that fails does not keep the others waiting.
            failed = self.advance(task).await.err().or(failed);
        }
        failed.map_or(Ok(round), Err)
    }

    /// Runs rounds until `shutdown`: one after the other while tasks are running, else every [`COPY_POLL_MS`].
    pub async fn run(self, shutdown: CancellationToken) {
        // An outage is logged once, not once a round.
        let mut is_failing = false;
        while !shutdown.is_cancelled() {
            let round = self.run_once().await;
            let has_failed = std::mem::replace(&mut is_failing, round.is_err());
            if has_failed && !is_failing {
                tracing::info!("tenant copies go on");
            }
            match round {
                Ok(CopyRound::Worked) => continue,
                Ok(CopyRound::Idle) => {}
                Err(error) if !has_failed => tracing::warn!(%error, "tenant copies wait for the database"),
                Err(_) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(COPY_POLL_MS)) => {}
            }
        }
    }

    async fn advance(&self, task: CopyTask) -> Result<(), StoreError> {
        let expected = Expected::Version(task.version);
        let done = match batch::next(&self.services, &task).await {
            Ok(Batch { writes, mut task, state }) => {
                task.state = state;
                self.commit(task, expected, writes).await
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(()) | Err(StepError::Raced) => Ok(()),
            Err(StepError::Store(error)) => Err(error),
            Err(StepError::Hopeless(reason)) => {
                tracing::warn!(task = %task.id, reason, "a tenant copy failed");
                let task = CopyTask { state: CopyState::Failed, error: Some(reason), ..task };
                match self.commit(task, expected, Vec::new()).await {
                    Ok(()) | Err(StepError::Raced) => Ok(()),
                    Err(StepError::Store(error)) => Err(error),
                    Err(StepError::Hopeless(reason)) => Err(StoreError::Failed(reason)),
                }
            }
        }
    }

    /// Commits a batch together with the task, and with the event that the task raises where it ends.
    async fn commit(&self, mut task: CopyTask, expected: Expected, mut writes: Vec<Write>) -> Result<(), StepError> {
        let now = self.services.clock.now();
        task.version += 1;
        task.updated_at = now;
        let events = self.events(&task)?;
        writes.push(Write::PutCopyTask { task, expected });
        let change = Change { at: now, writes, events };
        match self.services.store.commit(change).await {
            Ok(committed) => {
                self.services.wake_ups.committed(&committed);
                Ok(())
            }
            Err(CommitError::Conflict(_)) => Err(StepError::Raced),
            Err(CommitError::Store(error)) => Err(error.into()),
            Err(other) => Err(StepError::Hopeless(other.to_string())),
        }
    }

    fn events(&self, task: &CopyTask) -> Result<Vec<NewEvent>, StepError> {
        let what = match task.state {
            CopyState::Running => return Ok(Vec::new()),
            CopyState::Finished => CopyEvent::Finished,
            CopyState::Failed => CopyEvent::Failed,
        };
        let id = EventId(self.services.entropy.uuid(self.services.clock.now()));
        let event = copy_event(id, task, what).map_err(|refusal| StepError::Hopeless(refusal.message))?;
        Ok(vec![event])
    }
}
