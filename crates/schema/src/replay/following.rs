//! Follows a replay: yields each version of its row that a poll finds, until the replay has ended.

use super::object::ReplayObject;
use crate::access::DeliveriesRead;
use crate::context::ApiContext;
use crate::limits::REPLAY_POLL_MS;
use futures::stream::{Stream, unfold};
use hookgraph_domain::replay::{Replay, ReplayState};
use std::sync::Arc;
use std::time::Duration;

/// The position of a follower.
enum At {
    /// This version is yielded next.
    Showing(Replay),
    /// This version was yielded.
    Shown(Replay),
}

/// The replay as it stands, then each later version; the stream ends with the replay.
pub(crate) fn follow_replay(api: Arc<ApiContext>, replay: Replay) -> impl Stream<Item = ReplayObject> + Send + use<> {
    unfold((api, At::Showing(replay)), |(api, at)| async move {
        let next = match at {
            At::Showing(replay) => replay,
            At::Shown(replay) if replay.state != ReplayState::Running => return None,
            At::Shown(replay) => changed(&api, replay).await?,
        };
        Some((ReplayObject(Arc::new(next.clone())), (api, At::Shown(next))))
    })
}

/// The next version of a replay; none once the replay is gone.
async fn changed(api: &ApiContext, shown: Replay) -> Option<Replay> {
    loop {
        tokio::time::sleep(Duration::from_millis(REPLAY_POLL_MS)).await;
        match api.may::<DeliveriesRead>().ok()?.replay(shown.id).await {
            Ok(Some(replay)) if replay.version == shown.version => {}
            Ok(found) => return found,
            Err(error) => tracing::warn!(%error, "a replay cannot be read: the subscription waits"),
        }
    }
}
