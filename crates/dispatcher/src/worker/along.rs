//! Claims that recordings of this process make along the way: see [`Claimer`]. They share the slots and the flow control of the
//! loop, whose own claims are for what was due before, is due again, or found no room.

use super::claims::{Road, start};
use super::slots::Room;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::{ClaimRequest, Claimer, Claims, WantedClaim};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A claim under way in a recording. A shutdown waits for it.
struct Along {
    request: ClaimRequest,
    room: Room,
    road: Arc<Road>,
    _under_way: TaskTrackerToken,
}

/// The road as its store knows it.
pub(super) struct Recordings(pub(super) Weak<Road>);

impl Claimer for Recordings {
    fn wanted(&self) -> Option<Box<dyn WantedClaim>> {
        let road = self.0.upgrade()?;
        let stages = &road.stages;
        if road.stopping.is_cancelled() || road.is_behind.load(Ordering::Relaxed) || stages.trouble.is_on(stages.now())
        {
            return None;
        }
        let room = road.slots.room_at_once(&stages.limits, stages.now())?;
        if room.allowance.per_webhook == 0 {
            // Claims under way may take all that there is.
            return None;
        }
        let request = stages.claim_request(room.wanted, &room.allowance);
        let under_way = road.tasks.token();
        Some(Box::new(Along { request, room, road, _under_way: under_way }))
    }
}

impl WantedClaim for Along {
    fn request(&self) -> &ClaimRequest {
        &self.request
    }

    /// Not for a token, and not for what other claims under way give back.
    fn waits_for_slots(&self, webhook_id: WebhookId) -> bool {
        !self.room.is_beside_others && !self.room.lacks_tokens(webhook_id)
    }

    fn take(self: Box<Self>, claims: Claims) {
        let Self { room, road, .. } = *self;
        let tasks = road.tasks.clone();
        tasks.spawn(async move {
            road.stages.claimed(&claims);
            if start(&road, claims, room).await {
                road.slots.look();
            }
        });
    }
}
