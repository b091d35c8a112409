//! The sweeping of the database's queue while the server runs.

use hookgraph_storage::limits::SWEEP_WAIT_MS;
use hookgraph_storage::{SqlStore, Sweep};
use std::time::{Duration, Instant};

/// Looks from time to time, for ever. A failure costs speed and nothing else; the first of several is told.
pub(crate) async fn keep_up(store: SqlStore) {
    let (mut wait_ms, mut is_failing) = (SWEEP_WAIT_MS, false);
    loop {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let began_at = Instant::now();
        let outcome = store.sweep_queue().await;
        wait_ms = Sweep::wait_ms(&outcome, wait_ms);
        match outcome {
            Ok(Sweep::Failed(error)) | Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "the queue could not be swept: claims may become slower until it is");
                }
                continue;
            }
            Ok(Sweep::NotNeeded) => {}
            Ok(sweep) => {
                let took_ms = began_at.elapsed().as_millis();
                tracing::debug!(?sweep, took_ms, "the queue was to be swept");
            }
        }
        is_failing = false;
    }
}
