//! Group commit: changes that only record events wait for one another while the last group is committed, and then share one
//! transaction. One event per request costs a share of a commit, not one of its own.

use super::events::Recording;
use super::{Work, feed::FeedLog};
use crate::error::store_error;
use crate::limits::{RECORD_GATHER_EVENTS_MIN, RECORD_GATHER_MS, RECORD_GROUP_EVENTS_MAX, RECORD_QUEUE_EVENTS_MAX};
use crate::store::SqlStore;
use hookgraph_domain::change::Committed;
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use sea_orm::DbBackend;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

type Answer = Result<Committed, StoreError>;

/// The events of one change, and who waits for them.
struct Waiting {
    recording: Recording,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    event_count: usize,
    /// Whether a recorder is at work.
    is_recording: bool,
}

impl Queue {
    /// Takes a change in, if there is room.
    fn push(&mut self, waiting: Waiting) -> Result<(), StoreError> {
        let event_count = self.event_count + waiting.recording.events.len();
        if event_count > RECORD_QUEUE_EVENTS_MAX {
            let error = format!("{} events wait to be recorded, {RECORD_QUEUE_EVENTS_MAX} may", self.event_count);
            return Err(StoreError::Busy(error));
        }
        self.event_count = event_count;
        self.waiting.push_back(waiting);
        Ok(())
    }

    /// What the next transaction records: at least one change, if there is any.
    fn next_group(&mut self) -> Vec<Waiting> {
        let mut group: Vec<Waiting> = Vec::new();
        let mut event_count = 0;
        while let Some(first) = self.waiting.front() {
            event_count += first.recording.events.len();
            if !group.is_empty() && event_count > RECORD_GROUP_EVENTS_MAX {
                break;
            }
            self.event_count -= first.recording.events.len();
            group.extend(self.waiting.pop_front());
        }
        group
    }
}

fn event_count(group: &[Waiting]) -> usize {
    group.iter().map(|one| one.recording.events.len()).sum()
}

/// Whether after a group of so many events the next is better given a moment to grow: under load, unless it is full at once.
/// On SQLite alone, where a group that commits keeps claims and settlements waiting.
fn is_worth_gathering(event_count: usize) -> bool {
    (RECORD_GATHER_EVENTS_MIN..RECORD_GROUP_EVENTS_MAX).contains(&event_count)
}

/// The changes that wait. Shared by the clones of a store.
#[derive(Clone, Default)]
pub struct Recorder {
    queue: Arc<Mutex<Queue>>,
}

impl Recorder {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next change start another recorder, also when this one panics; then whoever waits is told.
struct Turn(Recorder);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.is_recording = false;
        queue.waiting.clear();
        queue.event_count = 0;
    }
}

impl SqlStore {
    /// Records events with those of other callers. The recorder is a task of its own, so that a caller that goes away
    /// takes nobody's group with it.
    pub(super) async fn record_in_group(&self, at: Timestamp, events: Vec<NewEvent>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let starts = {
            let mut queue = self.recorder.queue();
            queue.push(Waiting { recording: Recording { at, events }, answer })?;
            !std::mem::replace(&mut queue.is_recording, true)
        };
        if starts {
            let store = self.clone();
            tokio::spawn(async move { store.record_all_waiting().await });
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::Failed("the recorder ended early".to_owned())))
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
            let event_count = event_count(&group);
            self.record_group(group).await;
            if self.backend() == DbBackend::Sqlite && is_worth_gathering(event_count) {
                tokio::time::sleep(Duration::from_millis(RECORD_GATHER_MS)).await;
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

    async fn record_changes(&self, changes: &[Recording]) -> Result<Vec<Committed>, StoreError> {
        let Some(last) = changes.iter().map(|change| change.at).max() else { return Ok(Vec::new()) };
        let transaction = self.begin_on_road().await?;
        let mut work = Work { store: self, transaction: &transaction, at: last, feed: FeedLog::at(last) };
        let committed = work.record(changes).await?;
        let Work { feed, .. } = work;
        feed.append(&transaction).await?;
        transaction.commit().await.map_err(store_error)?;
        Ok(committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::event::EventTypeKey;
    use hookgraph_domain::ids::{EventId, TenantId};
    use uuid::Uuid;

    fn waiting(event_count: usize) -> Waiting {
        let event = NewEvent {
            id: EventId(Uuid::nil()),
            tenant_id: TenantId(Uuid::nil()),
            event_type: EventTypeKey::new("orders", "create"),
            variables: serde_json::Map::new(),
            changed_fields: Vec::new(),
            tombstone: None,
            record_label: String::new(),
        };
        Waiting {
            recording: Recording { at: Timestamp::default(), events: vec![event; event_count] },
            answer: oneshot::channel().0,
        }
    }

    #[test]
    fn a_full_queue_is_busy_until_a_group_is_taken() {
        let mut queue = Queue::default();
        for _ in 0..RECORD_QUEUE_EVENTS_MAX / RECORD_GROUP_EVENTS_MAX {
            assert!(queue.push(waiting(RECORD_GROUP_EVENTS_MAX)).is_ok());
        }
        assert!(matches!(queue.push(waiting(1)), Err(error @ StoreError::Busy(_)) if error.is_retryable()));
        assert_eq!(queue.next_group().len(), 1);
        assert!(queue.push(waiting(1)).is_ok());
    }

    #[test]
    fn only_a_group_that_grew_with_the_load_lets_the_next_one_wait_for_company() {
        let waits = |sizes: &[usize]| {
            let group: Vec<Waiting> = sizes.iter().map(|size| waiting(*size)).collect();
            is_worth_gathering(event_count(&group))
        };
        assert!(!waits(&[1]) && !waits(&[RECORD_GATHER_EVENTS_MIN - 1]));
        assert!(waits(&[RECORD_GATHER_EVENTS_MIN - 1, 1]) && waits(&[RECORD_GROUP_EVENTS_MAX - 1]));
        assert!(!waits(&[RECORD_GROUP_EVENTS_MAX]));
    }

    #[test]
    fn a_group_is_bounded_and_never_empty_while_anyone_waits() {
        let mut queue = Queue::default();
        for event_count in [RECORD_GROUP_EVENTS_MAX * 2, 1, RECORD_GROUP_EVENTS_MAX - 1, 1] {
            assert!(queue.push(waiting(event_count)).is_ok());
        }
        let sizes: Vec<usize> = (0..4).map(|_| queue.next_group().len()).collect();
        assert_eq!(sizes, [1, 2, 1, 0]);
        assert_eq!(queue.event_count, 0);
    }
}
