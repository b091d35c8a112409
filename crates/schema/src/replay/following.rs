//! Following a replay: each version of its row that is seen, until it has ended.

use super::object::ReplayObject;
use crate::access::DeliveriesRead;
use crate::context::Asked;
use crate::limits::REPLAY_POLL_MS;
use futures::stream::{Stream, unfold};
use hookgraph_domain::replay::{Replay, ReplayState};
use std::sync::Arc;
use std::time::Duration;

/// Where a follower is.
enum At {
    /// This one is to be shown next.
    Showing(Replay),
    /// This one was shown.
    Shown(Replay),
}

/// The replay as it stands, then as it goes on; ends with it.
pub(crate) fn follow_replay(asked: Arc<Asked>, replay: Replay) -> impl Stream<Item = ReplayObject> + Send + use<> {
    unfold((asked, At::Showing(replay)), |(asked, at)| async move {
        let next = match at {
            At::Showing(replay) => replay,
            At::Shown(replay) if replay.state != ReplayState::Running => return None,
            At::Shown(replay) => changed(&asked, replay).await?,
        };
        Some((ReplayObject(Arc::new(next.clone())), (asked, At::Shown(next))))
    })
}

/// The next version; none once the replay is gone.
async fn changed(asked: &Asked, shown: Replay) -> Option<Replay> {
    loop {
        tokio::time::sleep(Duration::from_millis(REPLAY_POLL_MS)).await;
        match asked.may::<DeliveriesRead>().ok()?.replay(shown.id).await {
            Ok(Some(replay)) if replay.version == shown.version => {}
            Ok(found) => return found,
            Err(error) => tracing::warn!(%error, "a replay cannot be read: the subscription waits"),
        }
    }
}
