//! The slots of a process: each delivery in flight holds one. Here is who holds them, who claims for them, and who is told when
//! one is freed. A look that finds nothing costs more than a delivery: where nothing waits, none is taken.

use super::DispatchLimits;
use super::flow::{Allowance, FlowControl, Holding, InFlight, claim_size};
use super::leases::Lease;
use super::waiting::{Awaited, Waiting};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::ports::Left;
use hookgraph_domain::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// All slots of a process.
pub(super) struct Slots {
    free: Arc<Semaphore>,
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
        u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX)
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
        let has_waiting = !left.without_room.is_empty();
        let is_full = has_waiting && claims.len() >= self.wanted as usize;
        let shares = self.allowance.shares(claims, &left.without_room);
        let holdings = self.slots.flow.holdings(&left.without_room, self.now);
        let awaits_any = is_full
            || left.has_others_without_room
            || has_waiting && (self.is_beside_others || self.allowance.retries_are_reached_by(claims))
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
        let webhook_id = self.in_flight.as_ref().map(InFlight::webhook_id);
        drop(self.lease.take());
        // Whoever looks in between counts it as held, and is told afterwards.
        drop(self.permit.take());
        drop(self.in_flight.take());
        self.slots.was_freed(webhook_id, !self.is_over || keeps_order);
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
            let flow = FlowControl::default();
            Self { slots: Slots::of(in_flight_max, flow.clone()), flow, leases: Leases::default(), limits }
        }

        fn room(&self) -> Option<Room> {
            self.slots.room(&self.limits, noon())
        }

        fn slot(&self, room: &mut Room, claim: &ClaimedDelivery) -> Slot {
            room.slot(self.flow.enter(claim), self.leases.keep(claim))
        }

        /// A slot that is held by a delivery of that webhook.
        fn held(&self, number: u128, webhook: u128) -> Slot {
            let mut room = self.room().expect("room");
            self.slot(&mut room, &due(number, webhook, "200"))
        }

        fn is_told(&self) -> bool {
            self.slots.freed().now_or_never().is_some()
        }
    }

    fn nothing() -> Left {
        Left::default()
    }

    fn without_room(webhooks: &[u128]) -> Left {
        let ids = webhooks.iter().map(|number| due(0, *number, "200").delivery.webhook_id);
        Left { without_room: ids.collect(), ..Left::default() }
    }

    #[test]
    fn the_end_of_a_delivery_is_told_where_something_had_no_room() {
        let bench = Bench::of(100);
        for (left, is_told) in [(nothing(), false), (without_room(&[1]), true), (nothing(), false)] {
            let mut room = bench.room().expect("room");
            let slot = bench.slot(&mut room, &due(1, 1, "200"));
            assert!(!room.learn(&[due(1, 1, "200")], left.clone()));
            drop(room);
            slot.over();
            assert_eq!(bench.is_told(), is_told, "{left:?}");
        }
    }

    #[test]
    fn the_end_of_another_webhook_is_no_news_to_one_that_holds_slots() {
        let bench = Bench::of(100);
        let (first, second, other) = (bench.held(1, 1), bench.held(2, 1), bench.held(3, 2));
        bench.room().expect("room").learn(&[], without_room(&[1]));
        other.over();
        assert!(!bench.is_told());
        first.over();
        assert!(bench.is_told());
        drop(second);
    }

    #[test]
    fn any_end_is_told_where_a_webhook_without_room_holds_no_slot() {
        let bench = Bench::of(100);
        let other = bench.held(1, 2);
        bench.room().expect("room").learn(&[], without_room(&[1]));
        other.over();
        assert!(bench.is_told());
    }

    #[test]
    fn any_end_is_told_where_the_claim_itself_was_full() {
        let bench = Bench::of(4);
        let (own, other) = (bench.held(1, 1), bench.held(2, 2));
        let room = bench.room().expect("room");
        assert_eq!(room.wanted, 1);
        room.learn(&[due(3, 1, "200")], without_room(&[1]));
        drop(room);
        other.over();
        assert!(bench.is_told());
        drop(own);
    }

    #[test]
    fn any_end_is_told_where_more_webhooks_wait_than_were_named() {
        let bench = Bench::of(100);
        let (own, other) = (bench.held(1, 1), bench.held(2, 2));
        let left = Left { has_others_without_room: true, ..without_room(&[1]) };
        bench.room().expect("room").learn(&[], left);
        other.over();
        assert!(bench.is_told());
        drop(own);
    }

    #[test]
    fn a_webhook_that_holds_as_much_as_it_leaves_free_waits_until_more_is_free() {
        let bench = Bench::of(8);
        let own: Vec<_> = (0..3).map(|number| bench.held(number, 1)).collect();
        let mut others: Vec<_> = (10..13).map(|number| bench.held(number, 2)).collect();
        let room = bench.room().expect("room");
        assert_eq!(room.allowance.limits, [1, 2].map(|number| (due(0, number, "200").delivery.webhook_id, 0)));
        room.learn(&[], without_room(&[1]));
        drop(room);
        // It holds 3, and 3 are free.
        others.pop().expect("a slot").over();
        assert!(!bench.is_told());
        others.pop().expect("a slot").over();
        assert!(bench.is_told(), "4 are free");
        drop((own, others));
    }

    #[test]
    fn what_was_freed_while_the_claim_ran_counts_with_what_the_claim_gives_back() {
        let bench = Bench::of(8);
        let own: Vec<_> = (0..3).map(|number| bench.held(number, 1)).collect();
        let others: Vec<_> = (10..12).map(|number| bench.held(number, 2)).collect();
        let room = bench.room().expect("room");
        assert_eq!((room.wanted, room.allowance.of(due(0, 1, "200").delivery.webhook_id)), (2, 0));
        others.into_iter().for_each(Slot::over);
        room.learn(&[], without_room(&[1]));
        assert!(bench.is_told(), "5 will be free, and it holds 3");
        drop((own, room));
    }

    #[test]
    fn any_end_is_told_where_a_webhook_waits_for_a_token() {
        let bench = Bench::of(100);
        let limited = with_webhook(due(1, 1, "200"), |webhook| webhook.flow.rate_per_second = Some(1));
        assert_eq!(bench.flow.take_token(&limited, noon()), Ok(()));
        let (own, other) = (bench.held(1, 1), bench.held(2, 2));
        let room = bench.room().expect("room");
        assert!(room.lacks_tokens(limited.webhook.id) && !room.lacks_tokens(due(2, 2, "200").webhook.id));
        room.learn(&[], without_room(&[1]));
        other.over();
        assert!(bench.is_told());
        drop(own);
    }

    #[test]
    fn any_end_is_told_where_retries_took_all_that_they_may() {
        let bench = Bench::of(4);
        let retried = |number| {
            let mut claim = due(number, 1, "200");
            claim.delivery.attempts_spent = 1;
            claim
        };
        let mut room = bench.room().expect("room");
        let held = [bench.slot(&mut room, &retried(1)), bench.slot(&mut room, &retried(2))];
        drop(room);
        let other = bench.held(3, 2);
        let room = bench.room().expect("room");
        assert_eq!(room.allowance.retries_max, 1);
        room.learn(&[], without_room(&[1]));
        drop(room);
        other.over();
        assert!(!bench.is_told(), "there is room for one");
        let (other, room) = (bench.held(4, 2), bench.room().expect("room"));
        room.learn(&[retried(5)], without_room(&[1]));
        drop(room);
        other.over();
        assert!(bench.is_told());
        drop(held);
    }

    #[test]
    fn any_end_is_told_where_claims_under_way_narrowed_the_share() {
        let bench = Bench::of(100);
        let (own, other) = (bench.held(1, 1), bench.held(2, 2));
        let (under_way, beside) = (bench.room().expect("room"), bench.room().expect("room"));
        beside.learn(&[], without_room(&[1]));
        drop((under_way, beside));
        other.over();
        assert!(bench.is_told());
        drop(own);
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
        // Of the webhook that waits, of another, and of another where the one that waits holds none.
        for (holds, freed, is_told) in [(1, 1, true), (1, 2, false), (0, 2, true)] {
            let bench = Bench::of(100);
            let held: Vec<_> = (0..holds).map(|number| bench.held(number, 1)).collect();
            let slot = bench.held(10, freed);
            let room = bench.room().expect("room");
            slot.over();
            assert!(!bench.is_told());
            room.learn(&[], without_room(&[1]));
            assert_eq!(bench.is_told(), is_told, "{holds} held, one of {freed} freed");
            drop(held);
        }
    }

    #[test]
    fn whoever_found_no_slot_is_told_of_the_next_however_it_comes_back() {
        let bench = Bench::of(1);
        let mut room = bench.room().expect("room");
        assert!(bench.room().is_none());
        let slot = bench.slot(&mut room, &due(1, 1, "200"));
        room.learn(&[due(1, 1, "200")], nothing());
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
        let is_worth_it = |room: &Room, claims: &[ClaimedDelivery], left| room.learn(claims, left);
        assert!(
            is_worth_it(&room, &claims, without_room(&[3])) && !is_worth_it(&room, &claims[..1], without_room(&[1]))
        );
        assert!(!is_worth_it(&room, &claims, nothing()));
        assert!(is_worth_it(&room, &[], Left { has_more: true, ..nothing() }));
        drop(room);
        let narrow = Bench::of(8);
        let held = [1, 2, 3].map(|number| narrow.held(number, 1));
        let room = narrow.room().expect("room");
        assert_eq!((room.wanted, &room.allowance.limits), (3, &vec![(claims[0].delivery.webhook_id, 1)]));
        assert!(is_worth_it(&room, &claims[..1], without_room(&[1])), "it took its share of that webhook");
        assert!(!is_worth_it(&room, &claims[..1], without_room(&[2])), "of that one it could have taken more");
        drop((room, held));
    }
}
