//! The slots of a process: each delivery in flight holds one. Here is who holds them, who claims for them, and who is told when
//! one is freed. A look that finds nothing costs more than a delivery: where nothing waits, none is taken.

use super::DispatchLimits;
use super::flow::{Allowance, FlowControl, Holding, InFlight, claim_size, extra_slots};
use super::leases::Lease;
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
    free: Arc<Semaphore>,
    in_flight_max: u32,
    /// How many large payloads hold besides; they may be more than there are.
    extra: AtomicU32,
    /// How many of all are held by payloads that are there.
    rendered: AtomicU32,
    /// How many the payloads that are being rendered may take.
    renders: Semaphore,
    freed: Notify,
    flow: FlowControl,
    /// The due work that had no room.
    waiting: Waiting,
    /// Whether the loop found none free.
    wants_slot: AtomicBool,
    /// How many the claims under way may take.
    pending: AtomicU32,
}

impl Slots {
    /// So many, under that flow control.
    pub(super) fn of(in_flight_max: u32, flow: FlowControl) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(in_flight_max as usize)),
            in_flight_max,
            extra: AtomicU32::new(0),
            rendered: AtomicU32::new(0),
            renders: Semaphore::new(in_flight_max.max(1) as usize),
            freed: Notify::new(),
            flow,
            waiting: Waiting::default(),
            wants_slot: AtomicBool::new(false),
            pending: AtomicU32::new(0),
        })
    }

    /// Waits until one is freed that something may wait for.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Has the loop look again.
    pub(super) fn look(&self) {
        self.freed.notify_one();
    }

    /// Room for a claim of the loop. Where there is none, the next slot that is freed is waited for.
    pub(super) fn room(self: &Arc<Self>, limits: &DispatchLimits, now: Timestamp) -> Option<Room> {
        self.room_at_once(limits, now).or_else(|| {
            self.wants_slot.store(true, Ordering::SeqCst);
            // One may have been freed just before.
            self.room_at_once(limits, now)
        })
    }

    /// Room for a claim, if any slot is free. What another claim may take just now counts as taken of every webhook.
    pub(super) fn room_at_once(self: &Arc<Self>, limits: &DispatchLimits, now: Timestamp) -> Option<Room> {
        let freed_count = self.flow.freed_count();
        let free = self.free_count();
        let wanted = claim_size(free).min(limits.claim_batch_max);
        if wanted == 0 {
            return None;
        }
        let permits = Arc::clone(&self.free).try_acquire_many_owned(wanted).ok()?;
        let pending = self.pending.fetch_add(wanted, Ordering::SeqCst);
        let allowance = self.flow.allowance(free, pending, limits.in_flight_max, now);
        let number = self.waiting.begin();
        let (permits, slots) = (Some(permits), Arc::clone(self));
        Some(Room { number, wanted, now, is_beside_others: pending > 0, allowance, permits, slots, freed_count })
    }

    fn free_count(&self) -> u32 {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        free.saturating_sub(self.extra.load(Ordering::SeqCst))
    }

    /// Whether the payload of what has that slot may be rendered: while those that are there hold fewer slots than there are. Where
    /// its webhook's payloads turned out to be larger than it holds slots for, only while those hold no more than half: more was
    /// claimed of it than would have been.
    ///
    /// What is claimed as things stand may be rendered: else it would be given back and claimed again, over and over.
    pub(super) fn may_render(&self, slot: &Slot, now: Timestamp) -> bool {
        if self.rendered.load(Ordering::SeqCst) >= self.in_flight_max {
            return false;
        }
        if self.extra.load(Ordering::SeqCst) == 0 {
            // No large payload is there, or expected: the ordinary case, on the road of every delivery.
            return true;
        }
        let Some(in_flight) = &slot.in_flight else { return true };
        let holdings = self.flow.holdings(&[in_flight.webhook_id()], now);
        holdings.iter().all(|held| held.extra_slots <= slot.extra || held.in_flight <= self.in_flight_max / 2)
    }

    /// Which of those, whose payloads were frozen before they were claimed, go back: the last ones, by which their webhook holds more
    /// than half of the slots, since nothing had told that it has large ones.
    ///
    /// One that is left with half gets nothing more: what goes back is not claimed over and over.
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
            let of_webhook = || self.flow.holdings(&[webhook_id], now).first().map_or(0, |held| held.in_flight);
            let held = held.entry(webhook_id).or_insert_with(of_webhook);
            let without = held.saturating_sub(slot.extra.saturating_add(1));
            (slot.extra > 0 && without >= self.in_flight_max.div_ceil(2)).then(|| {
                *held = without;
                id
            })
        };
        frozen.rev().filter_map(goes_back).collect()
    }

    /// Waits until payloads may be rendered that take so many slots: what is being rendered takes no more than there are. Those that
    /// are known to be small wait for nobody.
    pub(super) async fn to_render(&self, slots: u32) -> Option<SemaphorePermit<'_>> {
        if slots == 0 {
            return None;
        }

        self.renders.acquire_many(slots.min(self.in_flight_max.max(1))).await.ok()
    }

    /// How many are free where the claims under way take nothing.
    fn free_at_most(&self) -> u32 {
        self.free_count().saturating_add(self.pending.load(Ordering::SeqCst))
    }

    fn was_freed(&self, webhook_id: Option<WebhookId>, is_waited_for: bool) {
        if is_waited_for || webhook_id.is_none_or(|id| self.waiting.wants(id, self.free_at_most())) {
            self.look();
        }
        self.are_back();
    }

    /// Tells the loop that waits for a slot.
    fn are_back(&self) {
        if self.wants_slot.swap(false, Ordering::SeqCst) {
            self.look();
        }
    }
}

/// The slots of a claim that is under way, and what it may take of each webhook.
pub(super) struct Room {
    /// The number of its claim.
    number: u64,
    /// How many it may take altogether.
    pub(super) wanted: u32,
    /// When it was asked for.
    now: Timestamp,
    /// Whether other claims were under way, which may have taken less than they might.
    pub(super) is_beside_others: bool,
    pub(super) allowance: Allowance,
    permits: Option<OwnedSemaphorePermit>,
    slots: Arc<Slots>,
    /// How many slots had been freed before it.
    freed_count: u64,
}

impl Room {
    /// Whether a webhook's rate let nothing through when this was asked for.
    pub(super) fn lacks_tokens(&self, webhook_id: WebhookId) -> bool {
        self.slots.flow.holdings(&[webhook_id], self.now).iter().any(|held| held.lacks_tokens)
    }

    /// Learns what the claim left, once what it took holds its slots, and says whether it is worth to claim again at once.
    pub(super) fn learn(&self, claims: &[ClaimedDelivery], left: Left) -> bool {
        if left.without_room.is_empty() {
            self.slots.waiting.learn(self.number, &Awaited::default());
            return left.has_more;
        }
        let is_full = claims.len() >= self.wanted as usize;
        let shares = self.allowance.shares(claims, &left.without_room);
        let holdings = self.slots.flow.holdings(&left.without_room, self.now);
        let awaits_any = is_full
            || left.has_others_without_room
            || self.is_beside_others
            || self.allowance.retries_are_reached_by(claims)
            // Of a webhook that holds no slot here none will be freed.
            || holdings.iter().any(|held| held.in_flight == 0 || held.lacks_tokens);
        // Who may take no more than it leaves free may take more once more is free.
        let by_share = shares.iter().zip(&holdings).filter(|(share, _)| share.is_taken());
        let awaited = Awaited {
            free_above: if awaits_any { Some(0) } else { by_share.map(|(_, held)| held.in_flight).min() },
            own: left.without_room,
        };
        self.slots.waiting.learn(self.number, &awaited);
        if self.was_freed_since(&awaited) {
            self.slots.look();
        }
        left.has_more || is_full || shares.iter().any(|share| share.count > 0 && share.is_taken())
    }

    /// Whether a slot that is waited for was freed after the claim had begun: it was told to nobody.
    fn was_freed_since(&self, awaited: &Awaited) -> bool {
        let flow = &self.slots.flow;
        let was_freed = |held: &Holding| held.freed_at > self.freed_count;
        flow.freed_count() > self.freed_count
            && (awaited.free_above.is_some_and(|free| self.slots.free_at_most() > free)
                || flow.holdings(&awaited.own, self.now).iter().any(was_freed))
    }

    /// A slot for one of its deliveries.
    pub(super) fn slot(&mut self, in_flight: InFlight, lease: Lease) -> Slot {
        let extra = in_flight.extra_slots();
        self.slots.extra.fetch_add(extra, Ordering::SeqCst);
        Slot {
            permit: self.permits.as_mut().and_then(|permits| permits.split(1)),
            in_flight: Some(in_flight),
            extra,
            rendered: 0,
            lease: Some(lease),
            slots: Arc::clone(&self.slots),
            is_over: false,
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.slots.pending.fetch_sub(self.wanted, Ordering::SeqCst);
        drop(self.permits.take());
        self.slots.are_back();
    }
}

/// A place among those in flight, free again when dropped, however its task ended.
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    in_flight: Option<InFlight>,
    /// How many it holds besides.
    extra: u32,
    /// How many it holds altogether since its payload is there.
    rendered: u32,
    lease: Option<Lease>,
    slots: Arc<Slots>,
    /// Whether its delivery has ended: of itself it will not be due again.
    is_over: bool,
}

impl Slot {
    /// Holds as many as its payload takes, which is there now and has so many bytes.
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
                self.slots.was_freed(Some(webhook_id), false);
            }
        }
    }

    /// Holds one alone from here on: its payload is not sent.
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
        drop(self.lease.take());
        // Whoever looks in between counts it as held, and is told afterwards.
        drop(self.permit.take());
        self.slots.extra.fetch_sub(self.extra, Ordering::SeqCst);
        self.counts_as_rendered(0);
        drop(self.in_flight.take());
        self.slots.was_freed(webhook_id, !self.is_over || keeps_order);
    }
}

#[cfg(test)]
mod tests;
