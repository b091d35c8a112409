//! The wake-up: something may be due.

use std::sync::Arc;
use tokio::sync::Notify;

/// Wakes the worker's loop. Clones share one signal; raising it many times before the loop looks counts once, and one that
/// is raised while nobody waits is kept.
#[derive(Clone, Debug, Default)]
pub struct DueSignal(Arc<Notify>);

impl DueSignal {
    /// Says that something may be due. Never waits.
    pub fn raise(&self) {
        self.0.notify_one();
    }

    /// Waits until it is raised.
    pub async fn raised(&self) {
        self.0.notified().await;
    }
}
