//! The operations of one connection. Each is read no further than its answers are written, so a slow client costs a
//! bounded queue and the place it has got to in the feed.

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

/// A message of an answer, and whether it ends the operation.
type Answer = (Message, bool);

/// Running operations by id.
type Running = Arc<Mutex<HashMap<String, Operation>>>;

struct Operation {
    /// Tells it from an earlier one of the same id.
    number: u64,
    handle: Option<AbortHandle>,
    /// Its place among its token's.
    _place: Permit,
}

/// The operations of one connection; dropping it ends them all.
pub struct Subscriptions {
    running: Running,
    started_count: u64,
    outgoing: mpsc::Sender<Message>,
}

impl Subscriptions {
    /// None yet; their messages go there.
    pub fn new(outgoing: mpsc::Sender<Message>) -> Self {
        Self { running: Running::default(), started_count: 0, outgoing }
    }

    /// How many are running.
    pub fn count(&self) -> usize {
        self.running.lock().len()
    }

    /// Whether one of that id is running.
    pub fn contains(&self, id: &str) -> bool {
        self.running.lock().contains_key(id)
    }

    /// Starts one under an id that is free, of whose answers these are the messages.
    pub fn start(&mut self, id: String, messages: BoxStream<'static, Answer>, place: Permit) {
        self.started_count += 1;
        let number = self.started_count;
        self.running.lock().insert(id.clone(), Operation { number, handle: None, _place: place });
        let task = Task { id: id.clone(), number, running: self.running.clone(), outgoing: self.outgoing.clone() };
        let handle = tokio::spawn(tracing::Instrument::in_current_span(task.run(messages))).abort_handle();
        if let Some(entry) = self.running.lock().get_mut(&id).filter(|entry| entry.number == number) {
            entry.handle = Some(handle);
        }
    }

    /// Ends one; unknown ids are those that ended meanwhile.
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

/// What an operation runs in. However it ends, a panic included, its id and its place are free again.
struct Task {
    id: String,
    number: u64,
    running: Running,
    outgoing: mpsc::Sender<Message>,
}

impl Task {
    async fn run(self, mut messages: BoxStream<'static, Answer>) {
        while let Some((message, is_end)) = messages.next().await {
            if !self.say(message, is_end).await || is_end {
                return;
            }
        }
        self.say(protocol::complete(&self.id), true).await;
    }

    /// Says it, unless the client has completed the operation: from then on nothing of it is said, also where this was just about to,
    /// since the id may be another's by now. The last message frees the id before the client learns of it, so that it may use it again
    /// at once. Whether it was said.
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

    async fn panics() -> Answer {
        panic!("as planned")
    }

    /// One operation of a token at a time.
    fn shares() -> Arc<Shares> {
        let mut layers = Layers::defaults().unwrap();
        layers.lay_flag("test", "token_subscriptions_max", "1").unwrap();
        let clock = Arc::new(ManualClock::at(sample::now()));
        Arc::new(Shares::new(&Config::from_layers(&layers).web, clock))
    }

    /// Its task may run on at that moment: what it was about to say would be taken for an answer of the next one of that id.
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
