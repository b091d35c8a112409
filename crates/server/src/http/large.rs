//! Requests with large bodies: what one is read into takes some fifty times its bytes, so few of them are read and executed at a
//! time. A few more wait for their turn with no more than their bytes; the rest is to come again.

use crate::limits::{
    LARGE_REQUEST_BYTES_MIN, LARGE_REQUEST_WAIT_MS_MAX, LARGE_REQUESTS_AT_ONCE_MAX, LARGE_REQUESTS_KEPT_MAX,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places for large requests.
#[derive(Debug)]
pub struct LargeRequests {
    at_once: Arc<Semaphore>,
    kept: Arc<Semaphore>,
}

/// A large request's place, until this value goes.
#[derive(Debug)]
pub struct LargePlace {
    _at_once: OwnedSemaphorePermit,
    _kept: OwnedSemaphorePermit,
}

/// There are as many large requests as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyLarge;

impl Default for LargeRequests {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { at_once: places(LARGE_REQUESTS_AT_ONCE_MAX), kept: places(LARGE_REQUESTS_KEPT_MAX) }
    }
}

impl LargeRequests {
    /// A place for a body of so many bytes; none is needed for a small one.
    ///
    /// # Errors
    /// `TooManyLarge` at once where too many wait, and after [`LARGE_REQUEST_WAIT_MS_MAX`] where those before it stay.
    pub async fn place(&self, body_bytes: usize) -> Result<Option<LargePlace>, TooManyLarge> {
        if body_bytes < LARGE_REQUEST_BYTES_MIN {
            return Ok(None);
        }
        let kept = self.kept.clone().try_acquire_owned().map_err(|_| TooManyLarge)?;
        let turn = self.at_once.clone().acquire_owned();
        match tokio::time::timeout(Duration::from_millis(LARGE_REQUEST_WAIT_MS_MAX), turn).await {
            Ok(Ok(at_once)) => Ok(Some(LargePlace { _at_once: at_once, _kept: kept })),
            Ok(Err(_)) | Err(_) => Err(TooManyLarge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    #[tokio::test(start_paused = true)]
    async fn few_large_requests_are_at_it_some_wait_for_a_while_and_small_ones_are_not_asked() {
        let large = LargeRequests::default();
        let mut places = Vec::new();
        for _ in 0..LARGE_REQUESTS_AT_ONCE_MAX {
            places.push(large.place(LARGE_REQUEST_BYTES_MIN).await.unwrap());
        }
        assert!(large.place(LARGE_REQUEST_BYTES_MIN - 1).await.unwrap().is_none());
        let begun_at = tokio::time::Instant::now();
        let waiting = LARGE_REQUESTS_KEPT_MAX - LARGE_REQUESTS_AT_ONCE_MAX;
        let more = join_all((0..=waiting).map(|_| async {
            let answer = large.place(LARGE_REQUEST_BYTES_MIN).await;
            (answer.is_err(), begun_at.elapsed().as_millis())
        }));
        let mut waited_ms: Vec<_> = more.await.into_iter().map(|(refused, ms)| (ms, refused)).collect();
        waited_ms.sort_unstable();
        assert_eq!(waited_ms[0], (0, true), "one too many does not wait");
        assert!(waited_ms[1..].iter().all(|waited| *waited == (u128::from(LARGE_REQUEST_WAIT_MS_MAX), true)));
        places.pop();
        assert!(large.place(LARGE_REQUEST_BYTES_MIN).await.unwrap().is_some());
    }
}
