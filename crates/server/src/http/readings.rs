//! Readings of the database that anybody may ask for. Callers must not take the connections that requests need, so one
//! reading goes on at a time, and its answer serves everybody who asks meanwhile.

use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

/// A reading that has ended.
pub struct Reading<T> {
    pub began_at: Instant,
    pub ended_at: Instant,
    /// Whether nothing was read: the answer is for those alone who waited for it.
    pub is_refusal: bool,
    pub answer: T,
}

/// The last reading of one kind, and the turn for the next one. Clones share both.
pub struct Readings<T>(Arc<Mutex<Option<Reading<T>>>>);

/// The turn to read: its holder reads, and the others wait for the answer.
pub struct Turn<T>(OwnedMutexGuard<Option<Reading<T>>>);

impl<T> Clone for Readings<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Readings<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl<T: Clone> Readings<T> {
    /// Waits for the reading that is under way, and yields the last answer where `holds` says that it still holds.
    ///
    /// # Errors
    /// The turn to read.
    pub async fn last_or_turn(&self, holds: impl FnOnce(&Reading<T>) -> bool) -> Result<T, Turn<T>> {
        let last = self.0.clone().lock_owned().await;
        if let Some(reading) = &*last
            && holds(reading)
        {
            return Ok(reading.answer.clone());
        }
        Err(Turn(last))
    }
}

impl<T: Clone + Send + 'static> Turn<T> {
    /// Reads, and yields the answer; `broken_off` where the reading panics.
    pub async fn read(self, reading: impl Future<Output = T> + Send + 'static, broken_off: T) -> T {
        let began_at = Instant::now();
        // The reading outlives the request that began it: callers who ask and leave would begin it again and again.
        let task = tokio::spawn(async move { self.ended(began_at, false, reading.await) });
        task.await.unwrap_or(broken_off)
    }

    /// Yields the answer without reading.
    pub fn refuse(self, answer: T) -> T {
        self.ended(Instant::now(), true, answer)
    }

    fn ended(mut self, began_at: Instant, is_refusal: bool, answer: T) -> T {
        *self.0 = Some(Reading { began_at, ended_at: Instant::now(), is_refusal, answer: answer.clone() });
        answer
    }
}
