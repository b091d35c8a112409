//! Claims that recordings of this process make in their own transaction: see [`Claimer`]. They share the slots and
//! the webhooks' shares with the loop. The loop's own claims are for deliveries that were due before, are due again,
//! or found no room.

use super::claims::{Road, start};
use super::slots::Room;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::{ClaimRequest, Claimer, Claims, WantedClaim};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A claim that a recording may make. A shutdown waits for it.
struct RecordingClaim {
    request: ClaimRequest,
    room: Room,
    road: Arc<Road>,
    _under_way: TaskTrackerToken,
}

/// The road, as the store knows it.
pub(super) struct RecordingClaimer(pub(super) Weak<Road>);

impl Claimer for RecordingClaimer {
    fn wanted(&self) -> Option<Box<dyn WantedClaim>> {
        let road = self.0.upgrade()?;
        let stages = &road.stages;
        if road.stopping.is_cancelled() || road.is_behind.load(Ordering::Relaxed) || stages.trouble.is_on(stages.now())
        {
            return None;
        }
        let room = road.slots.room_at_once(&stages.limits, stages.now())?;
        if room.allowance.per_webhook == 0 {
            // The claims under way may take every slot.
            return None;
        }
        let request = stages.claim_request(room.wanted, &room.allowance);
        let under_way = road.tasks.token();
        Some(Box::new(RecordingClaim { request, room, road, _under_way: under_way }))
    }
}

impl WantedClaim for RecordingClaim {
    fn request(&self) -> &ClaimRequest {
        &self.request
    }

    /// A webhook without tokens waits for its next token, and beside other claims it may wait for slots that they
    /// give back. No delivery's end brings either.
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
