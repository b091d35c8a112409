//! The sweeping of the database's queue while the server runs.

use hookgraph_storage::limits::SWEEP_WAIT_MS;
use hookgraph_storage::{SqlStore, Sweep};
use std::time::Duration;

/// Looks from time to time, for ever. A failure costs speed and nothing else; the first of several is told.
pub(crate) async fn keep_up(store: SqlStore) {
    let (mut wait_ms, mut is_failing) = (SWEEP_WAIT_MS, false);
    loop {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let outcome = store.sweep_queue().await;
        wait_ms = Sweep::wait_ms(&outcome, wait_ms);
        let had_failed = is_failing;
        is_failing = matches!(outcome, Ok(Sweep::Failed(_)) | Err(_));
        if had_failed && !is_failing {
            tracing::info!("the queue is swept again");
        }
        match outcome {
            Ok(Sweep::NotNeeded) => {}
            Ok(Sweep::Failed(error)) | Err(error) => {
                if !had_failed {
                    tracing::warn!(%error, "the queue could not be swept: claims may become slower until it is");
                }
            }
            Ok(sweep) => tracing::debug!(?sweep, "the queue wanted sweeping"),
        }
    }
}
