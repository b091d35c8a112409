//! Wake-ups: of the loops and subscribers of this process, and of the processes that share its database.

mod link;

pub use link::run;

use hookgraph_dispatcher::worker::DueSignal;
use hookgraph_domain::ports::WakeUps;
use hookgraph_storage::WakeUpKinds;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// Wakes the loops and subscribers of this process at once, and keeps what others are still to be told.
#[derive(Debug)]
pub struct ProcessWakeUps {
    due: DueSignal,
    fed: watch::Sender<()>,
    untold: Mutex<WakeUpKinds>,
    has_untold: Notify,
}

impl Default for ProcessWakeUps {
    fn default() -> Self {
        Self {
            due: DueSignal::default(),
            fed: watch::Sender::new(()),
            untold: Mutex::default(),
            has_untold: Notify::new(),
        }
    }
}

impl ProcessWakeUps {
    /// Raised when something may be due.
    pub fn due_signal(&self) -> DueSignal {
        self.due.clone()
    }

    /// Changes when the feed may have grown.
    pub fn fed_receiver(&self) -> watch::Receiver<()> {
        self.fed.subscribe()
    }

    /// Wakes this process alone: what another one said.
    pub fn heard(&self, kinds: WakeUpKinds) {
        if kinds.due {
            self.due.raise();
        }
        if kinds.fed {
            self.fed.send_replace(());
        }
    }

    /// Waits until there is something that others are to be told.
    async fn untold(&self) {
        self.has_untold.notified().await;
    }

    /// Takes what others are to be told; however often it was raised, it counts once.
    fn take_untold(&self) -> WakeUpKinds {
        std::mem::take(&mut *self.untold.lock())
    }

    fn tell(&self, kinds: WakeUpKinds) {
        let mut untold = self.untold.lock();
        untold.due |= kinds.due;
        untold.fed |= kinds.fed;
        drop(untold);
        self.has_untold.notify_one();
    }
}

impl WakeUps for ProcessWakeUps {
    fn due(&self) {
        let kinds = WakeUpKinds { due: true, fed: false };
        self.heard(kinds);
        self.tell(kinds);
    }

    fn due_elsewhere(&self) {
        self.tell(WakeUpKinds { due: true, fed: false });
    }

    fn fed(&self) {
        let kinds = WakeUpKinds { due: false, fed: true };
        self.heard(kinds);
        self.tell(kinds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use hookgraph_domain::change::{Claimed, Committed};

    /// The worker of this process, where it claimed what it had room for, knows of the rest.
    #[tokio::test]
    async fn a_change_wakes_whoever_does_not_know_of_what_it_made_due() {
        for (claimed, wakes_others, wakes_this) in
            [(Claimed::NotAll, true, true), (Claimed::WhatHadRoom, true, false), (Claimed::All, false, false)]
        {
            let wake_ups = ProcessWakeUps::default();
            wake_ups.committed(&Committed { claimed, ..Committed::default() });
            assert_eq!(wake_ups.take_untold(), WakeUpKinds { due: wakes_others, fed: true }, "{claimed:?}");
            assert_eq!(wake_ups.due_signal().raised().now_or_never().is_some(), wakes_this, "{claimed:?}");
        }
    }

    #[tokio::test]
    async fn what_is_raised_many_times_is_told_once_and_what_was_heard_is_not_told_again() {
        let wake_ups = ProcessWakeUps::default();
        let mut fed = wake_ups.fed_receiver();
        for _ in 0..100 {
            wake_ups.fed();
        }
        wake_ups.untold().await;
        assert_eq!(wake_ups.take_untold(), WakeUpKinds { due: false, fed: true });
        assert_eq!(wake_ups.take_untold(), WakeUpKinds::default());
        assert!(fed.has_changed().unwrap());
        fed.mark_unchanged();
        wake_ups.heard(WakeUpKinds { due: true, fed: true });
        assert!(fed.has_changed().unwrap());
        assert_eq!(wake_ups.take_untold(), WakeUpKinds::default());
    }
}
