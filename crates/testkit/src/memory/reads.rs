//! The reads of records and tenants, and those of the feed: counted, and made to go wrong when a test plans it.

use hookgraph_domain::ports::StoreError;
use parking_lot::Mutex;
use std::sync::Arc;

/// How reads go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadPlan {
    /// They answer.
    #[default]
    Answer,
    /// The database is busy.
    Fail,
    /// They never answer.
    Hang,
    /// They panic.
    Panic,
}

/// Counts reads of one kind of one store, and plans how the next ones go. Clones are of the same store.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    count: usize,
    plan: ReadPlan,
}

impl Reads {
    /// Reads since the last call.
    pub fn take_count(&self) -> usize {
        std::mem::take(&mut self.kept.lock().count)
    }

    /// Plans how reads go from now on.
    pub fn plan(&self, plan: ReadPlan) {
        self.kept.lock().plan = plan;
    }

    /// One read.
    pub(super) async fn read(&self) -> Result<(), StoreError> {
        let plan = {
            let mut kept = self.kept.lock();
            kept.count += 1;
            kept.plan
        };
        match plan {
            ReadPlan::Answer => Ok(()),
            ReadPlan::Fail => Err(StoreError::Busy("planned by the test".to_owned())),
            ReadPlan::Hang => std::future::pending().await,
            ReadPlan::Panic => panic!("planned by the test"),
        }
    }
}
