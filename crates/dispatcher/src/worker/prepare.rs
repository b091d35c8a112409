//! From the claim to the request: one tenant's share of a claim is rendered, frozen and sent.

use super::backoff::Backoff;
use super::claims::{Road, SlotMap};
use super::leases;
use super::portion::Portion;
use super::settler::Ending;
use super::slots::Slot;
use super::stages::{self, Ready};
use crate::limits::SEND_MARGIN_MS;
use futures::FutureExt;
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::{Timestamp, plus_ms};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

/// Claims whose payloads are rendered together, with the permit for the slots that they may come to need.
struct RenderPortion<'a> {
    claims: Vec<ClaimedDelivery>,
    permit: Option<SemaphorePermit<'a>>,
}

fn ids_of(claims: &[ClaimedDelivery]) -> Vec<DeliveryId> {
    claims.iter().map(|claim| claim.delivery.id).collect()
}

/// Sends one tenant's share of a claim. Frozen payloads go first and wait for no render. The others are rendered, as
/// many at once as their payloads' slots allow, frozen and sent, until [`crate::limits::RENDER_BATCH_MS_MAX`] have
/// passed. Claims that are not sent by then are given back.
pub(super) async fn prepare(road: Arc<Road>, share: Vec<(ClaimedDelivery, Slot)>) {
    let (claims, slots): (Vec<_>, Vec<_>) = share.into_iter().unzip();
    let ids = ids_of(&claims);
    let mut slots: SlotMap = ids.iter().copied().zip(slots).collect();
    match leases::extend_late(&road.stages, &road.leases, &claims).await {
        Err(error) => tracing::info!(count = ids.len(), %error, "claimed late, and not extended: given back"),
        Ok(()) => {
            let (frozen, unrendered): (Vec<_>, Vec<_>) = claims.into_iter().partition(|claim| claim.payload.is_some());
            let frozen = road.give_back_oversized(frozen, &mut slots).await;
            road.send_frozen(frozen, &mut slots).await;
            road.render_and_send(unrendered, &mut slots).await;
        }
    }
    road.release_all(&ids, &mut slots).await;
}

impl Road {
    /// Gives back the frozen deliveries that are beyond their webhook's share of the slots, and answers the others.
    async fn give_back_oversized(&self, mut frozen: Vec<ClaimedDelivery>, slots: &mut SlotMap) -> Vec<ClaimedDelivery> {
        let held: &SlotMap = slots;
        let with_slots = frozen.iter().filter_map(|claim| Some((claim.delivery.id, held.get(&claim.delivery.id)?)));
        let beyond = self.slots.beyond_share(with_slots, self.stages.now());
        let back: Vec<_> =
            frozen.extract_if(.., |claim| beyond.contains(&claim.delivery.id)).map(|claim| claim.delivery.id).collect();
        // All of them give their further slots back at once, so that another share of the same webhook does not give
        // back as many.
        for id in &back {
            if let Some(slot) = slots.get_mut(id) {
                slot.gives_back();
            }
        }
        self.release_all(&back, slots).await;
        frozen
    }

    /// Sends the deliveries whose payload an earlier claim froze.
    async fn send_frozen(self: &Arc<Self>, frozen: Vec<ClaimedDelivery>, slots: &mut SlotMap) {
        let rendered = self.stages.render(frozen).await;
        self.hold(&rendered.frozen, slots);
        self.send_all(rendered.frozen, slots).await;
    }

    /// Renders the other deliveries, freezes and sends them, a portion at a time.
    async fn render_and_send(self: &Arc<Self>, mut unrendered: Vec<ClaimedDelivery>, slots: &mut SlotMap) {
        let until = Instant::now() + Duration::from_millis(self.stages.limits.render_batch_ms_max);
        while let Some(RenderPortion { claims, permit }) = self.next_portion(&mut unrendered, until, slots).await {
            let ids = ids_of(&claims);
            let rendered = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                rendered = self.stages.render(claims) => rendered,
            };
            self.learn_refused(&rendered.settlements);
            self.settle_all(rendered.settlements, slots).await;
            self.hold(&rendered.fresh, slots);
            drop(permit);
            self.freeze_and_send(rendered.fresh, until, slots).await;
            // The rest was frozen by another worker, or by a call of ours whose answer was lost, or not at all. A
            // release under a lost lease changes nothing.
            self.release_all(&ids, slots).await;
        }
    }

    /// Takes the next claims off `unrendered`, once their payloads may be rendered; none where none is left, the time
    /// is over, or a shutdown began.
    async fn next_portion(
        &self,
        unrendered: &mut Vec<ClaimedDelivery>,
        until: Instant,
        slots: &mut SlotMap,
    ) -> Option<RenderPortion<'_>> {
        while Instant::now() < until {
            self.give_back_unrenderable(unrendered, slots).await;
            if unrendered.is_empty() {
                return None;
            }
            let (count, expected) = self.stages.shares.render_portion(unrendered);
            let permit = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return None,
                () = tokio::time::sleep_until(until) => return None,
                permit = self.slots.to_render(expected) => permit,
            };
            if let Some(count) = self.portion_after_wait(unrendered, count, expected, slots) {
                let rest = unrendered.split_off(count);
                return Some(RenderPortion { claims: std::mem::replace(unrendered, rest), permit });
            }
        }
        None
    }

    /// Gives back the deliveries whose payloads may not be rendered for want of slots.
    async fn give_back_unrenderable(&self, unrendered: &mut Vec<ClaimedDelivery>, slots: &mut SlotMap) {
        let now = self.stages.now();
        let back: Vec<_> = unrendered
            .extract_if(.., |claim| !self.may_render(claim, slots, now))
            .map(|claim| claim.delivery.id)
            .collect();
        self.release_all(&back, slots).await;
    }

    /// How many of the first `count` claims are rendered, after the wait for the slots that they were expected to
    /// take. None where payloads rendered meanwhile showed that these are larger, or took their slots: then the
    /// portion is chosen anew.
    fn portion_after_wait(
        &self,
        unrendered: &[ClaimedDelivery],
        count: usize,
        expected: u32,
        slots: &SlotMap,
    ) -> Option<usize> {
        let count = count.min(unrendered.len());
        if expected == 0 {
            return Some(count);
        }
        let now = self.stages.now();
        let (count_now, expected_now) = self.stages.shares.render_portion(unrendered);
        let are_small_enough = unrendered[..count].iter().all(|claim| self.may_render(claim, slots, now));
        (expected_now <= expected && are_small_enough).then_some(count.min(count_now))
    }

    fn may_render(&self, claim: &ClaimedDelivery, slots: &SlotMap, now: Timestamp) -> bool {
        slots.get(&claim.delivery.id).is_some_and(|slot| self.slots.may_render(slot, now))
    }

    /// Learns of webhooks whose payload query refuses to render: they take no slots for payloads.
    fn learn_refused(&self, settlements: &[Settlement]) {
        let was_refused =
            |one: &&Settlement| one.attempt.as_ref().is_some_and(|it| it.code == OutcomeCode::RenderFailed);
        let refused = settlements.iter().filter(was_refused).map(|settlement| settlement.webhook_id);
        self.stages.shares.refused(refused, self.stages.now());
    }

    /// Lets each slot hold as many slots as its payload takes, now that the payload is in memory.
    fn hold(&self, ready: &[Ready], slots: &mut SlotMap) {
        if ready.is_empty() {
            return;
        }
        let payloads = ready.iter().map(|one| (one.claim.delivery.webhook_id, one.payload.json.len()));
        self.stages.shares.rendered(payloads, self.stages.now());
        for one in ready {
            if let Some(slot) = slots.get_mut(&one.claim.delivery.id) {
                slot.holds(one.payload.json.len());
            }
        }
    }

    /// Whether the lease holds until after the next beat: once its request has started, beats keep it alive.
    fn has_time(&self, slot: &Slot) -> bool {
        slot.lease.holds_at(plus_ms(self.stages.now(), SEND_MARGIN_MS))
    }

    /// Freezes payloads, a portion at a time, and sends each frozen delivery. It tries again while the store fails,
    /// for as long as one of the leases holds, `until` has not come, and no shutdown began. A payload that the store
    /// will never take is a fault of ours, and holds up no other.
    async fn freeze_and_send(self: &Arc<Self>, mut fresh: Vec<Ready>, until: Instant, slots: &mut SlotMap) {
        let mut backoff = Backoff::of("freeze");
        let mut portion = Portion::of(fresh.len());
        while !fresh.is_empty() {
            let count = portion.first(fresh.iter().map(|ready| ready.payload.json.len()));
            let error = match self.stages.write(self.stages.freeze(&fresh[..count])).await {
                Ok(fenced) => {
                    backoff.over();
                    portion.written();
                    let frozen = stages::frozen_now(fresh.drain(..count).collect(), &fenced).collect();
                    self.send_all(frozen, slots).await;
                    continue;
                }
                Err(error) => error,
            };
            portion.failed(count);
            if !error.is_retryable() {
                if count == 1 {
                    self.cannot_freeze(&fresh.remove(0), &error, slots).await;
                }
                continue;
            }
            if count == 1 {
                // The one that failed alone may be the cause: the others go first.
                fresh.rotate_left(1);
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(backoff.failed(&error)) => {}
            }
            let in_time = |ready: &Ready| slots.get(&ready.claim.delivery.id).is_some_and(|slot| self.has_time(slot));
            if Instant::now() >= until || !fresh.iter().any(in_time) {
                return;
            }
        }
    }

    async fn cannot_freeze(&self, ready: &Ready, error: &StoreError, slots: &mut SlotMap) {
        let delivery_id = ready.claim.delivery.id;
        tracing::error!(%delivery_id, %error, "a payload cannot be kept: to be rendered again");
        let settlement = self.stages.faulted(&ready.claim, format!("the payload cannot be kept: {error}"));
        self.settle_all(vec![settlement], slots).await;
    }

    /// Sends each delivery in a task of its own. One that a shutdown overtook, or whose lease ends too soon, is given
    /// back. So is one whose lease was renewed: its webhook may have been changed or paused since it was screened.
    async fn send_all(self: &Arc<Self>, ready: Vec<Ready>, slots: &mut SlotMap) {
        for ready in ready {
            let Some(slot) = slots.remove(&ready.claim.delivery.id) else { continue };
            if self.stopping.is_cancelled() || slot.lease.was_renewed() || !self.has_time(&slot) {
                self.end(Ending::Released(slot)).await;
            } else {
                self.tasks.spawn(Arc::clone(self).deliver(ready, slot));
            }
        }
    }

    /// Sends one delivery. A panic is settled, too: otherwise the request would be sent again each time that the
    /// lease ends.
    async fn deliver(self: Arc<Self>, ready: Ready, slot: Slot) {
        let ending = tokio::select! {
            biased;
            sent = AssertUnwindSafe(self.stages.send(&ready)).catch_unwind() => {
                let settlement = sent.unwrap_or_else(|_| {
                    tracing::error!(delivery_id = %ready.claim.delivery.id, "a fault of ours: a request panicked");
                    self.stages.faulted(&ready.claim, "the code that sends requests panicked".to_owned())
                });
                Ending::Settled(Box::new(settlement), slot)
            }
            () = self.cut.cancelled() => Ending::Released(slot),
        };
        self.end(ending).await;
    }
}
