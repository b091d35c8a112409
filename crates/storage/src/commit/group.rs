//! Group commit: changes that only record events wait while the last group is committed, and then share one
//! transaction. A request with one event costs a share of a commit, not a commit of its own.

use super::Work;
use super::along::{Claiming, NotCommitted};
use super::events::{Prepared, Recording};
use super::waiting::{Answer, Queue, Waiting, event_count};
use crate::limits::{RECORD_GATHER_EVENTS_MIN, RECORD_GATHER_MS, RECORD_GROUP_EVENTS_MAX, RECORD_WAIT_MS_MAX};
use crate::store::SqlStore;
use hookgraph_domain::change::Committed;
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::gathering::Gathering;
use hookgraph_domain::ports::{Neighbours, StoreError};
use hookgraph_domain::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

const GATHERING: Gathering = Gathering { count_min: RECORD_GATHER_EVENTS_MIN, wait_ms: RECORD_GATHER_MS };

/// How long the next group may grow after a group of `change_count` changes and `event_count` events. A single change
/// is no load.
fn gathering(change_count: usize, event_count: usize, is_shared: bool) -> Duration {
    if change_count > 1 { GATHERING.wait(event_count, RECORD_GROUP_EVENTS_MAX, is_shared) } else { Duration::ZERO }
}

/// The changes that wait to be recorded. The clones of a store share them.
#[derive(Clone, Default)]
pub struct Recorder {
    queue: Arc<Mutex<Queue>>,
}

impl Recorder {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of a recorder. Dropping it, also in a panic, lets the next change start another recorder, and tells the
/// callers that wait.
struct Turn(Recorder);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.is_recording = false;
        queue.clear();
    }
}

impl SqlStore {
    /// Records events together with events of other callers. The recorder is a task of its own, so that a caller that
    /// goes away does not break off the group.
    pub(super) async fn record_in_group(&self, at: Timestamp, events: Vec<NewEvent>) -> Answer {
        let (answer, mut answered) = oneshot::channel();
        let waiting = Waiting::new(Recording { at, events }, answer);
        let (ticket, starts) = {
            let mut queue = self.recorder.queue();
            let ticket = queue.push(waiting)?;
            (ticket, !std::mem::replace(&mut queue.is_recording, true))
        };
        if starts {
            let store = self.clone();
            tokio::spawn(async move { store.record_all_waiting().await });
        }
        // Once the change's turn has come its transaction decides, and every call of a transaction ends.
        let answer = match timeout(Duration::from_millis(RECORD_WAIT_MS_MAX), &mut answered).await {
            Ok(answer) => answer,
            Err(_) if self.recorder.queue().take_back(ticket) => {
                let error = format!("the events before these took longer than {RECORD_WAIT_MS_MAX} ms to be recorded");
                return Err(StoreError::Busy(error));
            }
            Err(_) => answered.await,
        };
        answer.unwrap_or_else(|_| Err(StoreError::Failed("the recorder ended early".to_owned())))
    }

    async fn record_all_waiting(&self) {
        let turn = Turn(self.recorder.clone());
        loop {
            let group = {
                let mut queue = self.recorder.queue();
                let group = queue.next_group();
                if group.is_empty() {
                    // Under the same lock: a change that comes now starts the next recorder.
                    queue.is_recording = false;
                    std::mem::forget(turn);
                    return;
                }
                group
            };
            let pause = gathering(group.len(), event_count(&group), self.neighbours.are_active());
            self.record_group(group).await;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// A group that the database will never take as a whole is recorded change by change: one refused change must not
    /// fail its neighbours.
    async fn record_group(&self, group: Vec<Waiting>) {
        let (mut recordings, answers): (Vec<Recording>, Vec<_>) =
            group.into_iter().map(|one| (one.recording, one.answer)).unzip();
        match self.record_changes(&recordings).await {
            Ok(committed) => {
                for (answer, committed) in answers.into_iter().zip(committed) {
                    // A caller that went away asks for no answer.
                    let _ = answer.send(Ok(committed));
                }
            }
            Err(error) if error.is_retryable() || recordings.len() == 1 => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
            Err(_) => {
                for (recording, answer) in recordings.drain(..).zip(answers) {
                    let alone = self.record_changes(&[recording]).await;
                    let _ = answer.send(alone.map(|mut committed| committed.pop().unwrap_or_default()));
                }
            }
        }
    }

    /// Records changes, and claims along if that is wanted. If the claim fails, everything is done again without it: a
    /// failed claim never keeps an event from being recorded. It was the claim that failed if that goes through.
    async fn record_changes(&self, changes: &[Recording]) -> Result<Vec<Committed>, StoreError> {
        match self.record_once(changes, Claiming::IfWanted).await {
            Err(NotCommitted::ForTheClaim(error)) => {
                let last = changes.iter().map(|change| change.at).max().unwrap_or_default();
                let recorded = self.record_once(changes, Claiming::Nothing).await.map_err(NotCommitted::into_inner);
                if recorded.is_ok() {
                    self.claimer.failed(&error, last);
                }
                recorded
            }
            answer => answer.map_err(NotCommitted::into_inner),
        }
    }

    async fn record_once(
        &self,
        changes: &[Recording],
        claiming: Claiming,
    ) -> Result<Vec<Committed>, NotCommitted<StoreError>> {
        let Some(last) = changes.iter().map(|change| change.at).max() else { return Ok(Vec::new()) };
        let prepared = Prepared::of(changes)?;
        let transaction = self.begin_on_road().await?;
        let work = Work { claiming, ..Work::new(self, &transaction, last) };
        let worked = work.record_and_claim::<StoreError>(prepared).await?;
        self.commit_worked(transaction, worked).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_testkit::{PlainVault, sample};
    use tokio::time::{Instant, advance, pause};
    use uuid::Uuid;

    #[test]
    fn only_a_group_that_grew_with_the_load_lets_the_next_one_wait_for_company() {
        let waited_ms = |change_count, event_count| gathering(change_count, event_count, false).as_millis();
        assert_eq!(waited_ms(2, RECORD_GATHER_EVENTS_MIN - 1), 0);
        assert_eq!(waited_ms(2, RECORD_GATHER_EVENTS_MIN), u128::from(RECORD_GATHER_MS));
        assert_eq!(waited_ms(2, RECORD_GROUP_EVENTS_MAX), 0, "full at once");
        assert_eq!(waited_ms(1, RECORD_GATHER_EVENTS_MIN), 0, "one change alone is no load");
        let shared_ms = gathering(2, RECORD_GATHER_EVENTS_MIN, true).as_millis();
        assert!(shared_ms > u128::from(RECORD_GATHER_MS), "others have a part of the load");
    }

    /// A store whose recorder is taken to be busy, so that the test takes groups in its place. The clock stands still.
    async fn occupied() -> SqlStore {
        let store = SqlStore::in_memory(Arc::new(PlainVault)).await.unwrap();
        store.recorder.queue().is_recording = true;
        pause();
        store
    }

    async fn record_one(store: SqlStore) -> Answer {
        let id = Uuid::from_u128(1).into();
        store.record_in_group(sample::now(), vec![sample::event(id, Uuid::from_u128(2).into(), "o1")]).await
    }

    #[tokio::test]
    async fn a_change_whose_turn_does_not_come_in_time_is_taken_back_as_busy() {
        let store = occupied().await;
        let began = Instant::now();
        let answer = record_one(store.clone()).await;
        assert!(matches!(answer, Err(StoreError::Busy(_))), "{answer:?}");
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(RECORD_WAIT_MS_MAX), "{waited:?}");
        assert!(waited < Duration::from_millis(RECORD_WAIT_MS_MAX + 100), "{waited:?}");
        assert!(store.recorder.queue().next_group().is_empty(), "nobody records it later");
    }

    #[tokio::test]
    async fn a_change_whose_turn_has_come_waits_for_its_answer_however_long_that_takes() {
        let store = occupied().await;
        let recording = tokio::spawn(record_one(store.clone()));
        tokio::task::yield_now().await;
        let taken = store.recorder.queue().next_group().pop().unwrap();
        advance(Duration::from_millis(2 * RECORD_WAIT_MS_MAX)).await;
        tokio::task::yield_now().await;
        assert!(!recording.is_finished());
        let committed = Committed { delivery_count: 7, ..Committed::default() };
        assert!(taken.answer.send(Ok(committed.clone())).is_ok());
        assert_eq!(recording.await.unwrap().unwrap(), committed);
    }
}
