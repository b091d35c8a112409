//! The wake-up: it says that a delivery may be due.

use std::sync::Arc;
use tokio::sync::Notify;

/// Wakes the worker's loop. Clones share one signal. A signal that is raised several times before the loop looks
/// counts once; one that is raised while nobody waits is kept.
#[derive(Clone, Debug, Default)]
pub struct DueSignal(Arc<Notify>);

impl DueSignal {
    /// Says that a delivery may be due. The call never waits.
    pub fn raise(&self) {
        self.0.notify_one();
    }

    /// Waits until the signal is raised.
    pub async fn raised(&self) {
        self.0.notified().await;
    }
}
