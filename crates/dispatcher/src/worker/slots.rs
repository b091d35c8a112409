//! Slots: how many deliveries this process has in flight, and how much memory their payloads take.
//!
//! A slot stands for one delivery in flight with up to [`crate::limits::SLOT_BYTES`] (64 KiB) of payload. A delivery
//! holds its slot from the claim until the store has taken its ending; a larger payload holds a slot for each 64 KiB.
//! Only the render shows how large a payload is. Until then its delivery holds as many slots as its webhook's recent
//! payloads needed, or one where nothing is known.
//!
//! An example with 1,024 slots: the payloads of webhook A have 300 KiB, five slots each; those of webhook B are small.
//!
//! ```text
//! step                                                                           │ A holds │ B holds │ free
//! ───────────────────────────────────────────────────────────────────────────────┼─────────┼─────────┼─────
//! 40 deliveries of A are claimed, their sizes unknown                            │      40 │         │  984
//! 16 of them are rendered, as many as one write holds at a guess of 512 KiB      │     104 │         │  920
//! the other 24 are rendered: A holds 40 × 5                                      │     200 │         │  824
//! A may take (824 − 200) / 2 = 312 more: 63 deliveries are claimed, 5 slots each │     515 │         │  509
//! A's receiver hangs; a claim takes half of the free slots, for B                │     515 │     255 │  254
//! B's receiver hangs, too; a claim takes half of the rest, for a third webhook   │     515 │     255 │  127
//! ```
//!
//! The invariant: held and free slots are together `in_flight_max`, and the held ones cover every payload in memory.
//! Payloads that turn out larger than their webhook's recent ones may overdraw the slots: then none is free, and
//! nothing is claimed until enough deliveries have ended. [`Slots::may_render`] and [`Slots::beyond_share`] keep the
//! excess small.
//!
//! A look at the queue that finds nothing costs more than a delivery. So the loop is told of a freed slot only where
//! something may wait for it: the module `waiting` knows what does.

use super::DispatchLimits;
use super::leases::Lease;
use super::shares::{Allowance, Holding, InFlight, Shares, claim_size, extra_slots};
use super::under_way::ClaimsUnderWay;
use super::waiting::{Awaited, Waiting};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::ports::Left;
use hookgraph_domain::time::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// All slots of a process.
pub(super) struct Slots {
    /// A permit for each slot. A delivery holds one permit; the further slots of a large payload are in `extra`.
    free: Arc<Semaphore>,
    in_flight_max: u32,
    /// The slots that large payloads hold beyond one each; they may exceed `in_flight_max`.
    extra: AtomicU32,
    /// The slots of all payloads that are in memory.
    rendered: AtomicU32,
    /// A permit for each slot that payloads under render may come to need.
    renders: Semaphore,
    freed: Notify,
    shares: Shares,
    waiting: Waiting,
    /// Whether the loop found no free slot.
    wants_slot: AtomicBool,
    /// The slots that claims under way may take.
    pending: AtomicU32,
    /// The claims that have room.
    pub(super) under_way: ClaimsUnderWay,
}

impl Slots {
    /// `in_flight_max` free slots.
    pub(super) fn of(in_flight_max: u32, shares: Shares) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(in_flight_max as usize)),
            in_flight_max,
            extra: AtomicU32::new(0),
            rendered: AtomicU32::new(0),
            renders: Semaphore::new(in_flight_max.max(1) as usize),
            freed: Notify::new(),
            shares,
            waiting: Waiting::default(),
            wants_slot: AtomicBool::new(false),
            pending: AtomicU32::new(0),
            under_way: ClaimsUnderWay::default(),
        })
    }

    /// Waits until the loop is told to look again: a slot was freed for which something may wait.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Tells the loop to look again.
    pub(super) fn look(&self) {
        self.freed.notify_one();
    }

    /// Room for a claim of the loop. Where there is none, the loop is told of the next slot that is freed.
    pub(super) fn room(self: &Arc<Self>, limits: &DispatchLimits, now: Timestamp) -> Option<Room> {
        self.room_at_once(limits, now).or_else(|| {
            self.wants_slot.store(true, Ordering::SeqCst);
            // A slot may have been freed just before.
            self.room_at_once(limits, now)
        })
    }

    /// Room for a claim, if any slot is free. Slots that other claims under way may take count as held by every
    /// webhook.
    pub(super) fn room_at_once(self: &Arc<Self>, limits: &DispatchLimits, now: Timestamp) -> Option<Room> {
        let freed_count = self.shares.freed_count();
        let free = self.free_count();
        let wanted = claim_size(free).min(limits.claim_batch_max);
        if wanted == 0 {
            return None;
        }
        let permits = Arc::clone(&self.free).try_acquire_many_owned(wanted).ok()?;
        let pending = self.pending.fetch_add(wanted, Ordering::SeqCst);
        let allowance = self.shares.allowance(free, pending, limits.in_flight_max, now);
        let number = self.waiting.begin();
        self.under_way.begin(number);
        let (permits, slots) = (Some(permits), Arc::clone(self));
        Some(Room { number, wanted, now, is_beside_others: pending > 0, allowance, permits, slots, freed_count })
    }

    fn free_count(&self) -> u32 {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        free.saturating_sub(self.extra.load(Ordering::SeqCst))
    }

    /// Whether the payload of the delivery in `slot` may be rendered. It may while the payloads in memory hold fewer
    /// slots than there are. Where its webhook's payloads turned out to be larger than the slot allows for, the
    /// webhook must hold no more than half of the slots besides: more of it was claimed than its payloads leave room
    /// for.
    ///
    /// A delivery that is claimed with the right size may always be rendered: otherwise it would be given back and
    /// claimed again, over and over.
    pub(super) fn may_render(&self, slot: &Slot, now: Timestamp) -> bool {
        if self.rendered.load(Ordering::SeqCst) >= self.in_flight_max {
            return false;
        }
        if self.extra.load(Ordering::SeqCst) == 0 {
            // The ordinary case, on the road of every delivery: no large payload is there, or expected.
            return true;
        }
        let Some(in_flight) = &slot.in_flight else { return true };
        let holdings = self.shares.holdings(&[in_flight.webhook_id()], now);
        holdings.iter().all(|held| held.extra_slots <= slot.extra || held.in_flight <= self.in_flight_max / 2)
    }

    /// Picks, newest first, the frozen deliveries that push their webhook over half of the slots. Their size was
    /// unknown at the claim.
    ///
    /// A webhook that is left with half gets no more slots: the picked deliveries are given back once, and not over
    /// and over.
    pub(super) fn beyond_share<'a>(
        &self,
        frozen: impl DoubleEndedIterator<Item = (DeliveryId, &'a Slot)>,
        now: Timestamp,
    ) -> HashSet<DeliveryId> {
        if self.extra.load(Ordering::SeqCst) == 0 {
            return HashSet::new();
        }
        let mut held: HashMap<WebhookId, u32> = HashMap::new();
        let goes_back = |(id, slot): (DeliveryId, &Slot)| {
            let webhook_id = slot.in_flight.as_ref()?.webhook_id();
            let of_webhook = || self.shares.holdings(&[webhook_id], now).first().map_or(0, |held| held.in_flight);
            let held = held.entry(webhook_id).or_insert_with(of_webhook);
            let without = held.saturating_sub(slot.extra.saturating_add(1));
            (slot.extra > 0 && without >= self.in_flight_max.div_ceil(2)).then(|| {
                *held = without;
                id
            })
        };
        frozen.rev().filter_map(goes_back).collect()
    }

    /// Waits until payloads may be rendered that are expected to take `slots`: payloads under render take no more
    /// slots than there are. With 0, for payloads that are known to be small, nothing waits.
    pub(super) async fn to_render(&self, slots: u32) -> Option<SemaphorePermit<'_>> {
        if slots == 0 {
            return None;
        }
        self.renders.acquire_many(slots.min(self.in_flight_max.max(1))).await.ok()
    }

    /// How many slots are free if the claims under way take none.
    fn free_at_most(&self) -> u32 {
        self.free_count().saturating_add(self.pending.load(Ordering::SeqCst))
    }

    /// Tells the loop of slots that a webhook freed, where something waits for them.
    fn tell_of_slots_of(&self, webhook_id: WebhookId) {
        if self.waiting.wants(webhook_id, self.free_at_most()) {
            self.look();
        }
        self.tell_loop_without_slot();
    }

    /// Tells the loop that a slot was freed and its delivery, or the next one in line, is due.
    fn tell_of_due_delivery(&self) {
        self.look();
        self.tell_loop_without_slot();
    }

    /// Tells the loop of a freed slot, if it found none before.
    fn tell_loop_without_slot(&self) {
        if self.wants_slot.swap(false, Ordering::SeqCst) {
            self.look();
        }
    }
}

/// The slots that a claim under way may take, and its bounds. The claim counts as under way until this is dropped.
pub(super) struct Room {
    /// The number of its claim.
    number: u64,
    /// The most deliveries of the claim.
    pub(super) wanted: u32,
    /// When the room was asked for.
    now: Timestamp,
    /// Whether other claims were under way, which may have taken less than they might.
    pub(super) is_beside_others: bool,
    pub(super) allowance: Allowance,
    permits: Option<OwnedSemaphorePermit>,
    slots: Arc<Slots>,
    /// How many slots had been freed before.
    freed_count: u64,
}

impl Room {
    /// Whether a webhook's rate let nothing through when the room was asked for.
    pub(super) fn lacks_tokens(&self, webhook_id: WebhookId) -> bool {
        self.slots.shares.holdings(&[webhook_id], self.now).iter().any(|held| held.lacks_tokens)
    }

    /// Learns which due deliveries the claim left, once its own deliveries hold their slots, and answers whether it
    /// is worth to claim again at once.
    pub(super) fn learn(&self, claims: &[ClaimedDelivery], left: Left) -> bool {
        if left.without_room.is_empty() {
            self.slots.waiting.learn(self.number, &Awaited::default());
            return left.has_more;
        }
        let is_full = claims.len() >= self.wanted as usize;
        let taken = self.allowance.taken(claims, &left.without_room);
        let holdings = self.slots.shares.holdings(&left.without_room, self.now);
        let awaits_any = is_full
            || left.has_others_without_room
            || self.is_beside_others
            || self.allowance.retries_are_reached_by(claims)
            // A webhook that holds no slot here will free none.
            || holdings.iter().any(|held| held.in_flight == 0 || held.lacks_tokens);
        // A webhook that took its whole share, which is no more than it leaves free, may take more once more slots
        // are free.
        let by_share = taken.iter().zip(&holdings).filter(|(taken, _)| taken.is_all());
        let awaited = Awaited {
            free_above: if awaits_any { Some(0) } else { by_share.map(|(_, held)| held.in_flight).min() },
            own: left.without_room,
        };
        self.slots.waiting.learn(self.number, &awaited);
        if self.was_freed_since(&awaited) {
            self.slots.look();
        }
        left.has_more || is_full || taken.iter().any(|taken| taken.count > 0 && taken.is_all())
    }

    /// Whether an awaited slot was freed after the claim had begun: the loop was not told of it.
    fn was_freed_since(&self, awaited: &Awaited) -> bool {
        let shares = &self.slots.shares;
        let was_freed = |held: &Holding| held.freed_at > self.freed_count;
        shares.freed_count() > self.freed_count
            && (awaited.free_above.is_some_and(|free| self.slots.free_at_most() > free)
                || shares.holdings(&awaited.own, self.now).iter().any(was_freed))
    }

    /// The slot of a claimed delivery.
    pub(super) fn slot(&mut self, in_flight: InFlight, lease: Lease) -> Slot {
        let extra = in_flight.extra_slots();
        self.slots.extra.fetch_add(extra, Ordering::SeqCst);
        Slot {
            permit: self.permits.as_mut().and_then(|permits| permits.split(1)),
            in_flight: Some(in_flight),
            extra,
            rendered: 0,
            lease,
            slots: Arc::clone(&self.slots),
            is_over: false,
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.slots.under_way.end(self.number);
        self.slots.pending.fetch_sub(self.wanted, Ordering::SeqCst);
        drop(self.permits.take());
        self.slots.tell_loop_without_slot();
    }
}

/// The slot of a delivery in flight, and the further slots of its payload. They are free again when it is dropped,
/// however the delivery's task ended.
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    /// Taken only when the slot is dropped.
    in_flight: Option<InFlight>,
    /// The slots that it holds beyond one.
    extra: u32,
    /// The slots of its payload, once that is in memory; 0 before.
    rendered: u32,
    /// The lease of its delivery.
    pub(super) lease: Lease,
    slots: Arc<Slots>,
    /// Whether its delivery has ended, and will not be due again by itself.
    is_over: bool,
}

impl Slot {
    /// Holds as many slots as its payload needs, which is in memory now and has this many bytes.
    pub(super) fn holds(&mut self, bytes: usize) {
        let extra = extra_slots(bytes);
        self.counts_as_rendered(extra.saturating_add(1));
        if extra == self.extra {
            return;
        }
        self.slots.extra.fetch_add(extra, Ordering::SeqCst);
        self.slots.extra.fetch_sub(self.extra, Ordering::SeqCst);
        let frees = extra < self.extra;
        self.extra = extra;
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.holds_extra(extra);
            let webhook_id = in_flight.webhook_id();
            if frees {
                self.slots.tell_of_slots_of(webhook_id);
            }
        }
    }

    /// Holds one slot alone from here on: its payload is not sent.
    pub(super) fn gives_back(&mut self) {
        self.slots.extra.fetch_sub(std::mem::take(&mut self.extra), Ordering::SeqCst);
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.holds_extra(0);
        }
    }

    fn counts_as_rendered(&mut self, slots: u32) {
        self.slots.rendered.fetch_add(slots, Ordering::SeqCst);
        self.slots.rendered.fetch_sub(self.rendered, Ordering::SeqCst);
        self.rendered = slots;
    }

    /// Frees the slot of a delivery that has ended.
    pub(super) fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let keeps_order = self.in_flight.as_ref().is_some_and(InFlight::keeps_order);
        let webhook_id = self.in_flight.as_ref().map(InFlight::webhook_id);
        self.lease.end();
        // A claim that looks in between counts the slot as held; the loop is told afterwards.
        drop(self.permit.take());
        self.slots.extra.fetch_sub(self.extra, Ordering::SeqCst);
        self.counts_as_rendered(0);
        drop(self.in_flight.take());
        match webhook_id {
            Some(webhook_id) if self.is_over && !keeps_order => self.slots.tell_of_slots_of(webhook_id),
            _ => self.slots.tell_of_due_delivery(),
        }
    }
}

#[cfg(test)]
mod tests;
