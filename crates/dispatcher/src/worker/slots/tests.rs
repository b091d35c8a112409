//! Which freed slots the loop is told of, and how large payloads take their slots.

use super::super::leases::Leases;
use super::super::tests::{due, noon, payload, with_webhook};
use super::*;
use crate::limits::SLOT_BYTES;
use futures::FutureExt;

/// The slots of a process, and the shares of its webhooks.
struct Bench {
    slots: Arc<Slots>,
    shares: Shares,
    leases: Leases,
    limits: DispatchLimits,
}

impl Bench {
    fn of(in_flight_max: u32) -> Self {
        let limits = DispatchLimits { in_flight_max, ..DispatchLimits::default() };
        let shares = Shares::default();
        Self { slots: Slots::of(in_flight_max, shares.clone()), shares, leases: Leases::default(), limits }
    }

    fn room(&self) -> Option<Room> {
        self.slots.room(&self.limits, noon())
    }

    fn slot(&self, room: &mut Room, claim: &ClaimedDelivery) -> Slot {
        room.slot(self.shares.enter(claim, noon()), self.leases.keep(claim))
    }

    /// The slot of a delivery of `webhook`.
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
fn the_loop_is_told_of_a_freed_slot_where_a_delivery_had_no_room() {
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
fn a_webhook_that_holds_slots_waits_for_no_slot_of_another() {
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
fn any_freed_slot_is_told_where_a_webhook_without_room_holds_none() {
    let bench = Bench::of(100);
    let other = bench.held(1, 2);
    bench.room().expect("room").learn(&[], without_room(&[1]));
    other.over();
    assert!(bench.is_told());
}

#[test]
fn any_freed_slot_is_told_where_the_claim_itself_was_full() {
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
fn any_freed_slot_is_told_where_more_webhooks_wait_than_were_named() {
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
    // The webhook holds 3 slots, and 3 are free.
    others.pop().expect("a slot").over();
    assert!(!bench.is_told());
    others.pop().expect("a slot").over();
    assert!(bench.is_told(), "4 are free");
    drop((own, others));
}

#[test]
fn slots_freed_while_the_claim_ran_count_together_with_those_that_it_gives_back() {
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
fn any_freed_slot_is_told_where_a_webhook_waits_for_a_token() {
    let bench = Bench::of(100);
    let limited = with_webhook(due(1, 1, "200"), |webhook| webhook.flow.rate_per_second = Some(1));
    assert_eq!(bench.shares.take_token(&limited, noon()), Ok(()));
    let (own, other) = (bench.held(1, 1), bench.held(2, 2));
    let room = bench.room().expect("room");
    assert!(room.lacks_tokens(limited.webhook.id) && !room.lacks_tokens(due(2, 2, "200").webhook.id));
    room.learn(&[], without_room(&[1]));
    other.over();
    assert!(bench.is_told());
    drop(own);
}

#[test]
fn any_freed_slot_is_told_where_retries_took_all_that_they_may() {
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
fn any_freed_slot_is_told_where_claims_under_way_narrowed_the_share() {
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
fn a_freed_slot_is_always_told_where_its_delivery_or_the_next_in_line_is_due() {
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
    // The slot is freed by the webhook that waits; by another; and by another while the one that waits holds none.
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
fn a_loop_that_found_no_slot_is_told_of_the_next_one_however_it_comes_back() {
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
fn slots_that_a_claim_under_way_may_take_count_as_held_by_every_webhook() {
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
fn a_claim_that_was_filled_or_passed_others_over_is_worth_another() {
    let bench = Bench::of(4);
    let room = bench.room().expect("room");
    let claims = [due(1, 1, "200"), due(2, 2, "200")];
    assert_eq!(room.wanted, 2);
    let is_worth_it = |room: &Room, claims: &[ClaimedDelivery], left| room.learn(claims, left);
    assert!(is_worth_it(&room, &claims, without_room(&[3])) && !is_worth_it(&room, &claims[..1], without_room(&[1])));
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

#[test]
fn large_payloads_hold_several_slots_and_overdraw_them() {
    let bench = Bench::of(8);
    let (mut first, mut second) = (bench.held(1, 1), bench.held(2, 2));
    assert_eq!(bench.slots.free_count(), 6);
    first.holds(3 * SLOT_BYTES);
    assert_eq!(bench.slots.free_count(), 4);
    first.holds(SLOT_BYTES);
    assert_eq!(bench.slots.free_count(), 6);
    first.holds(2 * SLOT_BYTES);
    second.holds(16 * SLOT_BYTES);
    assert_eq!(bench.slots.free_count(), 0);
    assert!(bench.room().is_none(), "nothing is claimed before they are made up for");
    first.over();
    assert!(bench.is_told() && bench.room().is_none());
    second.over();
    assert!(bench.is_told());
    assert_eq!(bench.slots.free_count(), 8);
}

#[test]
fn a_payload_may_be_rendered_unless_payloads_in_memory_hold_all_slots() {
    let bench = Bench::of(16);
    let may_render = |slot: &Slot| bench.slots.may_render(slot, noon());
    let large = due(1, 1, "200").webhook.id;
    let mut first: Vec<_> = (0..4).map(|number| bench.held(number, 1)).collect();
    let small = bench.held(9, 2);
    assert!(first.iter().all(may_render) && may_render(&small));
    bench.shares.rendered([(large, 6 * SLOT_BYTES)].into_iter(), noon());
    first[0].holds(6 * SLOT_BYTES);
    assert!(!may_render(&first[1]), "nine of sixteen, and more was claimed than would have been");
    assert!(may_render(&small));
    first.truncate(1);
    let mut known = bench.held(5, 1);
    assert_eq!(bench.slots.free_count(), 3, "it holds six from the beginning");
    assert!(may_render(&known));
    known.holds(16 * SLOT_BYTES);
    assert!(!may_render(&small) && bench.room().is_none());
    drop((first, known));
    assert!(may_render(&small));
    drop(small);
    assert_eq!((bench.slots.free_count(), bench.slots.rendered.load(Ordering::SeqCst)), (16, 0));
}

/// A delivery that is claimed with the right size is never given back at once, however many slots are free.
#[test]
fn a_delivery_that_a_claim_may_take_may_be_rendered() {
    for in_flight_max in [1, 2, 3, 16, 40] {
        let bench = Bench::of(in_flight_max);
        let webhooks = [due(0, 1, "200"), due(0, 2, "200"), due(0, 3, "200")].map(|claim| claim.webhook.id);
        let sizes = [1, 5 * SLOT_BYTES, 16 * SLOT_BYTES];
        bench.shares.rendered(webhooks.into_iter().zip(sizes), noon());
        let mut held = Vec::new();
        while let Some(mut room) = bench.room() {
            let of = |webhook: &WebhookId| room.allowance.of(*webhook) > 0;
            // Each webhook may hold as many slots as it leaves free.
            let Some(place) = webhooks.iter().rposition(of) else { break };
            let mut slot = bench.slot(&mut room, &due(held.len() as u128, place as u128 + 1, "200"));
            drop(room);
            assert!(bench.slots.may_render(&slot, noon()), "{in_flight_max}");
            slot.holds(sizes[place]);
            held.push(slot);
        }
        assert!(held.len() >= 1.max(in_flight_max as usize / 32), "{in_flight_max}: {}", held.len());
    }
}

#[test]
fn slots_that_a_payload_does_not_need_are_told_as_free() {
    let bench = Bench::of(8);
    bench.shares.rendered([(due(1, 1, "200").webhook.id, 16 * SLOT_BYTES)].into_iter(), noon());
    let mut slot = bench.held(1, 1);
    assert!(bench.room().is_none(), "it holds as many as the last payload needed");
    slot.holds(1);
    assert!(bench.is_told() && bench.room().is_some());
    drop(slot);
}

/// After a restart nothing tells how large frozen payloads are: a receiver that hangs would hold every slot.
#[test]
fn frozen_payloads_by_which_a_webhook_holds_more_than_half_go_back() {
    let bench = Bench::of(64);
    let small = bench.held(11, 2);
    let frozen = |number| {
        let mut claim = due(number, 1, "200");
        claim.payload = Some(payload(&"x".repeat(8 * SLOT_BYTES)));
        claim
    };
    let mut room = bench.room().expect("room");
    let slots: Vec<_> =
        (0..10).map(|number| (frozen(number).delivery.id, bench.slot(&mut room, &frozen(number)))).collect();
    drop(room);
    let beyond = || {
        let found = bench.slots.beyond_share(slots.iter().map(|(id, slot)| (*id, slot)), noon());
        slots.iter().filter(|(id, _)| found.contains(id)).count()
    };
    assert_eq!(beyond(), 6, "four hold 32");
    assert_eq!(bench.slots.beyond_share([(due(11, 2, "200").delivery.id, &small)].into_iter(), noon()), HashSet::new());
}

#[tokio::test]
async fn payloads_under_render_take_no_more_slots_than_there_are() {
    let bench = Bench::of(16);
    let first = bench.slots.to_render(u32::MAX).await;
    assert!(bench.slots.to_render(1).now_or_never().is_none());
    drop(first);
    let (half, other) = (bench.slots.to_render(8).await, bench.slots.to_render(8).await);
    assert!(half.is_some() && other.is_some());
}

/// The table in the `//!` of the module, row by row.
#[test]
fn the_worked_example_is_true() {
    let bench = Bench::of(1_024);
    let bytes = 300 * 1024;
    let [a, b, c] = [1, 2, 3].map(|webhook| due(0, webhook, "200").webhook.id);
    let stand = || {
        let held = bench.shares.holdings(&[a, b], noon());
        (held[0].in_flight, held[1].in_flight, bench.slots.free_count())
    };
    let claims: Vec<_> = (0..40).map(|number| due(number, 1, "200")).collect();
    let mut room = bench.room().expect("room");
    let mut held: Vec<_> = claims.iter().map(|claim| bench.slot(&mut room, claim)).collect();
    drop(room);
    assert_eq!(stand(), (40, 0, 984));
    let mut rest = 0..claims.len();
    for (count, stands) in [(16, (104, 0, 920)), (24, (200, 0, 824))] {
        assert_eq!(bench.shares.render_portion(&claims[rest.clone()]).0, count);
        let portion = rest.start..rest.start + count;
        assert!(held[portion.clone()].iter().all(|slot| bench.slots.may_render(slot, noon())));
        bench.shares.rendered(portion.clone().map(|_| (a, bytes)), noon());
        held[portion].iter_mut().for_each(|slot| slot.holds(bytes));
        rest.start += count;
        assert_eq!(stand(), stands);
    }
    let full_claims = [(1, a, 63, (515, 0, 509)), (2, b, 255, (515, 255, 254)), (3, c, 127, (515, 255, 127))];
    for (webhook, id, count, stands) in full_claims {
        let mut room = bench.room().expect("room");
        assert_eq!(room.allowance.of(id).min(room.wanted), count);
        let numbers = (0..count).map(|number| 1_000 * webhook + u128::from(number));
        held.extend(numbers.map(|number| bench.slot(&mut room, &due(number, webhook, "200"))));
        drop(room);
        assert_eq!(stand(), stands);
    }
}
