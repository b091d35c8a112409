//! The slots of a process: each delivery in flight holds one. Here is who holds them, who claims for them, and who is told when
//! one is freed. A look that finds nothing costs more than a delivery: where nothing waits, none is taken.

use super::DispatchLimits;
use super::flow::{Allowance, FlowControl, InFlight, claim_size};
use super::leases::Lease;
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ports::Left;
use hookgraph_domain::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// All slots of a process.
pub(super) struct Slots {
    free: Arc<Semaphore>,
    freed: Notify,
    /// How many were freed so far.
    freed_count: AtomicU64,
    /// Whether due work had no room.
    has_waiting: AtomicBool,
    /// Whether the loop found none free.
    wants_slot: AtomicBool,
    /// How many the claims under way may take.
    pending: AtomicU32,
}

impl Slots {
    /// So many.
    pub(super) fn of(in_flight_max: u32) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(in_flight_max as usize)),
            freed: Notify::new(),
            freed_count: AtomicU64::new(0),
            has_waiting: AtomicBool::new(false),
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
    pub(super) fn room(self: &Arc<Self>, flow: &FlowControl, limits: &DispatchLimits, now: Timestamp) -> Option<Room> {
        self.room_at_once(flow, limits, now).or_else(|| {
            self.wants_slot.store(true, Ordering::SeqCst);
            // One may have been freed just before.
            self.room_at_once(flow, limits, now)
        })
    }

    /// Room for a claim, if any slot is free. What another claim may take just now counts as taken of every webhook.
    pub(super) fn room_at_once(
        self: &Arc<Self>,
        flow: &FlowControl,
        limits: &DispatchLimits,
        now: Timestamp,
    ) -> Option<Room> {
        let freed_count = self.freed_count.load(Ordering::SeqCst);
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        let wanted = claim_size(free).min(limits.claim_batch_max);
        if wanted == 0 {
            return None;
        }
        let permits = Arc::clone(&self.free).try_acquire_many_owned(wanted).ok()?;
        let pending = self.pending.fetch_add(wanted, Ordering::SeqCst);
        let allowance = flow.allowance(free, pending, limits.in_flight_max, now);
        Some(Room { wanted, allowance, permits: Some(permits), slots: Arc::clone(self), freed_count })
    }

    fn was_freed(&self, is_waited_for: bool) {
        self.freed_count.fetch_add(1, Ordering::SeqCst);
        if is_waited_for || self.has_waiting.load(Ordering::SeqCst) {
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
    /// How many it may take altogether.
    pub(super) wanted: u32,
    pub(super) allowance: Allowance,
    permits: Option<OwnedSemaphorePermit>,
    slots: Arc<Slots>,
    /// How many slots had been freed before it.
    freed_count: u64,
}

impl Room {
    /// Learns what the claim left, and says whether it is worth to claim again at once.
    pub(super) fn learn(&self, claims: &[ClaimedDelivery], left: Left) -> bool {
        let had_no_room = left == Left::NoRoom;
        self.slots.has_waiting.store(had_no_room, Ordering::SeqCst);
        if had_no_room && self.slots.freed_count.load(Ordering::SeqCst) != self.freed_count {
            self.slots.look();
        }
        match left {
            Left::Nothing => false,
            Left::NoRoom => claims.len() >= self.wanted as usize || self.allowance.is_reached_by(claims),
            Left::More => true,
        }
    }

    /// A slot for one of its deliveries.
    pub(super) fn slot(&mut self, in_flight: InFlight, lease: Lease) -> Slot {
        Slot {
            permit: self.permits.as_mut().and_then(|permits| permits.split(1)),
            in_flight: Some(in_flight),
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
    lease: Option<Lease>,
    slots: Arc<Slots>,
    /// Whether its delivery has ended: of itself it will not be due again.
    is_over: bool,
}

impl Slot {
    /// Frees the slot of a delivery that has ended.
    pub(super) fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let keeps_order = self.in_flight.as_ref().is_some_and(InFlight::keeps_order);
        drop(self.lease.take());
        drop(self.in_flight.take());
        drop(self.permit.take());
        self.slots.was_freed(!self.is_over || keeps_order);
    }
}

#[cfg(test)]
mod tests {
    use super::super::leases::Leases;
    use super::super::tests::{due, noon, with_webhook};
    use super::*;
    use futures::FutureExt;

    /// The slots of a process, and its flow control.
    struct Bench {
        slots: Arc<Slots>,
        flow: FlowControl,
        leases: Leases,
        limits: DispatchLimits,
    }

    impl Bench {
        fn of(in_flight_max: u32) -> Self {
            let limits = DispatchLimits { in_flight_max, ..DispatchLimits::default() };
            Self { slots: Slots::of(in_flight_max), flow: FlowControl::default(), leases: Leases::default(), limits }
        }

        fn room(&self) -> Option<Room> {
            self.slots.room(&self.flow, &self.limits, noon())
        }

        fn slot(&self, room: &mut Room, claim: &ClaimedDelivery) -> Slot {
            room.slot(self.flow.enter(claim), self.leases.keep(claim))
        }

        fn is_told(&self) -> bool {
            self.slots.freed().now_or_never().is_some()
        }
    }

    #[test]
    fn the_end_of_a_delivery_is_told_where_something_had_no_room() {
        let bench = Bench::of(100);
        for (left, is_told) in [(Left::Nothing, false), (Left::NoRoom, true), (Left::Nothing, false)] {
            let mut room = bench.room().expect("room");
            let slot = bench.slot(&mut room, &due(1, 1, "200"));
            assert!(!room.learn(&[due(1, 1, "200")], left));
            drop(room);
            slot.over();
            assert_eq!(bench.is_told(), is_told, "{left:?}");
        }
    }

    #[test]
    fn what_is_due_again_and_what_keeps_order_is_told_always() {
        let bench = Bench::of(100);
        let mut room = bench.room().expect("room");
        let interrupted = bench.slot(&mut room, &due(1, 1, "200"));
        let ordered = with_webhook(due(2, 2, "200"), |webhook| {
            webhook.flow.ordering = hookgraph_domain::flow::Ordering::ByRecord;
        });
        let in_line = bench.slot(&mut room, &ordered);
        drop(room);
        drop(interrupted);
        assert!(bench.is_told());
        in_line.over();
        assert!(bench.is_told());
    }

    #[test]
    fn a_slot_that_was_freed_while_the_claim_ran_is_told_afterwards() {
        let bench = Bench::of(100);
        let mut first = bench.room().expect("room");
        let slot = bench.slot(&mut first, &due(1, 1, "200"));
        drop(first);
        let second = bench.room().expect("room");
        slot.over();
        assert!(!bench.is_told());
        second.learn(&[], Left::NoRoom);
        assert!(bench.is_told());
    }

    #[test]
    fn whoever_found_no_slot_is_told_of_the_next_however_it_comes_back() {
        let bench = Bench::of(1);
        let mut room = bench.room().expect("room");
        assert!(bench.room().is_none());
        let slot = bench.slot(&mut room, &due(1, 1, "200"));
        room.learn(&[due(1, 1, "200")], Left::Nothing);
        drop(room);
        assert!(bench.is_told() && bench.room().is_none(), "the claim kept it");
        slot.over();
        assert!(bench.is_told(), "nothing is left, but the loop waits");
        let room = bench.room().expect("room");
        assert!(bench.room().is_none());
        drop(room);
        assert!(bench.is_told(), "the claim took nothing");
    }

    #[test]
    fn what_a_claim_under_way_may_take_counts_as_taken_of_every_webhook() {
        let bench = Bench::of(100);
        let first = bench.room().expect("room");
        assert_eq!((first.wanted, first.allowance.per_webhook), (50, 50));
        let beside = bench.room().expect("room");
        // 50 are free, and any webhook may come to hold 50.
        assert_eq!((beside.wanted, beside.allowance.per_webhook), (25, 0));
        drop((first, beside));
        assert_eq!(bench.room().map(|room| room.allowance.per_webhook), Some(50), "nothing stays counted");
    }

    #[test]
    fn it_is_worth_to_claim_again_where_a_claim_was_filled_or_others_made_way() {
        let bench = Bench::of(4);
        let room = bench.room().expect("room");
        let claims = [due(1, 1, "200"), due(2, 2, "200")];
        assert_eq!(room.wanted, 2);
        assert!(room.learn(&claims, Left::NoRoom) && !room.learn(&claims[..1], Left::NoRoom));
        assert!(!room.learn(&claims, Left::Nothing) && room.learn(&[], Left::More));
    }
}
