//! Flow control of one process: who may have how many slots, what rates and breakers have seen.
//!
//! - **Slots.** A webhook may take no more slots of this process than it leaves free. One that hangs holds half of them at
//!   most, two hold a third each, and so on: there is always room for one more, however many hang. Its concurrency, which
//!   counts over all processes, is the store's to keep.
//! - **Payloads.** A large payload takes several slots, so that memory is bounded whatever payloads are. What is claimed takes as many
//!   as the last payloads of its webhook had, and as many as its own has once that is rendered. Slots may be overdrawn by that: then
//!   nothing is claimed before they are made up for.
//! - **First attempts.** Retries leave [`crate::limits::FIRST_ATTEMPTS_PERCENT`] of the slots to them.
//! - **Rates.** A webhook with a rate is claimed no faster than its tokens come. The first claim of one cannot know its
//!   rate: what is too many goes back, due when its token is.
//! - **Breakers.** The windows: [`hookgraph_domain::breaker`].

use crate::limits::{
    FIRST_ATTEMPTS_PERCENT, FLOW_WEBHOOKS_MAX, PAYLOAD_BYTES_GUESS, PAYLOADS_KNOWN_MS, RATE_LOOK_MS, RENDER_BYTES_AIM,
    RENDER_COUNT_MAX, SLOT_BYTES,
};
use hookgraph_domain::breaker::{Trip, Window};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::rate::TokenBucket;
use hookgraph_domain::time::{Timestamp, plus_ms};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// What this process knows of the flow of webhooks. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowControl(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    webhooks: HashMap<WebhookId, Flow>,
    /// Whether any of those ever had large payloads.
    has_large: bool,
    retries_in_flight: u32,
    /// How many slots were freed so far.
    freed_count: u64,
}

#[derive(Debug, Default)]
struct Flow {
    /// Slots that its deliveries hold.
    in_flight: u32,
    /// How many slots more than one its largest payload took lately; none where it had none yet.
    payload_extra: Option<u32>,
    /// When that was learned last.
    payload_at: Timestamp,
    /// How many slots had been freed when it freed its last.
    freed_at: u64,
    window: Window,
    bucket: Option<TokenBucket>,
}

/// What a claim may take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Of these webhooks; sorted.
    pub(super) limits: Vec<(WebhookId, u32)>,
    /// Of any other.
    pub(super) per_webhook: u32,
    /// Retries.
    pub(super) retries_max: u32,
}

impl Allowance {
    /// How much of each of these webhooks those claims took.
    pub(super) fn shares(&self, claims: &[ClaimedDelivery], webhook_ids: &[WebhookId]) -> Vec<Share> {
        let mut counts: HashMap<WebhookId, u32> = HashMap::new();
        claims.iter().for_each(|claim| *counts.entry(claim.delivery.webhook_id).or_default() += 1);
        let share = |id: &WebhookId| Share { count: counts.get(id).copied().unwrap_or(0), most: self.of(*id) };
        webhook_ids.iter().map(share).collect()
    }

    /// Whether those claims took all retries that they may.
    pub(super) fn retries_are_reached_by(&self, claims: &[ClaimedDelivery]) -> bool {
        claims.iter().filter(|claim| claim.delivery.attempts_spent > 0).count() >= self.retries_max as usize
    }

    pub(super) fn of(&self, webhook_id: WebhookId) -> u32 {
        let found = self.limits.binary_search_by_key(&webhook_id, |(limited, _)| *limited);
        found.map_or(self.per_webhook, |place| self.limits[place].1)
    }
}

/// How many more a webhook may take that has so many in flight, so that it holds no more than it leaves free.
fn fair_share(free: u32, in_flight: u32) -> u32 {
    free.saturating_sub(in_flight).div_ceil(2)
}

/// How many a claim may take altogether: half of what is free, so that several that hang cannot fill the process in one
/// claim, each within its share.
pub(super) fn claim_size(free: u32) -> u32 {
    free.div_ceil(2)
}

/// How many slots more than one a payload of so many bytes takes.
pub(super) fn extra_slots(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(SLOT_BYTES)).unwrap_or(u32::MAX).saturating_sub(1)
}

/// How many of the slots retries may hold.
fn retry_slots(in_flight_max: u32) -> u32 {
    in_flight_max - in_flight_max / 100 * FIRST_ATTEMPTS_PERCENT - in_flight_max % 100 * FIRST_ATTEMPTS_PERCENT / 100
}

impl FlowControl {
    /// What may be claimed now with so many slots free, while other claims that are under way may take so many for any webhook.
    pub(super) fn allowance(&self, free: u32, pending: u32, in_flight_max: u32, now: Timestamp) -> Allowance {
        let mut known = self.0.lock();
        known.forget_those_at_rest(now);
        let per_webhook = fair_share(free, pending);
        let large_count = known.large_count(now);
        let limits = known.webhooks.iter().filter_map(|(id, flow)| {
            let tokens = flow.bucket.map_or(u32::MAX, |bucket| bucket.tokens(now));
            let slots = fair_share(free, flow.in_flight.saturating_add(pending));
            let deliveries = match flow.extra_slots(now) {
                0 => slots,
                // All of these together take no more than one may.
                extra => slots.div_ceil(large_count.max(1)).div_ceil(extra.saturating_add(1)),
            };
            let limit = deliveries.min(tokens);
            (limit < per_webhook).then_some((*id, limit))
        });
        let mut limits: Vec<_> = limits.collect();
        limits.sort_unstable();
        let retries_max = retry_slots(in_flight_max).saturating_sub(known.retries_in_flight + pending);
        Allowance { limits, per_webhook, retries_max }
    }

    /// Takes a token for a claimed delivery; else says when there will be one.
    pub(super) fn take_token(&self, claim: &ClaimedDelivery, now: Timestamp) -> Result<(), Timestamp> {
        let webhook = &claim.webhook;
        let mut known = self.0.lock();
        let Some(rate_per_second) = webhook.flow.rate_per_second else {
            if let Some(flow) = known.webhooks.get_mut(&webhook.id) {
                flow.bucket = None;
            }
            return Ok(());
        };
        let flow = known.webhooks.entry(webhook.id).or_default();
        let mut bucket =
            flow.bucket.unwrap_or_else(|| TokenBucket::full(rate_per_second, now)).at_rate(rate_per_second);
        let taken = bucket.take(now);
        flow.bucket = Some(bucket);
        if taken { Ok(()) } else { Err(bucket.next_at(now)) }
    }

    /// How long the next token takes of a webhook that had none when a claim was asked for, in milliseconds; none where all had.
    pub(super) fn next_token_ms(&self, asked_at: Timestamp, now: Timestamp) -> Option<u64> {
        let known = self.0.lock();
        let empty =
            known.webhooks.values().filter_map(|flow| flow.bucket).filter(|bucket| bucket.tokens(asked_at) == 0);
        let next_at = empty.map(|bucket| bucket.next_at(now)).min()?;
        Some(u64::try_from((next_at - now).num_milliseconds() + 1).unwrap_or(0).max(RATE_LOOK_MS))
    }

    /// Counts how an attempt of a webhook ended, and says whether its breaker shall open.
    pub(super) fn ended(&self, webhook_id: WebhookId, failed: bool, now: Timestamp) -> Option<Trip> {
        self.0.lock().webhooks.entry(webhook_id).or_default().window.record(failed, now)
    }

    /// How many of the first of those to render together, by what the last payloads of their webhooks were, one at least; and how many
    /// slots those take that are not known to be small.
    pub(super) fn render_portion(&self, claims: &[ClaimedDelivery]) -> (usize, u32) {
        let known = self.0.lock();
        let guess = |claim: &ClaimedDelivery| {
            let extra = known.webhooks.get(&claim.delivery.webhook_id).and_then(|flow| flow.payload_extra);
            extra.unwrap_or_else(|| extra_slots(PAYLOAD_BYTES_GUESS)).saturating_add(1)
        };
        let (mut count, mut slots, mut large) = (0, 0_u32, 0_u32);
        for claim in claims.iter().take(RENDER_COUNT_MAX) {
            let own = guess(claim);
            let with_it = slots.saturating_add(own);
            if count > 0 && with_it as usize > RENDER_BYTES_AIM / SLOT_BYTES {
                break;
            }
            (count, slots) = (count + 1, with_it);
            large = if own > 1 { large.saturating_add(own) } else { large };
        }
        (count.max(1), large)
    }

    /// Learns that renders of those webhooks were refused: of one whose payloads always are nothing else would ever tell, and each
    /// would be rendered as if it were large.
    pub(super) fn refused(&self, webhook_ids: impl Iterator<Item = WebhookId>, now: Timestamp) {
        let mut known = self.0.lock();
        for webhook_id in webhook_ids {
            if known.webhooks.get(&webhook_id).is_none_or(|flow| flow.payload_extra.is_none()) {
                known.learn(webhook_id, 0, now);
            }
        }
    }

    /// Learns what payloads that came together have, in bytes. Larger ones than before count at once, smaller ones by and by.
    pub(super) fn rendered(&self, payloads: impl Iterator<Item = (WebhookId, usize)>, now: Timestamp) {
        let mut known = self.0.lock();
        // Hardly any: a small payload of a webhook that has small ones says nothing new.
        let mut news: HashMap<WebhookId, u32> = HashMap::new();
        for (webhook_id, bytes) in payloads {
            let extra = extra_slots(bytes);
            if extra > 0 || known.webhooks.get(&webhook_id).is_none_or(|flow| flow.payload_extra != Some(0)) {
                let largest = news.entry(webhook_id).or_default();
                *largest = extra.max(*largest);
            }
        }
        for (webhook_id, extra) in news {
            let before = known.webhooks.get(&webhook_id).map_or(0, |flow| flow.extra_slots(now));
            known.learn(webhook_id, extra.max(before / 2), now);
        }
    }

    /// How many slots were freed so far.
    pub(super) fn freed_count(&self) -> u64 {
        self.0.lock().freed_count
    }

    /// How these webhooks stand with the slots of this process.
    pub(super) fn holdings(&self, webhook_ids: &[WebhookId], now: Timestamp) -> Vec<Holding> {
        let known = self.0.lock();
        let holding = |flow: &Flow| Holding {
            in_flight: flow.in_flight,
            freed_at: flow.freed_at,
            extra_slots: flow.extra_slots(now),
            lacks_tokens: flow.bucket.is_some_and(|bucket| bucket.tokens(now) == 0),
        };
        webhook_ids.iter().map(|id| known.webhooks.get(id).map(holding).unwrap_or_default()).collect()
    }

    /// Counts a claimed delivery as in flight until the answer is dropped. What is frozen tells how large its webhook's payloads are.
    pub(super) fn enter(&self, claim: &ClaimedDelivery, now: Timestamp) -> InFlight {
        let is_retry = claim.delivery.attempts_spent > 0;
        let keeps_order = claim.webhook.flow.ordering == Ordering::ByRecord;
        let webhook_id = claim.delivery.webhook_id;
        let mut known = self.0.lock();
        let flow = known.webhooks.entry(webhook_id).or_default();
        if flow.is_old_news(now) {
            // It was claimed as if nothing were known.
            flow.payload_extra = None;
        }
        let expected = flow.extra_slots(now);
        let extra_slots = claim.payload.as_ref().map_or(expected, |payload| extra_slots(payload.json.len()));
        if extra_slots > expected {
            known.learn(webhook_id, extra_slots, now);
        }
        let mut in_flight = InFlight { flow: self.clone(), webhook_id, is_retry, keeps_order, extra_slots: 0 };
        known.hold(&in_flight, 0, extra_slots.saturating_add(1));
        in_flight.extra_slots = extra_slots;
        in_flight
    }
}

/// What a claim took of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) count: u32,
    /// How many it might have taken.
    most: u32,
}

impl Share {
    pub(super) fn is_taken(self) -> bool {
        self.count >= self.most
    }
}

/// How a webhook stands with the slots of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    /// How many it holds.
    pub(super) in_flight: u32,
    /// The [`FlowControl::freed_count`] with which it freed its last.
    pub(super) freed_at: u64,
    /// How many its last payloads took more than one each.
    pub(super) extra_slots: u32,
    /// Whether its rate lets nothing more through just now.
    pub(super) lacks_tokens: bool,
}

impl Flow {
    /// How many slots more than one its payloads take, if it had any lately: one at rest is in nobody's way.
    fn extra_slots(&self, now: Timestamp) -> u32 {
        if self.is_old_news(now) { 0 } else { self.payload_extra.unwrap_or(0) }
    }

    /// Whether it has been at rest since it had large payloads. (A time to come is one of before the clock was set back.)
    fn is_old_news(&self, now: Timestamp) -> bool {
        let is_of_late = self.payload_at <= now && now < plus_ms(self.payload_at, PAYLOADS_KNOWN_MS);
        self.in_flight == 0 && !is_of_late && self.payload_extra.is_some_and(|extra| extra > 0)
    }
}

impl Known {
    /// That delivery holds so many slots instead of so many.
    fn hold(&mut self, one: &InFlight, before: u32, now: u32) {
        let moved = |held: u32| held.saturating_sub(before).saturating_add(now);
        if one.is_retry {
            self.retries_in_flight = moved(self.retries_in_flight);
        }
        if let Some(flow) = self.webhooks.get_mut(&one.webhook_id) {
            flow.in_flight = moved(flow.in_flight);
        }
    }

    /// That webhook freed a slot.
    fn freed(&mut self, webhook_id: WebhookId) {
        self.freed_count += 1;
        if let Some(flow) = self.webhooks.get_mut(&webhook_id) {
            flow.freed_at = self.freed_count;
        }
    }

    fn learn(&mut self, webhook_id: WebhookId, extra: u32, now: Timestamp) {
        self.has_large |= extra > 0;
        let flow = self.webhooks.entry(webhook_id).or_default();
        (flow.payload_extra, flow.payload_at) = (Some(extra), now);
    }

    /// How many webhooks have large payloads.
    fn large_count(&self, now: Timestamp) -> u32 {
        if !self.has_large {
            return 0;
        }
        let count = self.webhooks.values().filter(|flow| flow.extra_slots(now) > 0).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn forget_those_at_rest(&mut self, now: Timestamp) {
        if self.webhooks.len() <= FLOW_WEBHOOKS_MAX {
            return;
        }
        self.webhooks.retain(|_, flow| {
            let has_all_tokens = flow.bucket.is_none_or(|bucket| bucket.is_full(now));
            flow.in_flight > 0 || flow.window.counted(now).attempts > 0 || !has_all_tokens
        });
        self.has_large = self.webhooks.values().any(|flow| flow.payload_extra.is_some_and(|extra| extra > 0));
    }
}

/// One delivery in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    flow: FlowControl,
    webhook_id: WebhookId,
    is_retry: bool,
    keeps_order: bool,
    extra_slots: u32,
}

impl InFlight {
    /// How many slots it holds more than one: as its webhook's last payloads suggest, or as its own has.
    pub(super) fn extra_slots(&self) -> u32 {
        self.extra_slots
    }

    pub(super) fn holds_extra(&mut self, extra_slots: u32) {
        let before = self.extra_slots.saturating_add(1);
        let mut known = self.flow.0.lock();
        known.hold(self, before, extra_slots.saturating_add(1));
        if extra_slots < self.extra_slots {
            known.freed(self.webhook_id);
        }
        drop(known);
        self.extra_slots = extra_slots;
    }

    pub(super) fn webhook_id(&self) -> WebhookId {
        self.webhook_id
    }

    /// Whether another may wait for the end of this one in its record's line.
    pub(super) fn keeps_order(&self) -> bool {
        self.keeps_order
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut known = self.flow.0.lock();
        known.hold(self, self.extra_slots.saturating_add(1), 0);
        known.freed(self.webhook_id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{due, noon, payload, with_webhook};
    use super::*;
    use crate::limits::IN_FLIGHT_MAX;
    use hookgraph_domain::time::minus_ms;

    #[test]
    fn whoever_hangs_holds_no_more_than_it_leaves_free() {
        for (hanging, held_most, left) in [(1, 128, 128), (2, 86, 85), (3, 64, 64), (15, 16, 16), (255, 1, 1)] {
            let mut held = vec![0_u32; hanging];
            // In turns, until nobody may take one more.
            let free = |held: &[u32]| 256 - held.iter().sum::<u32>();
            while let Some(next) =
                (0..hanging).filter(|own| fair_share(free(&held), held[*own]) > 0).min_by_key(|own| held[*own])
            {
                held[next] += 1;
            }
            assert_eq!((held.iter().max(), free(&held)), (Some(&held_most), left), "{hanging} hang");
        }
    }

    #[test]
    fn a_quarter_of_the_slots_is_for_first_attempts() {
        assert_eq!([1, 4, 100, 256, 1_024].map(retry_slots), [1, 3, 75, 192, 768]);
        let flow = FlowControl::default();
        let mut retried = due(1, 1, "200");
        retried.delivery.attempts_spent = 1;
        let held: Vec<_> = (0..3).map(|_| flow.enter(&retried, noon())).collect();
        let first = flow.enter(&due(2, 1, "200"), noon());
        assert_eq!(flow.allowance(4, 0, 4, noon()).retries_max, 0);
        drop(held);
        assert_eq!(flow.allowance(4, 0, 4, noon()).retries_max, 3);
        drop(first);
        assert_eq!(flow.allowance(4, 0, 4, noon()), Allowance { limits: vec![], per_webhook: 2, retries_max: 3 });
    }

    #[test]
    fn tokens_bound_the_claims_of_a_webhook_with_a_rate() {
        let flow = FlowControl::default();
        let claim = with_webhook(due(1, 1, "200"), |webhook| webhook.flow.rate_per_second = Some(10));
        assert_eq!(flow.take_token(&claim, noon()), Ok(()));
        assert_eq!(flow.next_token_ms(noon(), noon()), None);
        assert_eq!(flow.allowance(100, 0, 100, noon()).limits, [(claim.webhook.id, 1)]);
        assert_eq!(flow.take_token(&claim, noon()), Ok(()));
        assert_eq!(flow.take_token(&claim, noon()), Err(plus_ms(noon(), 100)));
        assert_eq!(flow.allowance(100, 0, 100, noon()).limits, [(claim.webhook.id, 0)]);
        assert_eq!(flow.next_token_ms(noon(), noon()), Some(101));
        let later = plus_ms(noon(), 500);
        assert_eq!(flow.next_token_ms(noon(), later), Some(RATE_LOOK_MS), "it came while the claim ran");
        assert_eq!(flow.next_token_ms(later, later), None);
        let unbounded = with_webhook(claim, |webhook| webhook.flow.rate_per_second = None);
        assert_eq!(flow.take_token(&unbounded, noon()), Ok(()));
        assert_eq!(flow.allowance(100, 0, 100, noon()).limits, []);
    }

    #[test]
    fn a_payload_takes_a_slot_for_each_of_its_parts() {
        let bytes = [0, 1, SLOT_BYTES, SLOT_BYTES + 1, 16 * SLOT_BYTES, usize::MAX];
        assert_eq!(bytes.map(extra_slots)[..5], [0, 0, 0, 1, 15]);
        assert!(extra_slots(usize::MAX) > 1_000_000);
        assert_eq!(IN_FLIGHT_MAX as usize * SLOT_BYTES, 64 * 1024 * 1024, "as limits.rs says");
    }

    #[test]
    fn a_webhook_with_large_payloads_may_take_fewer_of_the_slots() {
        let flow = FlowControl::default();
        let mut claim = due(1, 1, "200");
        claim.delivery.attempts_spent = 1;
        let id = claim.webhook.id;
        let first = flow.enter(&claim, noon());
        assert_eq!(first.extra_slots(), 0);
        drop(first);
        flow.rendered([(id, 8 * SLOT_BYTES), (id, 1)].into_iter(), noon());
        assert_eq!(flow.allowance(256, 0, 256, noon()).limits, [(id, 16)], "an eighth of 128");
        let mut held = flow.enter(&claim, noon());
        assert_eq!(held.extra_slots(), 7, "as the last ones had");
        assert_eq!(flow.holdings(&[id], noon())[0].in_flight, 8);
        let allowance = flow.allowance(248, 0, 256, noon());
        assert_eq!((allowance.limits, allowance.retries_max), (vec![(id, 15)], 184), "a retry of eight slots");
        held.holds_extra(0);
        assert_eq!(flow.holdings(&[id], noon())[0].in_flight, 1);
        assert_eq!(flow.allowance(256, 0, 256, noon()).retries_max, 191);
        drop(held);
        claim.payload = Some(payload(&"x".repeat(3 * SLOT_BYTES)));
        assert_eq!(flow.enter(&claim, noon()).extra_slots(), 2, "as its own has, which is there");
        let other = due(1, 2, "200").webhook.id;
        flow.rendered([(other, 8 * SLOT_BYTES)].into_iter(), noon());
        assert_eq!(flow.allowance(256, 0, 256, noon()).limits, [(id, 8), (other, 8)], "they share in the 128");
        (0..4).for_each(|_| flow.rendered([(other, 10)].into_iter(), noon()));
        assert_eq!(flow.holdings(&[id], noon())[0].in_flight, 0);
        assert_eq!(flow.allowance(256, 0, 256, noon()).retries_max, 192);
        (0..3).for_each(|_| flow.rendered([(id, 10)].into_iter(), noon()));
        assert_eq!(flow.allowance(256, 0, 256, noon()).limits, [], "small ones count by and by");
    }

    #[test]
    fn webhooks_at_rest_with_large_payloads_are_in_nobodys_way() {
        let flow = FlowControl::default();
        let large = |webhook| (due(1, webhook, "200").webhook.id, 2 * SLOT_BYTES);
        flow.rendered((1..=100).map(large), noon());
        let later = plus_ms(noon(), PAYLOADS_KNOWN_MS);
        assert_eq!(flow.allowance(256, 0, 256, plus_ms(noon(), PAYLOADS_KNOWN_MS - 1)).limits.len(), 100);
        assert_eq!(flow.allowance(256, 0, 256, later).limits, []);
        let claim = due(1, 2, "200");
        let held: Vec<_> = (0..3).map(|_| flow.enter(&claim, later)).collect();
        assert!(held.iter().all(|one| one.extra_slots() == 0), "as they were claimed");
        assert_eq!(flow.render_portion(&[claim]), (1, 8), "as where nothing is known");
        drop(held);
        assert_eq!(flow.allowance(256, 0, 256, minus_ms(noon(), 1)).limits, [], "a clock that was set back");
        flow.rendered([large(1)].into_iter(), later);
        assert_eq!(flow.allowance(256, 0, 256, later).limits, [(large(1).0, 64)], "half of 128, shared with nobody");
    }

    #[test]
    fn what_is_frozen_tells_how_large_the_payloads_of_a_webhook_are() {
        let flow = FlowControl::default();
        let mut claim = due(1, 1, "200");
        claim.payload = Some(payload(&"x".repeat(4 * SLOT_BYTES)));
        drop(flow.enter(&claim, noon()));
        assert_eq!(flow.allowance(256, 0, 256, noon()).limits, [(claim.webhook.id, 32)], "a quarter of 128");
        claim.payload = Some(payload("{}"));
        drop(flow.enter(&claim, noon()));
        assert_eq!(flow.allowance(256, 0, 256, noon()).limits, [(claim.webhook.id, 32)], "a small one is no news");
    }

    #[test]
    fn as_many_payloads_are_rendered_together_as_the_last_ones_suggest() {
        let flow = FlowControl::default();
        let of = |webhook: u128| (0..100).map(|number| due(number, webhook, "200")).collect::<Vec<_>>();
        let (large, small) = (of(1), of(2));
        assert_eq!(flow.render_portion(&large), (16, 128), "as nothing is known");
        assert_eq!(flow.render_portion(&large[..3]), (3, 24));
        flow.rendered([(large[0].webhook.id, 1024 * 1024), (small[0].webhook.id, 1_000)].into_iter(), noon());
        assert_eq!((flow.render_portion(&large), flow.render_portion(&small)), ((8, 128), (RENDER_COUNT_MAX, 0)));
        let mixed: Vec<_> = small[..4].iter().chain(&large).cloned().collect();
        assert_eq!(flow.render_portion(&mixed), (11, 112), "the small ones count for nothing");
        flow.rendered([(large[0].webhook.id, 1_000)].into_iter(), noon());
        assert_eq!(flow.render_portion(&large), (16, 128));
        flow.rendered([(large[0].webhook.id, usize::MAX)].into_iter(), noon());
        assert_eq!(flow.render_portion(&large), (1, u32::MAX), "one at least");
        let failing = of(3);
        flow.refused([failing[0].webhook.id, large[0].webhook.id].into_iter(), noon());
        assert_eq!(flow.render_portion(&failing), (RENDER_COUNT_MAX, 0), "what is refused takes no room");
        assert_eq!(flow.render_portion(&large), (1, u32::MAX), "of large ones that is no news");
    }

    #[test]
    fn webhooks_at_rest_are_forgotten_once_there_are_too_many() {
        let flow = FlowControl::default();
        for number in 0..=FLOW_WEBHOOKS_MAX as u128 {
            flow.ended(WebhookId(uuid::Uuid::from_u128(number)), true, noon());
        }
        let busy = flow.enter(&due(1, 7, "200"), noon());
        flow.allowance(4, 0, 4, noon());
        assert_eq!(flow.0.lock().webhooks.len(), FLOW_WEBHOOKS_MAX + 1);
        flow.allowance(4, 0, 4, plus_ms(noon(), 60_000));
        assert_eq!(flow.0.lock().webhooks.keys().collect::<Vec<_>>(), [&busy.webhook_id]);
    }
}
