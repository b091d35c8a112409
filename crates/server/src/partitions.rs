//! Partitions of the database's days: made before a day begins, and again looked for while the server runs.

use crate::limits;
use hookgraph_domain::ports::Clock;
use hookgraph_storage::SqlStore;
use std::sync::Arc;
use std::time::Duration;

/// Makes what is missing. A failure costs a day its own partition and nothing else.
pub(crate) async fn ensure(store: &SqlStore, clock: &dyn Clock) {
    match store.ensure_partitions(clock.now(), limits::PARTITION_DAYS_AHEAD).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "partitions were made for the days to come"),
        Err(error) => tracing::warn!(%error, "partitions for the days to come could not be made"),
    }
}

/// Looks from time to time, for ever.
pub(crate) async fn keep_up(store: SqlStore, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(Duration::from_millis(limits::PARTITION_CHECK_MS)).await;
        ensure(&store, &*clock).await;
    }
}
