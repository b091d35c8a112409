//! Large requests, over any transport: what one is read into takes some fifty times its bytes, so few of them are read and executed
//! at a time, four where they are very large. More wait for their turn with no more than their bytes; the rest is to come again.

use crate::limits::{
    LARGE_BYTES_AT_ONCE_MAX, LARGE_BYTES_KEPT_MAX, LARGE_REQUEST_BYTES_MIN, LARGE_REQUEST_SHARE_BYTES_MAX,
    LARGE_REQUEST_WAIT_MS_MAX,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room for large requests, in bytes.
#[derive(Debug)]
pub struct LargeRequests {
    at_once: Arc<Semaphore>,
    kept: Arc<Semaphore>,
}

/// A large request's room, until this value goes.
#[derive(Debug)]
pub struct LargePlace {
    _at_once: OwnedSemaphorePermit,
    _kept: OwnedSemaphorePermit,
}

/// There are as many large requests as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server executes as many large requests as it may: try again, or send less at once")]
pub struct TooManyLarge;

impl Default for LargeRequests {
    fn default() -> Self {
        let room = |bytes| Arc::new(Semaphore::new(bytes));
        Self { at_once: room(LARGE_BYTES_AT_ONCE_MAX), kept: room(LARGE_BYTES_KEPT_MAX) }
    }
}

impl LargeRequests {
    /// Room for a request of so many bytes; none is needed for a small one. Whoever came first goes first, so that many of a
    /// middling size never keep out one that needs more of it.
    ///
    /// # Errors
    /// `TooManyLarge` at once where too much waits, and after [`LARGE_REQUEST_WAIT_MS_MAX`] where those before it stay.
    pub async fn place(&self, bytes: usize) -> Result<Option<LargePlace>, TooManyLarge> {
        if bytes < LARGE_REQUEST_BYTES_MIN {
            return Ok(None);
        }
        let kept = permits(bytes.min(LARGE_BYTES_KEPT_MAX));
        let kept = self.kept.clone().try_acquire_many_owned(kept).map_err(|_| TooManyLarge)?;
        let turn = self.at_once.clone().acquire_many_owned(permits(bytes.min(LARGE_REQUEST_SHARE_BYTES_MAX)));
        match tokio::time::timeout(Duration::from_millis(LARGE_REQUEST_WAIT_MS_MAX), turn).await {
            Ok(Ok(at_once)) => Ok(Some(LargePlace { _at_once: at_once, _kept: kept })),
            Ok(Err(_)) | Err(_) => Err(TooManyLarge),
        }
    }
}

/// A byte each. More than that are never there.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::join_all;

    /// Some that fill the room between them.
    async fn filling(large: &LargeRequests) -> Vec<Option<LargePlace>> {
        let mut places = Vec::new();
        for _ in 0..LARGE_BYTES_AT_ONCE_MAX / LARGE_REQUEST_BYTES_MIN {
            places.push(large.place(LARGE_REQUEST_BYTES_MIN).await.unwrap());
        }
        places
    }

    #[tokio::test(start_paused = true)]
    async fn few_large_requests_are_at_it_some_wait_for_a_while_and_small_ones_are_not_asked() {
        let large = LargeRequests::default();
        let mut places = filling(&large).await;
        assert!(large.place(LARGE_REQUEST_BYTES_MIN - 1).await.unwrap().is_none());
        let begun_at = tokio::time::Instant::now();
        let mib = 1024 * 1024;
        let waiting = (LARGE_BYTES_KEPT_MAX - LARGE_BYTES_AT_ONCE_MAX) / mib;
        let more = join_all((0..=waiting).map(|_| async {
            let answer = large.place(mib).await;
            (answer.is_err(), begun_at.elapsed().as_millis())
        }));
        let mut waited_ms: Vec<_> = more.await.into_iter().map(|(refused, ms)| (ms, refused)).collect();
        waited_ms.sort_unstable();
        assert_eq!(waited_ms[0], (0, true), "one too many does not wait");
        assert!(waited_ms[1..].iter().all(|waited| *waited == (u128::from(LARGE_REQUEST_WAIT_MS_MAX), true)));
        places.pop();
        assert!(large.place(LARGE_REQUEST_BYTES_MIN).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn four_of_any_size_are_executed_side_by_side_in_their_turns() {
        let large = LargeRequests::default();
        let mut places = filling(&large).await;
        let mut fifth = Box::pin(large.place(2 * LARGE_BYTES_AT_ONCE_MAX));
        assert!(fifth.as_mut().now_or_never().is_none());
        places.clear();
        for _ in 0..3 {
            places.push(large.place(LARGE_BYTES_KEPT_MAX / 8).now_or_never().unwrap().unwrap());
        }
        let mut behind = Box::pin(large.place(LARGE_REQUEST_BYTES_MIN));
        assert!(behind.as_mut().now_or_never().is_none(), "it came later");
        let fifth = fifth.now_or_never().unwrap().unwrap();
        assert!(fifth.is_some() && behind.as_mut().now_or_never().is_none());
        drop(fifth);
        assert!(behind.now_or_never().unwrap().unwrap().is_some());
    }
}
