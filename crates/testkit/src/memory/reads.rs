//! Reads that are counted, and that go wrong when a test plans it: those of records and tenants, and those of the feed.

use hookgraph_domain::ports::StoreError;
use parking_lot::Mutex;
use std::sync::Arc;

/// How a store's reads go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadPlan {
    /// The reads answer.
    #[default]
    Answer,
    /// The reads fail: the database is busy.
    Fail,
    /// The reads never answer.
    Hang,
    /// The reads panic.
    Panic,
}

/// Counts reads of one kind of one store, and plans how the next ones go. Clones are of the same store.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    progress: Arc<Mutex<Progress>>,
}

#[derive(Debug, Default)]
struct Progress {
    count: usize,
    plan: ReadPlan,
}

impl Reads {
    /// How many reads there were since the last call.
    pub fn take_count(&self) -> usize {
        std::mem::take(&mut self.progress.lock().count)
    }

    /// Plans how reads go from now on.
    pub fn plan(&self, plan: ReadPlan) {
        self.progress.lock().plan = plan;
    }

    pub(super) async fn read(&self) -> Result<(), StoreError> {
        let plan = {
            let mut progress = self.progress.lock();
            progress.count += 1;
            progress.plan
        };
        match plan {
            ReadPlan::Answer => Ok(()),
            ReadPlan::Fail => Err(StoreError::Busy("planned by the test".to_owned())),
            ReadPlan::Hang => std::future::pending().await,
            ReadPlan::Panic => panic!("planned by the test"),
        }
    }
}
