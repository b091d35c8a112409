//! Upkeep of the database's tables while the server runs.

use crate::limits;
use hookgraph_storage::SqlStore;
use std::time::Duration;

/// Looks from time to time, for ever. A failure costs speed and nothing else; the first of several is told.
pub(crate) async fn keep_up(store: SqlStore) {
    let mut is_failing = false;
    loop {
        tokio::time::sleep(Duration::from_millis(limits::UPKEEP_MS)).await;
        match store.upkeep().await {
            Ok(upkeep) => {
                is_failing = false;
                if !upkeep.counted.is_empty() {
                    tracing::debug!(tables = ?upkeep.counted, "tables that grew were counted anew, for the planner");
                }
            }
            Err(error) if !std::mem::replace(&mut is_failing, true) => {
                tracing::warn!(%error, "the queue could not be swept: claims may become slower");
            }
            Err(_) => {}
        }
    }
}
