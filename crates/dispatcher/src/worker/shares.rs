//! Shares: how much of this process each webhook may take.
//!
//! - **Slots.** A webhook may take no more slots of this process than it leaves free. One that hangs holds half of
//!   them at most, two hold a third each, and so on: there is always room for one more, however many hang. The store
//!   keeps a webhook's concurrency, which counts over all processes.
//! - **Payloads.** A large payload takes several slots, so that memory is bounded whatever payloads are. A claimed
//!   delivery holds as many slots as its webhook's recent payloads needed; after rendering, as many as its own
//!   payload needs. The `//!` of `slots` has an example.
//! - **First attempts.** Retries leave [`crate::limits::FIRST_ATTEMPTS_PERCENT`] of the slots to first attempts.
//! - **Rates.** A webhook with a rate is claimed no faster than its tokens come. The first claim of a webhook cannot
//!   know its rate: deliveries beyond it go back, due when their token is.
//! - **Breakers.** Each webhook has the window of its breaker here: [`hookgraph_domain::breaker`].

use crate::limits::{
    FIRST_ATTEMPTS_PERCENT, FLOW_WEBHOOKS_MAX, PAYLOAD_BYTES_GUESS, PAYLOADS_KNOWN_MS, RATE_LOOK_MS, RENDER_BYTES_AIM,
    RENDER_COUNT_MAX, SLOT_BYTES,
};
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::breaker::{Trip, Window};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::rate::TokenBucket;
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::Webhook;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The shares of all webhooks in this process. Clones share one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares(Arc<Mutex<ShareTable>>);

#[derive(Debug, Default)]
struct ShareTable {
    webhooks: HashMap<WebhookId, WebhookShare>,
    /// Whether any of the webhooks ever had large payloads.
    has_large: bool,
    /// The slots that retries hold.
    retries_in_flight: u32,
    /// How many slots were freed so far.
    freed_count: u64,
}

#[derive(Debug, Default)]
struct WebhookShare {
    /// The slots that its deliveries hold.
    in_flight: u32,
    /// The slots, beyond one, that the largest of its recent payloads needed; none before the first payload.
    payload_extra: Option<u32>,
    /// When `payload_extra` was learned last.
    payload_at: Timestamp,
    /// The [`ShareTable::freed_count`] with which it freed its last slot.
    freed_at: u64,
    window: Window,
    bucket: Option<TokenBucket>,
}

/// The bounds of one claim.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// The most deliveries of each of these webhooks, sorted by webhook.
    pub(super) limits: Vec<(WebhookId, u32)>,
    /// The most deliveries of any other webhook.
    pub(super) per_webhook: u32,
    /// The most retries.
    pub(super) retries_max: u32,
}

impl Allowance {
    /// How much the claims took of each webhook of `webhook_ids`, in that order.
    pub(super) fn taken(&self, claims: &[ClaimedDelivery], webhook_ids: &[WebhookId]) -> Vec<Taken> {
        let mut counts: HashMap<WebhookId, u32> = HashMap::new();
        claims.iter().for_each(|claim| *counts.entry(claim.delivery.webhook_id).or_default() += 1);
        let taken = |id: &WebhookId| Taken { count: counts.get(id).copied().unwrap_or(0), most: self.of(*id) };
        webhook_ids.iter().map(taken).collect()
    }

    /// Whether the claims took as many retries as they may.
    pub(super) fn retries_are_reached_by(&self, claims: &[ClaimedDelivery]) -> bool {
        claims.iter().filter(|claim| claim.delivery.attempts_spent > 0).count() >= self.retries_max as usize
    }

    /// The most deliveries of one webhook.
    pub(super) fn of(&self, webhook_id: WebhookId) -> u32 {
        let found = self.limits.binary_search_by_key(&webhook_id, |(limited, _)| *limited);
        found.map_or(self.per_webhook, |place| self.limits[place].1)
    }
}

/// How many more slots a webhook may take that holds `in_flight`, where `free` are free: then it holds no more than
/// it leaves free.
fn fair_share(free: u32, in_flight: u32) -> u32 {
    free.saturating_sub(in_flight).div_ceil(2)
}

/// The most deliveries of one claim: half of the free slots. Several webhooks that hang, each within its share,
/// cannot fill the process in one claim.
pub(super) fn claim_size(free: u32) -> u32 {
    free.div_ceil(2)
}

/// The slots, beyond one, that a payload of that size takes.
pub(super) fn extra_slots(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(SLOT_BYTES)).unwrap_or(u32::MAX).saturating_sub(1)
}

/// The most slots that retries may hold.
fn retry_slots(in_flight_max: u32) -> u32 {
    let of_first_attempts = u64::from(in_flight_max) * u64::from(FIRST_ATTEMPTS_PERCENT) / 100;
    u32::try_from(u64::from(in_flight_max) - of_first_attempts).unwrap_or(in_flight_max)
}

impl Shares {
    /// The bounds of a claim that is made while `free` slots are free and other claims under way may take `pending`
    /// slots for any webhook.
    pub(super) fn allowance(&self, free: u32, pending: u32, in_flight_max: u32, now: Timestamp) -> Allowance {
        let mut table = self.0.lock();
        table.forget_those_at_rest(now);
        let per_webhook = fair_share(free, pending);
        let large_count = table.large_count(now);
        let limits = table.webhooks.iter().filter_map(|(id, share)| {
            let tokens = share.bucket.map_or(u32::MAX, |bucket| bucket.tokens(now));
            let slots = fair_share(free, share.in_flight.saturating_add(pending));
            let deliveries = match share.extra_slots(now) {
                0 => slots,
                // All webhooks with large payloads together take no more than one may.
                extra => slots.div_ceil(large_count.max(1)).div_ceil(extra.saturating_add(1)),
            };
            let limit = deliveries.min(tokens);
            (limit < per_webhook).then_some((*id, limit))
        });
        let mut limits: Vec<_> = limits.collect();
        limits.sort_unstable();
        let retries_max = retry_slots(in_flight_max).saturating_sub(table.retries_in_flight + pending);
        Allowance { limits, per_webhook, retries_max }
    }

    /// Takes a token for a claimed delivery.
    ///
    /// # Errors
    /// The time of the next token, where there is none now.
    pub(super) fn take_token(&self, claim: &ClaimedDelivery, now: Timestamp) -> Result<(), Timestamp> {
        let webhook = &claim.webhook;
        let mut table = self.0.lock();
        let Some(rate_per_second) = webhook.flow.rate_per_second else {
            if let Some(share) = table.webhooks.get_mut(&webhook.id) {
                share.bucket = None;
            }
            return Ok(());
        };
        let share = table.webhooks.entry(webhook.id).or_default();
        let mut bucket =
            share.bucket.unwrap_or_else(|| TokenBucket::full(rate_per_second, now)).at_rate(rate_per_second);
        let taken = bucket.take(now);
        share.bucket = Some(bucket);
        if taken { Ok(()) } else { Err(bucket.next_at(now)) }
    }

    /// How long until the first webhook has its next token that had none at `asked_at`, in milliseconds; none where
    /// every webhook had one.
    pub(super) fn next_token_ms(&self, asked_at: Timestamp, now: Timestamp) -> Option<u64> {
        let table = self.0.lock();
        let empty =
            table.webhooks.values().filter_map(|share| share.bucket).filter(|bucket| bucket.tokens(asked_at) == 0);
        let next_at = empty.map(|bucket| bucket.next_at(now)).min()?;
        Some(u64::try_from((next_at - now).num_milliseconds() + 1).unwrap_or(0).max(RATE_LOOK_MS))
    }

    /// Counts the end of an attempt in the breaker's window of its webhook, as it was claimed, and answers whether
    /// the breaker shall open.
    pub(super) fn ended(&self, webhook: &Webhook, code: OutcomeCode, now: Timestamp) -> Option<Trip> {
        let failed = code != OutcomeCode::Delivered;
        self.0.lock().webhooks.entry(webhook.id).or_default().window.record(failed, webhook, now)
    }

    /// How many of the first claims to render together, one at least, by the sizes of their webhooks' recent
    /// payloads; and the slots of those that are not known to be small.
    pub(super) fn render_portion(&self, claims: &[ClaimedDelivery]) -> (usize, u32) {
        let table = self.0.lock();
        let guess = |claim: &ClaimedDelivery| {
            let extra = table.webhooks.get(&claim.delivery.webhook_id).and_then(|share| share.payload_extra);
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
            if own > 1 {
                large = large.saturating_add(own);
            }
        }
        (count.max(1), large)
    }

    /// Learns that renders of these webhooks were refused: they have no payload, so they count as small. A webhook
    /// whose renders are always refused would otherwise be rendered as if its payloads were large, for ever.
    pub(super) fn refused(&self, webhook_ids: impl Iterator<Item = WebhookId>, now: Timestamp) {
        let mut table = self.0.lock();
        for webhook_id in webhook_ids {
            if table.webhooks.get(&webhook_id).is_none_or(|share| share.payload_extra.is_none()) {
                table.learn(webhook_id, 0, now);
            }
        }
    }

    /// Learns the sizes, in bytes, of payloads that were rendered together. A larger one than before counts at once;
    /// after smaller ones the known size halves each time.
    pub(super) fn rendered(&self, payloads: impl Iterator<Item = (WebhookId, usize)>, now: Timestamp) {
        let mut table = self.0.lock();
        // Few webhooks: a small payload of a webhook that has small ones is no news.
        let mut news: HashMap<WebhookId, u32> = HashMap::new();
        for (webhook_id, bytes) in payloads {
            let extra = extra_slots(bytes);
            if extra > 0 || table.webhooks.get(&webhook_id).is_none_or(|share| share.payload_extra != Some(0)) {
                let largest = news.entry(webhook_id).or_default();
                *largest = extra.max(*largest);
            }
        }
        for (webhook_id, extra) in news {
            let before = table.webhooks.get(&webhook_id).map_or(0, |share| share.extra_slots(now));
            table.learn(webhook_id, extra.max(before / 2), now);
        }
    }

    /// How many slots were freed so far.
    pub(super) fn freed_count(&self) -> u64 {
        self.0.lock().freed_count
    }

    /// How each webhook of `webhook_ids` stands with the slots of this process, in that order.
    pub(super) fn holdings(&self, webhook_ids: &[WebhookId], now: Timestamp) -> Vec<Holding> {
        let table = self.0.lock();
        let holding = |share: &WebhookShare| Holding {
            in_flight: share.in_flight,
            freed_at: share.freed_at,
            extra_slots: share.extra_slots(now),
            lacks_tokens: share.bucket.is_some_and(|bucket| bucket.tokens(now) == 0),
        };
        webhook_ids.iter().map(|id| table.webhooks.get(id).map(holding).unwrap_or_default()).collect()
    }

    /// Counts a claimed delivery as in flight until the answer is dropped. A frozen payload tells the size of its
    /// webhook's payloads.
    pub(super) fn enter(&self, claim: &ClaimedDelivery, now: Timestamp) -> InFlight {
        let is_retry = claim.delivery.attempts_spent > 0;
        let keeps_order = claim.webhook.flow.ordering == Ordering::ByRecord;
        let webhook_id = claim.delivery.webhook_id;
        let mut table = self.0.lock();
        let share = table.webhooks.entry(webhook_id).or_default();
        // Many attempts that were claimed under the old status may end before the first one under the new status does.
        share.window.follows(&claim.webhook);
        if share.is_old_news(now) {
            // The claim was made as if no size were known.
            share.payload_extra = None;
        }
        let expected = share.extra_slots(now);
        let extra_slots = claim.payload.as_ref().map_or(expected, |payload| extra_slots(payload.json.len()));
        if extra_slots > expected {
            table.learn(webhook_id, extra_slots, now);
        }
        let mut in_flight = InFlight { shares: self.clone(), webhook_id, is_retry, keeps_order, extra_slots: 0 };
        table.hold(&in_flight, 0, extra_slots.saturating_add(1));
        in_flight.extra_slots = extra_slots;
        in_flight
    }
}

/// How many deliveries of one webhook a claim took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) count: u32,
    /// How many the claim might have taken.
    most: u32,
}

impl Taken {
    /// Whether the claim took all that it might.
    pub(super) fn is_all(self) -> bool {
        self.count >= self.most
    }
}

/// How a webhook stands with the slots of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    /// The slots that it holds.
    pub(super) in_flight: u32,
    /// The [`Shares::freed_count`] with which it freed its last slot.
    pub(super) freed_at: u64,
    /// The slots, beyond one, that each of its recent payloads needed at most.
    pub(super) extra_slots: u32,
    /// Whether its rate lets nothing more through just now.
    pub(super) lacks_tokens: bool,
}

impl WebhookShare {
    /// The slots, beyond one, that its payloads need, if it had any lately: a webhook at rest takes no room from
    /// others.
    fn extra_slots(&self, now: Timestamp) -> u32 {
        if self.is_old_news(now) { 0 } else { self.payload_extra.unwrap_or(0) }
    }

    /// Whether it has been at rest since it had large payloads. A `payload_at` in the future was noted before the
    /// clock was set back.
    fn is_old_news(&self, now: Timestamp) -> bool {
        let is_of_late = self.payload_at <= now && now < plus_ms(self.payload_at, PAYLOADS_KNOWN_MS);
        self.in_flight == 0 && !is_of_late && self.payload_extra.is_some_and(|extra| extra > 0)
    }
}

impl ShareTable {
    /// Notes that a delivery holds `after` slots instead of `before`.
    fn hold(&mut self, delivery: &InFlight, before: u32, after: u32) {
        let moved = |held: u32| held.saturating_sub(before).saturating_add(after);
        if delivery.is_retry {
            self.retries_in_flight = moved(self.retries_in_flight);
        }
        if let Some(share) = self.webhooks.get_mut(&delivery.webhook_id) {
            share.in_flight = moved(share.in_flight);
        }
    }

    /// Notes that a webhook freed slots.
    fn freed(&mut self, webhook_id: WebhookId) {
        self.freed_count += 1;
        if let Some(share) = self.webhooks.get_mut(&webhook_id) {
            share.freed_at = self.freed_count;
        }
    }

    /// Notes the slots, beyond one, that the recent payloads of a webhook needed at most.
    fn learn(&mut self, webhook_id: WebhookId, extra: u32, now: Timestamp) {
        self.has_large |= extra > 0;
        let share = self.webhooks.entry(webhook_id).or_default();
        (share.payload_extra, share.payload_at) = (Some(extra), now);
    }

    /// How many webhooks have large payloads.
    fn large_count(&self, now: Timestamp) -> u32 {
        if !self.has_large {
            return 0;
        }
        let count = self.webhooks.values().filter(|share| share.extra_slots(now) > 0).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Forgets the webhooks at rest, once there are too many webhooks.
    fn forget_those_at_rest(&mut self, now: Timestamp) {
        if self.webhooks.len() <= FLOW_WEBHOOKS_MAX {
            return;
        }
        self.webhooks.retain(|_, share| {
            let has_all_tokens = share.bucket.is_none_or(|bucket| bucket.is_full(now));
            share.in_flight > 0 || share.window.counted(now).attempts > 0 || !has_all_tokens
        });
        self.has_large = self.webhooks.values().any(|share| share.payload_extra.is_some_and(|extra| extra > 0));
    }
}

/// A delivery in flight, counted in its webhook's share until it is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    shares: Shares,
    webhook_id: WebhookId,
    is_retry: bool,
    keeps_order: bool,
    extra_slots: u32,
}

impl InFlight {
    /// The slots that it holds beyond one: as many as its webhook's recent payloads needed, or as its own payload
    /// needs.
    pub(super) fn extra_slots(&self) -> u32 {
        self.extra_slots
    }

    /// Changes the slots that it holds beyond one.
    pub(super) fn holds_extra(&mut self, extra_slots: u32) {
        let before = self.extra_slots.saturating_add(1);
        let mut table = self.shares.0.lock();
        table.hold(self, before, extra_slots.saturating_add(1));
        if extra_slots < self.extra_slots {
            table.freed(self.webhook_id);
        }
        drop(table);
        self.extra_slots = extra_slots;
    }

    pub(super) fn webhook_id(&self) -> WebhookId {
        self.webhook_id
    }

    /// Whether a delivery in its record's line may wait for the end of this one.
    pub(super) fn keeps_order(&self) -> bool {
        self.keeps_order
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut table = self.shares.0.lock();
        table.hold(self, self.extra_slots.saturating_add(1), 0);
        table.freed(self.webhook_id);
    }
}

#[cfg(test)]
mod tests;
