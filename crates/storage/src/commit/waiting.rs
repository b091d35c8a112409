//! Changes that wait to be recorded: bounded by the number of their events, by the bytes of these, and by time.

use super::events::Recording;
use crate::limits::{RECORD_GROUP_EVENTS_MAX, RECORD_QUEUE_BYTES_MAX, RECORD_QUEUE_EVENTS_MAX};
use hookgraph_domain::change::Committed;
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ports::StoreError;
use serde_json::Value;
use std::collections::VecDeque;
use tokio::sync::oneshot;

pub(super) type Answer = Result<Committed, StoreError>;

/// About how many bytes an entry of a JSON object or array occupies beside its texts.
const ENTRY_BYTES: usize = 120;

/// The events of one change, and the channel to the caller that waits for them.
pub(super) struct Waiting {
    pub recording: Recording,
    pub answer: oneshot::Sender<Answer>,
    bytes: usize,
    ticket: u64,
}

impl Waiting {
    pub fn new(recording: Recording, answer: oneshot::Sender<Answer>) -> Self {
        let bytes = recording.events.iter().map(event_bytes).sum();
        Self { recording, answer, bytes, ticket: 0 }
    }

    fn event_count(&self) -> usize {
        self.recording.events.len()
    }
}

/// About how many bytes an event occupies.
fn event_bytes(event: &NewEvent) -> usize {
    let key = event.event_type.concern.len() + event.event_type.event.len();
    let variables: usize = event.variables.iter().map(|(name, value)| name.len() + value_bytes(value)).sum();
    let changed: usize = event.changed_fields.iter().map(|field| field.len() + size_of::<String>()).sum();
    let tombstone = event.tombstone.as_ref().map_or(0, |record| record.body.len());
    size_of::<NewEvent>() + key + event.record_label.len() + variables + changed + tombstone
}

/// Variables are flat but for a few: their depth is bounded where they are read.
fn value_bytes(value: &Value) -> usize {
    ENTRY_BYTES
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_bytes).sum(),
            Value::Object(entries) => entries.iter().map(|(name, value)| name.len() + value_bytes(value)).sum(),
        }
}

pub(super) fn event_count(group: &[Waiting]) -> usize {
    group.iter().map(Waiting::event_count).sum()
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    event_count: usize,
    bytes: usize,
    last_ticket: u64,
    /// Whether a recorder is at work.
    pub is_recording: bool,
}

impl Queue {
    /// Adds a change if there is room. The ticket is for [`Queue::take_back`].
    pub fn push(&mut self, mut waiting: Waiting) -> Result<u64, StoreError> {
        let (event_count, bytes) = (self.event_count + waiting.event_count(), self.bytes + waiting.bytes);
        if event_count > RECORD_QUEUE_EVENTS_MAX {
            let error = format!("{} events wait to be recorded, {RECORD_QUEUE_EVENTS_MAX} may", self.event_count);
            return Err(StoreError::Busy(error));
        }
        if bytes > RECORD_QUEUE_BYTES_MAX && !self.waiting.is_empty() {
            let error = format!("{} bytes of events wait to be recorded, {RECORD_QUEUE_BYTES_MAX} may", self.bytes);
            return Err(StoreError::Busy(error));
        }
        (self.event_count, self.bytes) = (event_count, bytes);
        self.last_ticket += 1;
        waiting.ticket = self.last_ticket;
        self.waiting.push_back(waiting);
        Ok(self.last_ticket)
    }

    /// Removes a change before its turn; returns false if its turn has come.
    pub fn take_back(&mut self, ticket: u64) -> bool {
        // Tickets ascend from front to back.
        let Ok(at) = self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket) else { return false };
        if let Some(waiting) = self.waiting.remove(at) {
            self.forget(&waiting);
        }
        true
    }

    /// Takes the changes that the next transaction records: at least one if any waits.
    pub fn next_group(&mut self) -> Vec<Waiting> {
        let mut group: Vec<Waiting> = Vec::new();
        let mut group_events = 0;
        while let Some(first) = self.waiting.front() {
            group_events += first.event_count();
            if !group.is_empty() && group_events > RECORD_GROUP_EVENTS_MAX {
                break;
            }
            let Some(next) = self.waiting.pop_front() else { break };
            self.forget(&next);
            group.push(next);
        }
        group
    }

    /// Drops every change, which tells its caller.
    pub fn clear(&mut self) {
        self.waiting.clear();
        (self.event_count, self.bytes) = (0, 0);
    }

    fn forget(&mut self, waiting: &Waiting) {
        self.event_count -= waiting.event_count();
        self.bytes -= waiting.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::event::EventTypeKey;
    use hookgraph_domain::ids::{EventId, TenantId};
    use hookgraph_domain::time::Timestamp;
    use uuid::Uuid;

    fn event(label_bytes: usize) -> NewEvent {
        NewEvent {
            id: EventId(Uuid::nil()),
            tenant_id: TenantId(Uuid::nil()),
            event_type: EventTypeKey::new("orders", "create"),
            variables: serde_json::Map::new(),
            changed_fields: Vec::new(),
            tombstone: None,
            record_label: "x".repeat(label_bytes),
        }
    }

    fn waiting(event_count: usize) -> Waiting {
        of_events(vec![event(0); event_count])
    }

    fn of_events(events: Vec<NewEvent>) -> Waiting {
        Waiting::new(Recording { at: Timestamp::default(), events }, oneshot::channel().0)
    }

    fn is_busy(pushed: Result<u64, StoreError>) -> bool {
        matches!(pushed, Err(error @ StoreError::Busy(_)) if error.is_retryable())
    }

    #[test]
    fn a_full_queue_is_busy_until_a_group_is_taken() {
        let mut queue = Queue::default();
        for _ in 0..RECORD_QUEUE_EVENTS_MAX / RECORD_GROUP_EVENTS_MAX {
            assert!(queue.push(waiting(RECORD_GROUP_EVENTS_MAX)).is_ok());
        }
        assert!(is_busy(queue.push(waiting(1))));
        assert_eq!(queue.next_group().len(), 1);
        assert!(queue.push(waiting(1)).is_ok());
    }

    #[test]
    fn a_queue_is_full_of_few_events_that_are_large_but_takes_one_change_of_any_size() {
        let mut queue = Queue::default();
        assert!(queue.push(of_events(vec![event(RECORD_QUEUE_BYTES_MAX)])).is_ok(), "nothing waits yet");
        assert!(is_busy(queue.push(waiting(1))));
        assert_eq!(queue.next_group().len(), 1);
        for _ in 0..3 {
            assert!(queue.push(of_events(vec![event(RECORD_QUEUE_BYTES_MAX / 4)])).is_ok());
        }
        assert!(is_busy(queue.push(of_events(vec![event(RECORD_QUEUE_BYTES_MAX / 4)]))));
    }

    #[test]
    fn the_variables_of_an_event_count() {
        let (small, mut large) = (event(0), event(0));
        large.variables.insert("id".to_owned(), Value::String("x".repeat(1_000)));
        large.variables.insert("ids".to_owned(), serde_json::json!(["a", { "b": "c" }]));
        assert!(event_bytes(&large) - event_bytes(&small) > 1_000 + 4 * ENTRY_BYTES);
    }

    #[test]
    fn a_change_is_taken_back_until_its_turn_has_come() {
        let mut queue = Queue::default();
        let tickets: Vec<u64> = (1..=3).filter_map(|count| queue.push(waiting(count)).ok()).collect();
        assert!(queue.take_back(tickets[1]) && !queue.take_back(tickets[1]));
        assert_eq!(event_count(&queue.next_group()), 1 + 3);
        assert!(!queue.take_back(tickets[0]) && !queue.take_back(tickets[2]));
        assert_eq!((queue.event_count, queue.bytes), (0, 0));
    }

    #[test]
    fn a_group_is_bounded_and_never_empty_while_anyone_waits() {
        let mut queue = Queue::default();
        for event_count in [RECORD_GROUP_EVENTS_MAX * 2, 1, RECORD_GROUP_EVENTS_MAX - 1, 1] {
            assert!(queue.push(waiting(event_count)).is_ok());
        }
        let sizes: Vec<usize> = (0..4).map(|_| queue.next_group().len()).collect();
        assert_eq!(sizes, [1, 2, 1, 0]);
        assert_eq!((queue.event_count, queue.bytes), (0, 0));
    }
}
