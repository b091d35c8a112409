//! A loop under way, as the tests of the loop drive it. They wait until the fakes have seen something, never for a
//! time.

use super::*;
use std::collections::BTreeSet;
use tokio::task::JoinHandle;

/// A loop under way.
pub(super) struct Running {
    pub(super) wake: DueSignal,
    pub(super) shutdown: CancellationToken,
    loop_ended: JoinHandle<()>,
}

impl Running {
    /// Starts the loop of the bench's worker.
    pub(super) fn of(bench: &Bench) -> Self {
        let (wake, shutdown) = (DueSignal::default(), CancellationToken::new());
        let loop_ended = tokio::spawn(bench.dispatcher().run(wake.clone(), shutdown.clone()));
        Self { wake, shutdown, loop_ended }
    }

    /// Begins a shutdown and waits until the loop has ended.
    pub(super) async fn shut_down(self) {
        self.shutdown.cancel();
        self.loop_ended.await.expect("a loop that ends by itself");
    }
}

/// The deliveries that the store took settlements of.
pub(super) fn settled_ids(bench: &Bench) -> BTreeSet<u128> {
    bench.queue.state.lock().settled.iter().map(|settled| settled.delivery_id.0.as_u128()).collect()
}
