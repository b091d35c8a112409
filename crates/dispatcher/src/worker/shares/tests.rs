//! What webhooks may take, and what this process learns of them.

use super::super::tests::{due, noon, payload, with_webhook};
use super::*;
use crate::limits::IN_FLIGHT_MAX;
use hookgraph_domain::limits::BREAKER_ATTEMPTS_MIN;
use hookgraph_domain::time::minus_ms;
use hookgraph_domain::webhook::WebhookStatus;

#[test]
fn a_webhook_that_hangs_holds_no_more_than_it_leaves_free() {
    for (hanging, held_most, left) in [(1, 128, 128), (2, 86, 85), (3, 64, 64), (15, 16, 16), (255, 1, 1)] {
        let mut held = vec![0_u32; hanging];
        // They take slots in turns, until none of them may take one more.
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
    let shares = Shares::default();
    let mut retried = due(1, 1, "200");
    retried.delivery.attempts_spent = 1;
    let held: Vec<_> = (0..3).map(|_| shares.enter(&retried, noon())).collect();
    let first = shares.enter(&due(2, 1, "200"), noon());
    assert_eq!(shares.allowance(4, 0, 4, noon()).retries_max, 0);
    drop(held);
    assert_eq!(shares.allowance(4, 0, 4, noon()).retries_max, 3);
    drop(first);
    assert_eq!(shares.allowance(4, 0, 4, noon()), Allowance { limits: vec![], per_webhook: 2, retries_max: 3 });
}

#[test]
fn tokens_bound_the_claims_of_a_webhook_with_a_rate() {
    let shares = Shares::default();
    let claim = with_webhook(due(1, 1, "200"), |webhook| webhook.flow.rate_per_second = Some(10));
    assert_eq!(shares.take_token(&claim, noon()), Ok(()));
    assert_eq!(shares.next_token_ms(noon(), noon()), None);
    assert_eq!(shares.allowance(100, 0, 100, noon()).limits, [(claim.webhook.id, 1)]);
    assert_eq!(shares.take_token(&claim, noon()), Ok(()));
    assert_eq!(shares.take_token(&claim, noon()), Err(plus_ms(noon(), 100)));
    assert_eq!(shares.allowance(100, 0, 100, noon()).limits, [(claim.webhook.id, 0)]);
    assert_eq!(shares.next_token_ms(noon(), noon()), Some(101));
    let later = plus_ms(noon(), 500);
    assert_eq!(shares.next_token_ms(noon(), later), Some(RATE_LOOK_MS), "it came while the claim ran");
    assert_eq!(shares.next_token_ms(later, later), None);
    let unbounded = with_webhook(claim, |webhook| webhook.flow.rate_per_second = None);
    assert_eq!(shares.take_token(&unbounded, noon()), Ok(()));
    assert_eq!(shares.allowance(100, 0, 100, noon()).limits, []);
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
    let shares = Shares::default();
    let mut claim = due(1, 1, "200");
    claim.delivery.attempts_spent = 1;
    let id = claim.webhook.id;
    let first = shares.enter(&claim, noon());
    assert_eq!(first.extra_slots(), 0);
    drop(first);
    shares.rendered([(id, 8 * SLOT_BYTES), (id, 1)].into_iter(), noon());
    assert_eq!(shares.allowance(256, 0, 256, noon()).limits, [(id, 16)], "an eighth of 128");
    let mut held = shares.enter(&claim, noon());
    assert_eq!(held.extra_slots(), 7, "as recent payloads needed");
    assert_eq!(shares.holdings(&[id], noon())[0].in_flight, 8);
    let allowance = shares.allowance(248, 0, 256, noon());
    assert_eq!((allowance.limits, allowance.retries_max), (vec![(id, 15)], 184), "a retry of eight slots");
    held.holds_extra(0);
    assert_eq!(shares.holdings(&[id], noon())[0].in_flight, 1);
    assert_eq!(shares.allowance(256, 0, 256, noon()).retries_max, 191);
    drop(held);
    claim.payload = Some(payload(&"x".repeat(3 * SLOT_BYTES)));
    assert_eq!(shares.enter(&claim, noon()).extra_slots(), 2, "as its own payload needs");
    let other = due(1, 2, "200").webhook.id;
    shares.rendered([(other, 8 * SLOT_BYTES)].into_iter(), noon());
    assert_eq!(shares.allowance(256, 0, 256, noon()).limits, [(id, 8), (other, 8)], "they share in the 128");
    (0..4).for_each(|_| shares.rendered([(other, 10)].into_iter(), noon()));
    assert_eq!(shares.holdings(&[id], noon())[0].in_flight, 0);
    assert_eq!(shares.allowance(256, 0, 256, noon()).retries_max, 192);
    (0..3).for_each(|_| shares.rendered([(id, 10)].into_iter(), noon()));
    assert_eq!(shares.allowance(256, 0, 256, noon()).limits, [], "small ones count little by little");
}

#[test]
fn webhooks_at_rest_with_large_payloads_take_no_room_from_others() {
    let shares = Shares::default();
    let large = |webhook| (due(1, webhook, "200").webhook.id, 2 * SLOT_BYTES);
    shares.rendered((1..=100).map(large), noon());
    let later = plus_ms(noon(), PAYLOADS_KNOWN_MS);
    assert_eq!(shares.allowance(256, 0, 256, plus_ms(noon(), PAYLOADS_KNOWN_MS - 1)).limits.len(), 100);
    assert_eq!(shares.allowance(256, 0, 256, later).limits, []);
    let claim = due(1, 2, "200");
    let held: Vec<_> = (0..3).map(|_| shares.enter(&claim, later)).collect();
    assert!(held.iter().all(|one| one.extra_slots() == 0), "as the claim took them");
    assert_eq!(shares.render_portion(&[claim]), (1, 8), "as if nothing were known");
    drop(held);
    assert_eq!(shares.allowance(256, 0, 256, minus_ms(noon(), 1)).limits, [], "a clock that was set back");
    shares.rendered([large(1)].into_iter(), later);
    assert_eq!(shares.allowance(256, 0, 256, later).limits, [(large(1).0, 64)], "half of 128, shared with nobody");
}

#[test]
fn a_frozen_payload_tells_how_large_the_payloads_of_its_webhook_are() {
    let shares = Shares::default();
    let mut claim = due(1, 1, "200");
    claim.payload = Some(payload(&"x".repeat(4 * SLOT_BYTES)));
    drop(shares.enter(&claim, noon()));
    assert_eq!(shares.allowance(256, 0, 256, noon()).limits, [(claim.webhook.id, 32)], "a quarter of 128");
    claim.payload = Some(payload("{}"));
    drop(shares.enter(&claim, noon()));
    assert_eq!(shares.allowance(256, 0, 256, noon()).limits, [(claim.webhook.id, 32)], "a small one is no news");
}

#[test]
fn payloads_are_rendered_together_by_the_sizes_of_recent_ones() {
    let shares = Shares::default();
    let of = |webhook: u128| (0..100).map(|number| due(number, webhook, "200")).collect::<Vec<_>>();
    let (large, small) = (of(1), of(2));
    assert_eq!(shares.render_portion(&large), (16, 128), "nothing is known yet");
    assert_eq!(shares.render_portion(&large[..3]), (3, 24));
    shares.rendered([(large[0].webhook.id, 1024 * 1024), (small[0].webhook.id, 1_000)].into_iter(), noon());
    assert_eq!((shares.render_portion(&large), shares.render_portion(&small)), ((8, 128), (RENDER_COUNT_MAX, 0)));
    let mixed: Vec<_> = small[..4].iter().chain(&large).cloned().collect();
    assert_eq!(shares.render_portion(&mixed), (11, 112), "small payloads count for nothing");
    shares.rendered([(large[0].webhook.id, 1_000)].into_iter(), noon());
    assert_eq!(shares.render_portion(&large), (16, 128));
    shares.rendered([(large[0].webhook.id, usize::MAX)].into_iter(), noon());
    assert_eq!(shares.render_portion(&large), (1, u32::MAX), "one at least");
    let failing = of(3);
    shares.refused([failing[0].webhook.id, large[0].webhook.id].into_iter(), noon());
    assert_eq!(shares.render_portion(&failing), (RENDER_COUNT_MAX, 0), "a refused render takes no room");
    assert_eq!(shares.render_portion(&large), (1, u32::MAX), "a refusal is no news of a webhook with large payloads");
}

/// The requests hang until long after a probe was delivered.
#[test]
fn attempts_in_flight_as_a_breaker_opened_do_not_open_it_again_once_it_has_closed() {
    let shares = Shares::default();
    let before = due(1, 1, "200");
    let hanging: Vec<_> = (0..BREAKER_ATTEMPTS_MIN).map(|_| shares.enter(&before, noon())).collect();
    let fail = |count: u32, claim: &ClaimedDelivery| {
        (0..count).filter_map(|_| shares.ended(&claim.webhook, OutcomeCode::Timeout, noon())).count()
    };
    assert_eq!(fail(BREAKER_ATTEMPTS_MIN - 1, &before), 0);
    let closed = with_webhook(due(2, 1, "200"), |webhook| {
        *webhook = webhook.clone().with_status(WebhookStatus::Suspended, None, plus_ms(noon(), 1_000));
        *webhook = webhook.clone().with_status(WebhookStatus::Active, None, plus_ms(noon(), 11_000));
        webhook.version += 2;
    });
    let first = shares.enter(&closed, noon());
    assert_eq!(fail(2 * BREAKER_ATTEMPTS_MIN, &before), 0, "nor do they count together with later ones");
    assert_eq!(fail(BREAKER_ATTEMPTS_MIN - 1, &closed), 0);
    assert_eq!(fail(1, &closed), 1);
    drop((hanging, first));
}

#[test]
fn webhooks_at_rest_are_forgotten_once_there_are_too_many() {
    let shares = Shares::default();
    let mut webhook = (*due(1, 1, "200").webhook).clone();
    for number in 0..=FLOW_WEBHOOKS_MAX as u128 {
        webhook.id = WebhookId(uuid::Uuid::from_u128(number));
        shares.ended(&webhook, OutcomeCode::Timeout, noon());
    }
    let busy = shares.enter(&due(1, 7, "200"), noon());
    shares.allowance(4, 0, 4, noon());
    assert_eq!(shares.0.lock().webhooks.len(), FLOW_WEBHOOKS_MAX + 1);
    shares.allowance(4, 0, 4, plus_ms(noon(), 60_000));
    assert_eq!(shares.0.lock().webhooks.keys().collect::<Vec<_>>(), [&busy.webhook_id]);
}
