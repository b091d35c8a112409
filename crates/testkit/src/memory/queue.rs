//! The delivery queue.

use super::MemoryStore;
use super::state::{KeptDelivery, State};
use async_trait::async_trait;
use hookgraph_domain::delivery::{ClaimedDelivery, Delivery, DeliveryState};
use hookgraph_domain::fan_out::held_reason;
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::limits::WITHOUT_ROOM_MAX;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{ClaimRequest, Claimer, Claims, DeliveryQueue, Fenced, Freeze, Left, StoreError};
use hookgraph_domain::settle::{self, NextState, Settlement};
use hookgraph_domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

fn is_due(delivery: &Delivery) -> bool {
    matches!(delivery.state, DeliveryState::Pending | DeliveryState::Retrying)
}

impl State {
    fn claimed(&self, id: DeliveryId, fencing_token: i64) -> Option<Delivery> {
        let delivery = &self.deliveries.get(&id)?.delivery;
        let is_under = delivery.fencing_token == fencing_token && delivery.state == DeliveryState::InFlight;
        is_under.then(|| delivery.clone())
    }

    fn put_next(&mut self, mut delivery: Delivery, next: NextState, now: Timestamp) {
        delivery.state = next.state;
        delivery.state_reason = next.reason;
        delivery.due_at = is_due(&delivery).then(|| next.due_at.unwrap_or(now));
        delivery.attempts_spent = next.attempts_spent;
        delivery.cancel_requested &= !next.state.is_final();
        delivery.updated_at = now;
        self.put_delivery(delivery, None, now);
    }

    /// The deliveries that are due or whose lease ended, as one list in the order of the claim, which takes from the
    /// webhooks in turn; and the webhooks of which there would be more if there were room for all.
    fn candidates(&self, request: &ClaimRequest) -> (Vec<DeliveryId>, Left) {
        let mut taken: HashMap<WebhookId, u32> = HashMap::new();
        let mut free: Vec<&Delivery> = Vec::new();
        for KeptDelivery { delivery, leased_until } in self.deliveries.values() {
            match leased_until {
                Some(until) if *until > request.now => *taken.entry(delivery.webhook_id).or_default() += 1,
                Some(_) => free.push(delivery),
                None if is_due(delivery) && delivery.due_at.is_some_and(|due| due <= request.now) => {
                    free.push(delivery);
                }
                None => {}
            }
        }
        free.retain(|delivery| !self.waits_in_line(delivery));
        let mut without_room: BTreeMap<DeliveryId, WebhookId> =
            free.iter().map(|delivery| (delivery.id, delivery.webhook_id)).collect();
        free.sort_by_key(|delivery| (delivery.due_at, delivery.id));
        let places_of = |free: &[&Delivery]| {
            let mut places: HashMap<WebhookId, u32> = HashMap::new();
            let mut ranked: Vec<_> = free
                .iter()
                .filter_map(|delivery| {
                    let place = places.entry(delivery.webhook_id).or_default();
                    *place += 1;
                    let slots = *place + taken.get(&delivery.webhook_id).copied().unwrap_or(0);
                    let within = slots <= self.slots_max(delivery.webhook_id, request)
                        && *place <= limit_of(delivery.webhook_id, request);
                    // Deliveries of webhooks that send go before those of deleted ones.
                    let is_deleted = self.is_deleted(delivery.webhook_id);
                    within.then_some((is_deleted, *place, delivery.due_at, delivery.id))
                })
                .collect();
            ranked.sort();
            ranked
        };
        // The retries that may not be taken keep no first attempt from its place.
        let retries: BTreeSet<DeliveryId> =
            free.iter().filter(|delivery| delivery.attempts_spent > 0).map(|delivery| delivery.id).collect();
        let retries_picked: BTreeSet<DeliveryId> = places_of(&free)
            .into_iter()
            .map(|(_, _, _, id)| id)
            .filter(|id| retries.contains(id))
            .take(request.retries_max as usize)
            .collect();
        free.retain(|delivery| !retries.contains(&delivery.id) || retries_picked.contains(&delivery.id));
        let picked: Vec<_> =
            places_of(&free).into_iter().take(request.limit as usize).map(|(_, _, _, id)| id).collect();
        without_room.retain(|id, _| !picked.contains(id));
        let without_room: BTreeSet<WebhookId> = without_room.into_values().collect();
        let left = Left {
            has_more: false,
            has_others_without_room: without_room.len() > WITHOUT_ROOM_MAX,
            without_room: without_room.into_iter().take(WITHOUT_ROOM_MAX).collect(),
        };
        (picked, left)
    }

    fn is_deleted(&self, webhook_id: WebhookId) -> bool {
        self.webhooks.get(&webhook_id).is_none_or(|webhook| webhook.deleted_at.is_some())
    }

    /// How many deliveries of a webhook may be in flight.
    fn slots_max(&self, webhook_id: WebhookId, request: &ClaimRequest) -> u32 {
        let own = self.webhooks.get(&webhook_id).map_or(u32::MAX, |webhook| webhook.flow.concurrency);
        own.min(request.in_flight_per_webhook_max)
    }

    /// Whether an earlier delivery of the same record has not ended, where the webhook keeps order. Neither tests nor
    /// replays stand in the line.
    pub(super) fn waits_in_line(&self, delivery: &Delivery) -> bool {
        let Some(key) = self.line(delivery) else { return false };
        self.deliveries.values().map(|kept| &kept.delivery).any(|earlier| {
            earlier.id < delivery.id
                && earlier.webhook_id == delivery.webhook_id
                && !earlier.state.is_final()
                && self.line(earlier) == Some(key)
        })
    }

    /// The line in which a delivery stands.
    fn line(&self, delivery: &Delivery) -> Option<&str> {
        if delivery.is_test || delivery.replay_id.is_some() {
            return None;
        }
        let ordering = self.webhooks.get(&delivery.webhook_id)?.flow.ordering;
        ordering.key(self.events.get(&delivery.event_id)?)
    }
}

/// How many deliveries of a webhook this claim may take.
fn limit_of(webhook_id: WebhookId, request: &ClaimRequest) -> u32 {
    let limit = request.limits.iter().find(|(limited, _)| *limited == webhook_id);
    limit.map_or(request.limit_per_webhook, |(_, limit)| *limit)
}

fn gone(what: &str) -> StoreError {
    StoreError::Corrupt(format!("the {what} of a delivery is missing"))
}

#[async_trait]
impl DeliveryQueue for MemoryStore {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claims, StoreError> {
        let mut state = self.state.lock();
        let (mut claimed, mut made_way) = (Vec::new(), false);
        let (candidates, left) = state.candidates(request);
        for id in candidates {
            let Some(mut delivery) = state.deliveries.get(&id).map(|kept| kept.delivery.clone()) else { continue };
            let webhook = state.webhooks.get(&delivery.webhook_id).cloned().ok_or_else(|| gone("webhook"))?;
            if delivery.cancel_requested || !webhook.sends(&delivery) {
                let due_again = settle::postponed(&delivery, request.now);
                let next = settle::under_standing_webhook(due_again, &webhook, &delivery);
                if !matches!(next.state, DeliveryState::Pending | DeliveryState::Retrying) {
                    state.put_next(delivery, next, request.now);
                    made_way = true;
                    continue;
                }
            }
            let was_orphaned = delivery.state == DeliveryState::InFlight;
            delivery.state = DeliveryState::InFlight;
            delivery.state_reason = None;
            delivery.fencing_token += 1;
            delivery.updated_at = request.now;
            state.put_delivery(delivery.clone(), Some(request.leased_until), request.now);
            let tenant = state.tenants.get(&delivery.tenant_id).ok_or_else(|| gone("tenant"))?;
            let signer = Arc::new(tenant.clone().signer());
            let event = state.events.get(&delivery.event_id).cloned().ok_or_else(|| gone("event"))?;
            if webhook.graphql_query.is_none() && !state.payloads.contains_key(&id) {
                let payload = FrozenPayload::default_of(&event, webhook.id, request.now);
                state.payloads.insert(id, payload);
            }
            claimed.push(ClaimedDelivery {
                event: Arc::new(event),
                webhook: Arc::new(webhook),
                signer,
                payload: state.payloads.get(&id).cloned(),
                leased_until: request.leased_until,
                was_orphaned,
                delivery,
            });
        }
        Ok(Claims { deliveries: claimed, left: Left { has_more: made_way, ..left } })
    }

    fn claim_with_recordings(&self, _: Weak<dyn Claimer>) {}

    async fn freeze(&self, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
        let mut state = self.state.lock();
        let frozen = freezes.iter().map(|freeze| {
            let id = freeze.delivery_id;
            if state.claimed(id, freeze.fencing_token).is_none() || state.payloads.contains_key(&id) {
                return Fenced::LeaseLost;
            }
            state.payloads.insert(id, freeze.payload.clone());
            Fenced::Done
        });
        Ok(frozen.collect())
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
        let mut state = self.state.lock();
        let mut answers = Vec::with_capacity(settlements.len());
        for settlement in settlements {
            let Some(mut delivery) = state.claimed(settlement.delivery_id, settlement.fencing_token) else {
                answers.push(Fenced::LeaseLost);
                continue;
            };
            let webhook = state.webhooks.get(&delivery.webhook_id).cloned().ok_or_else(|| gone("webhook"))?;
            if let Some(attempt) = &settlement.attempt {
                delivery.attempt_count = delivery.attempt_count.max(attempt.number);
                state.attempts.push(attempt.clone());
            }
            let signal = settlement.health.filter(|_| !delivery.is_test);
            let changed = signal.and_then(|signal| settle::apply_health(&webhook, signal, settlement.now));
            let standing_webhook = changed.as_ref().unwrap_or(&webhook);
            let next = settle::under_standing_webhook(settlement.next.clone(), standing_webhook, &delivery);
            state.put_next(delivery, next, settlement.now);
            if let Some(changed) = changed {
                if changed.status != webhook.status && changed.status.holds() {
                    state.hold_due(changed.id, &held_reason(changed.status), settlement.now);
                }
                state.webhooks.insert(changed.id, changed);
            }
            answers.push(Fenced::Done);
        }
        Ok(answers)
    }

    async fn extend(&self, claims: &[(DeliveryId, i64)], leased_until: Timestamp) -> Result<Vec<Fenced>, StoreError> {
        let mut state = self.state.lock();
        let extended = claims.iter().map(|(id, fencing_token)| {
            if state.claimed(*id, *fencing_token).is_none() {
                return Fenced::LeaseLost;
            }
            state.deliveries.entry(*id).and_modify(|kept| kept.leased_until = Some(leased_until));
            Fenced::Done
        });
        Ok(extended.collect())
    }

    async fn release(&self, claims: &[(DeliveryId, i64)], now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        for (id, fencing_token) in claims {
            let Some(delivery) = state.claimed(*id, *fencing_token) else { continue };
            let webhook = state.webhooks.get(&delivery.webhook_id).ok_or_else(|| gone("webhook"))?;
            let next = settle::under_standing_webhook(settle::postponed(&delivery, now), webhook, &delivery);
            state.put_next(delivery, next, now);
        }
        Ok(())
    }

    async fn next_due_at(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let state = self.state.lock();
        let times = state
            .deliveries
            .values()
            .filter_map(|kept| kept.leased_until.or(kept.delivery.due_at.filter(|_| is_due(&kept.delivery))));
        Ok(times.filter(|at| *at > after).min())
    }
}
