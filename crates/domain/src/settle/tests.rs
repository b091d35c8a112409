//! Settling by table.

use super::*;
use crate::limits::FAILING_MS_MAX;
use crate::sample::{delivery, now, webhook};
use DeliveryState::*;

fn outcome(code: OutcomeCode, status: Option<u16>) -> Outcome {
    Outcome { code, status, retry_after_ms: None }
}

fn due_in_ms(next: &NextState) -> Option<i64> {
    next.due_at.map(|due_at| (due_at - now()).num_milliseconds())
}

#[test]
fn each_outcome_of_a_first_attempt_leads_to_its_state() {
    for (code, status, state, spent, due_ms) in [
        (OutcomeCode::Delivered, Some(204), Delivered, 1, None),
        (OutcomeCode::HttpStatus, Some(500), Retrying, 1, Some(5_000)),
        (OutcomeCode::HttpStatus, Some(404), Retrying, 1, Some(5_000)),
        (OutcomeCode::Redirect, Some(302), Retrying, 1, Some(5_000)),
        (OutcomeCode::Gone, Some(410), Held, 1, None),
        (OutcomeCode::Timeout, None, Retrying, 1, Some(5_000)),
        (OutcomeCode::DnsFailed, None, Retrying, 1, Some(5_000)),
        (OutcomeCode::AddressRefused, None, Retrying, 1, Some(5_000)),
        (OutcomeCode::ConnectFailed, None, Retrying, 1, Some(5_000)),
        (OutcomeCode::TlsFailed, None, Retrying, 1, Some(5_000)),
        (OutcomeCode::ConnectionClosed, Some(200), Retrying, 1, Some(5_000)),
        (OutcomeCode::ProtocolError, None, Retrying, 1, Some(5_000)),
        (OutcomeCode::InvalidRequest, None, Failed, 0, None),
        (OutcomeCode::RenderFailed, None, RenderFailed, 0, None),
        (OutcomeCode::RenderBudgetExceeded, None, RenderFailed, 0, None),
        (OutcomeCode::ServerFault, None, Retrying, 0, Some(5_000)),
    ] {
        let next = decide(&delivery(), &webhook(), outcome(code, status), now(), 0.0);
        assert_eq!((next.state, next.attempts_spent, due_in_ms(&next)), (state, spent, due_ms), "{code:?}");
        assert_eq!(next.reason.is_none(), state == Delivered, "{code:?} says why");
    }
}

#[test]
fn what_its_webhook_sends_is_never_held() {
    let held =
        |attempts_spent| NextState { state: Held, reason: Some("a probe".to_owned()), due_at: None, attempts_spent };
    for (next, state) in [(held(0), Pending), (held(2), Retrying)] {
        assert_eq!(under_sending_webhook(next).state, state);
    }
    let delivered = NextState { state: Delivered, reason: None, due_at: None, attempts_spent: 1 };
    assert_eq!(under_sending_webhook(delivered.clone()), delivered);
}

#[test]
fn a_failed_probe_is_held_again_and_spends_nothing() {
    let suspended = webhook().with_status(WebhookStatus::Suspended, None, now());
    let probed = Webhook { breaker: suspended.breaker.probing(delivery().id, now()), ..suspended };
    let tried = Delivery { attempts_spent: 10, ..delivery() };
    for (code, state, spent) in [
        (OutcomeCode::Timeout, Held, 10),
        (OutcomeCode::HttpStatus, Held, 10),
        (OutcomeCode::Gone, Held, 11),
        (OutcomeCode::Delivered, Delivered, 11),
        (OutcomeCode::ServerFault, Retrying, 10),
    ] {
        let next = decide(&tried, &probed, outcome(code, None), now(), 0.0);
        assert_eq!((next.state, next.attempts_spent), (state, spent), "{code:?}");
    }
    assert_eq!(before_sending(&tried, &probed, now()), None);
    let expired = Delivery { due_since: now() - chrono::TimeDelta::days(30), ..delivery() };
    assert_eq!(decide(&expired, &probed, outcome(OutcomeCode::Timeout, None), now(), 0.0).state, Expired);
}

#[test]
fn a_delivery_fails_after_its_eleventh_attempt() {
    let mut delivery = delivery();
    for spent in 1..=11 {
        let next = decide(&delivery, &webhook(), outcome(OutcomeCode::Timeout, None), now(), 1.0);
        assert_eq!(next.attempts_spent, spent);
        assert_eq!(next.state, if spent < 11 { Retrying } else { Failed });
        delivery.attempts_spent = next.attempts_spent;
    }
}

#[test]
fn a_retry_after_is_honoured_on_429_and_503_alone() {
    for (status, due_ms) in [(429, 60_000), (503, 60_000), (500, 5_000), (301, 5_000)] {
        let outcome = Outcome { code: OutcomeCode::HttpStatus, status: Some(status), retry_after_ms: Some(60_000) };
        let next = decide(&delivery(), &webhook(), outcome, now(), 0.0);
        assert_eq!(due_in_ms(&next), Some(due_ms), "{status}");
    }
}

#[test]
fn what_is_owed_for_thirty_days_expires() {
    let month = Delivery { due_since: now() - chrono::TimeDelta::days(30), ..delivery() };
    let almost = Delivery { due_since: month.due_since + chrono::TimeDelta::milliseconds(1), ..delivery() };
    for code in [OutcomeCode::Timeout, OutcomeCode::ServerFault] {
        assert_eq!(decide(&month, &webhook(), outcome(code, None), now(), 0.0).state, Expired);
        assert_eq!(decide(&almost, &webhook(), outcome(code, None), now(), 0.0).state, Retrying);
    }
    assert_eq!(decide(&month, &webhook(), outcome(OutcomeCode::Delivered, None), now(), 0.0).state, Delivered);
    assert_eq!(before_sending(&month, &webhook(), now()).map(|next| next.state), Some(Expired));
    assert_eq!(before_sending(&almost, &webhook(), now()), None);
}

#[test]
fn a_test_that_is_answered_410_fails_and_disables_nothing() {
    let test = Delivery { is_test: true, ..delivery() };
    let next = decide(&test, &webhook(), outcome(OutcomeCode::Gone, Some(410)), now(), 0.0);
    assert_eq!((next.state, next.attempts_spent), (Failed, 1));
    assert_eq!(health_signal(OutcomeCode::Gone, true), None);
}

#[test]
fn the_webhook_at_the_commit_has_the_last_word_on_what_would_be_due() {
    let deleted = Webhook { deleted_at: Some(now()), ..webhook() };
    let with = |status| Webhook { status, ..webhook() };
    for (decided, webhook, expected) in [
        (Retrying, Some(webhook()), Retrying),
        (Retrying, Some(with(WebhookStatus::Paused)), Held),
        (Retrying, Some(with(WebhookStatus::Suspended)), Held),
        (Retrying, Some(with(WebhookStatus::AutoDisabled)), Held),
        (Retrying, Some(with(WebhookStatus::Invalid)), Held),
        (Retrying, Some(with(WebhookStatus::Disabled)), Cancelled),
        (Retrying, Some(deleted.clone()), Cancelled),
        (Retrying, None, Cancelled),
        (Held, Some(with(WebhookStatus::AutoDisabled)), Held),
        (Held, Some(with(WebhookStatus::Disabled)), Cancelled),
        (Held, Some(deleted.clone()), Cancelled),
        (Delivered, Some(deleted.clone()), Delivered),
        (Failed, Some(with(WebhookStatus::Paused)), Failed),
        (RenderFailed, None, RenderFailed),
        (Expired, Some(with(WebhookStatus::Disabled)), Expired),
    ] {
        let next = NextState { state: decided, reason: None, due_at: Some(now()), attempts_spent: 3 };
        let became = under_webhook(next.clone(), webhook.as_ref(), false);
        assert_eq!(became.state, expected, "{decided:?} under {:?}", webhook.map(|webhook| webhook.status));
        assert_eq!(became.attempts_spent, 3);
        assert!(became == next || (became.due_at.is_none() && became.reason.is_some()));

        let expected = if decided == Delivered { Delivered } else { Cancelled };
        assert_eq!(under_webhook(next, Some(&deleted), true).state, expected, "{decided:?}, cancelled by a person");
    }
}

#[test]
fn what_ends_with_its_webhook_says_so_though_it_was_asked_to_end_while_it_was_in_flight() {
    let deleted = Webhook { deleted_at: Some(now()), ..webhook() };
    let disabled = Webhook { status: WebhookStatus::Disabled, ..webhook() };
    for (webhook, expected) in [
        (Some(webhook()), "cancelled by a person"),
        (Some(Webhook { status: WebhookStatus::Paused, ..webhook() }), "cancelled by a person"),
        (Some(disabled.clone()), "its webhook was switched off"),
        (Some(Webhook { status: WebhookStatus::Disabled, ..deleted.clone() }), "its webhook was deleted"),
        (Some(deleted), "its webhook was deleted"),
        (None, "its webhook was deleted"),
    ] {
        let next = NextState { state: Retrying, reason: None, due_at: Some(now()), attempts_spent: 1 };
        let became = under_webhook(next, webhook.as_ref(), true);
        assert_eq!((became.state, became.reason.as_deref()), (Cancelled, Some(expected)));
    }
}

#[test]
fn a_claimed_delivery_whose_webhook_does_not_send_goes_back_unspent_for_the_commit_to_decide() {
    let with = |status| Webhook { status, ..webhook() };
    let deleted = Webhook { deleted_at: Some(now()), ..webhook() };
    let tried = Delivery { attempts_spent: 2, ..delivery() };
    let cancelled = Delivery { cancel_requested: true, ..delivery() };
    let test = Delivery { is_test: true, ..delivery() };
    let cancelled_test = Delivery { is_test: true, ..cancelled.clone() };
    for (delivery, webhook, expected) in [
        (delivery(), webhook(), None),
        (delivery(), with(WebhookStatus::Paused), Some(Pending)),
        (tried, with(WebhookStatus::Disabled), Some(Retrying)),
        (delivery(), deleted.clone(), Some(Pending)),
        (cancelled, webhook(), Some(Pending)),
        (test.clone(), with(WebhookStatus::Disabled), None),
        (test.clone(), with(WebhookStatus::Paused), None),
        (test, deleted, Some(Pending)),
        (cancelled_test, webhook(), Some(Pending)),
    ] {
        let next = before_sending(&delivery, &webhook, now());
        assert_eq!(next.as_ref().map(|next| next.state), expected, "{delivery:?} under {:?}", webhook.status);
        assert!(next.is_none_or(|next| next.attempts_spent == delivery.attempts_spent && next.due_at == Some(now())));
    }
}

#[test]
fn a_fault_that_is_not_the_receivers_says_nothing_of_its_health() {
    for code in OutcomeCode::ALL {
        let is_ours = matches!(
            code,
            OutcomeCode::InvalidRequest
                | OutcomeCode::RenderFailed
                | OutcomeCode::RenderBudgetExceeded
                | OutcomeCode::ServerFault
        );
        assert_eq!(health_signal(code, false).is_none(), is_ours, "{code:?}");
        assert_eq!(health_signal(code, true), None);
    }
}

#[test]
fn health_is_written_when_it_changes_and_five_days_of_failure_disable() {
    let healthy = webhook();
    assert_eq!(apply_health(&healthy, HealthSignal::Succeeded, now()), None);

    let failing = apply_health(&healthy, HealthSignal::Failed, now()).unwrap();
    assert_eq!((failing.failing_since, failing.version), (Some(now()), 2));
    assert_eq!((failing.status, failing.updated_at), (WebhookStatus::Active, healthy.updated_at));

    let just_before = plus_ms(now(), FAILING_MS_MAX - 1);
    assert_eq!(apply_health(&failing, HealthSignal::Failed, just_before), None);
    let recovered = apply_health(&failing, HealthSignal::Succeeded, just_before).unwrap();
    assert_eq!((recovered.failing_since, recovered.version), (None, 3));

    let later = plus_ms(now(), FAILING_MS_MAX);
    let disabled = apply_health(&failing, HealthSignal::Failed, later).unwrap();
    assert_eq!((disabled.status, disabled.status_since, disabled.version), (WebhookStatus::AutoDisabled, later, 3));
    assert_eq!(disabled.status_reason.as_deref(), Some("no attempt has succeeded since 2023-11-14T22:13:20Z"));
    assert_eq!(apply_health(&disabled, HealthSignal::Failed, later), None);
    let resumed = disabled.with_status(WebhookStatus::Active, None, later);
    assert_eq!((resumed.status, resumed.failing_since), (WebhookStatus::Active, None));
}

#[test]
fn a_410_disables_a_webhook_that_sends_and_no_other() {
    for status in WebhookStatus::ALL {
        let sends = matches!(status, WebhookStatus::Active | WebhookStatus::Suspended);
        let after = apply_health(&Webhook { status, ..webhook() }, HealthSignal::Gone, now()).unwrap();
        assert_eq!(after.status, if sends { WebhookStatus::AutoDisabled } else { status });
    }
    let deleted = Webhook { deleted_at: Some(now()), ..webhook() };
    assert_eq!(apply_health(&deleted, HealthSignal::Gone, now()), None);
}
