//! The operations of one connection. Each operation is read no further than its answers are written, so a slow client
//! costs a bounded queue and a cursor of the feed.

use super::protocol;
use crate::shares::Permit;
use axum::extract::ws::Message;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// The message of an answer, and whether it ends the operation.
type AnswerMessage = (Message, bool);

/// Running operations by id.
type Running = Arc<Mutex<HashMap<String, Operation>>>;

struct Operation {
    /// Tells the operation from an earlier one of the same id.
    number: u64,
    handle: Option<AbortHandle>,
    /// Its place among its token's operations.
    _place: Permit,
}

/// The operations of one connection; dropping it ends them all.
pub struct Subscriptions {
    running: Running,
    started_count: u64,
    outgoing: mpsc::Sender<Message>,
}

impl Subscriptions {
    /// No operations yet; their messages go to `outgoing`.
    pub fn new(outgoing: mpsc::Sender<Message>) -> Self {
        Self { running: Running::default(), started_count: 0, outgoing }
    }

    /// How many operations are running.
    pub fn count(&self) -> usize {
        self.running.lock().len()
    }

    /// Whether an operation of that id is running.
    pub fn contains(&self, id: &str) -> bool {
        self.running.lock().contains_key(id)
    }

    /// Starts an operation under an id that is free, with the messages of its answers.
    pub fn start(&mut self, id: String, messages: BoxStream<'static, AnswerMessage>, place: Permit) {
        self.started_count += 1;
        let number = self.started_count;
        self.running.lock().insert(id.clone(), Operation { number, handle: None, _place: place });
        let task = Task { id: id.clone(), number, running: self.running.clone(), outgoing: self.outgoing.clone() };
        let handle = tokio::spawn(tracing::Instrument::in_current_span(task.run(messages))).abort_handle();
        if let Some(entry) = self.running.lock().get_mut(&id).filter(|entry| entry.number == number) {
            entry.handle = Some(handle);
        }
    }

    /// Ends an operation. An unknown id is of one that ended meanwhile.
    pub fn end(&self, id: &str) {
        let ended = self.running.lock().remove(id);
        if let Some(handle) = ended.and_then(|operation| operation.handle) {
            handle.abort();
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        let running = std::mem::take(&mut *self.running.lock());
        for operation in running.into_values() {
            operation.handle.inspect(AbortHandle::abort);
        }
    }
}

/// The task in which an operation runs. However the task ends, a panic included, its id and its place are free again.
struct Task {
    id: String,
    number: u64,
    running: Running,
    outgoing: mpsc::Sender<Message>,
}

impl Task {
    async fn run(self, mut messages: BoxStream<'static, AnswerMessage>) {
        while let Some((message, is_end)) = messages.next().await {
            if !self.say(message, is_end).await || is_end {
                return;
            }
        }
        self.say(protocol::complete(&self.id), true).await;
    }

    /// Says a message unless the client has completed the operation, and tells whether it was said. Once the operation
    /// is completed, no message of it is said, also none that was just about to be, because the id may be another's by
    /// now. The last message frees the id before the client learns of it, so that the client may use the id again at
    /// once.
    async fn say(&self, message: Message, is_last: bool) -> bool {
        let Ok(room) = self.outgoing.reserve().await else { return false };
        let mut running = self.running.lock();
        let is_running = running.get(&self.id).is_some_and(|operation| operation.number == self.number);
        if is_running {
            if is_last {
                running.remove(&self.id);
            }
            room.send(message);
        }
        is_running
    }

    fn free(&self) {
        let mut running = self.running.lock();
        if running.get(&self.id).is_some_and(|operation| operation.number == self.number) {
            running.remove(&self.id);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Layers};
    use crate::shares::{Holder, Place, Shares};
    use futures::stream::once;
    use hookgraph_testkit::{ManualClock, sample};

    async fn panics() -> AnswerMessage {
        panic!("as planned")
    }

    /// Shares in which a token has one operation at a time.
    fn shares() -> Arc<Shares> {
        let mut layers = Layers::defaults().unwrap();
        layers.lay_flag("test", "token_subscriptions_max", "1").unwrap();
        let clock = Arc::new(ManualClock::at(sample::now()));
        Arc::new(Shares::new(&Config::from_layers(&layers).web, clock))
    }

    /// The task may run on at that moment: its message would be taken for an answer of the next operation of that id.
    #[tokio::test]
    async fn an_operation_that_was_ended_says_nothing_more() {
        let shares = shares();
        let (outgoing, mut queue) = mpsc::channel(1);
        let mut subscriptions = Subscriptions::new(outgoing);
        let start = |subscriptions: &mut Subscriptions| {
            let place = shares.take(Holder(1), Place::Subscription).unwrap();
            subscriptions.start("a".to_owned(), futures::stream::pending().boxed(), place);
        };
        start(&mut subscriptions);
        let (running, outgoing) = (subscriptions.running.clone(), subscriptions.outgoing.clone());
        let task = Task { id: "a".to_owned(), number: subscriptions.started_count, running, outgoing };
        assert!(task.say(Message::text("first"), false).await);
        assert_eq!(queue.recv().await, Some(Message::text("first")));
        subscriptions.end("a");
        start(&mut subscriptions);
        assert!(!task.say(Message::text("late"), false).await && queue.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_operation_whose_task_panics_leaves_its_id_and_its_place_to_the_next() {
        let shares = shares();
        let (outgoing, mut queue) = mpsc::channel(1);
        let mut subscriptions = Subscriptions::new(outgoing);
        let place = shares.take(Holder(1), Place::Subscription).unwrap();
        subscriptions.start("a".to_owned(), once(panics()).boxed(), place);
        assert!(subscriptions.contains("a"));
        while subscriptions.contains("a") {
            tokio::task::yield_now().await;
        }
        let place = shares.take(Holder(1), Place::Subscription).unwrap();
        subscriptions.start("a".to_owned(), futures::stream::empty().boxed(), place);
        assert_eq!(queue.recv().await, Some(protocol::complete("a")));
    }
}
