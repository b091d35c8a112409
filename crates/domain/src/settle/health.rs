//! Health: what attempts say of their webhook, and when it is auto-disabled.

use super::Outcome;
use crate::attempt::OutcomeCode;
use crate::breaker::Trip;
use crate::delivery::Delivery;
use crate::limits::FAILING_MS_MAX;
use crate::time::{Timestamp, plus_ms};
use crate::webhook::{Webhook, WebhookStatus};

/// What an attempt says of its webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthSignal {
    /// It succeeded: nothing fails any more.
    Succeeded,
    /// It failed: failing since now, unless it was failing before; auto-disabled when that was too long ago.
    Failed,
    /// It failed, and with it the share of failures that opens the breaker was reached.
    Tripped {
        /// What was counted.
        trip: Trip,
        /// For how long the receiver asked to be left alone, in milliseconds; 0 where it did not.
        asked_ms: u64,
    },
    /// 410: auto-disable.
    Gone,
    /// A probe succeeded: the breaker closes.
    ProbeSucceeded,
    /// A probe failed: the next one waits longer.
    ProbeFailed {
        /// For how long the receiver asked to be left alone, in milliseconds; 0 where it did not.
        asked_ms: u64,
    },
}

/// What an outcome says of its webhook: nothing for a test, and nothing where no request went out, because a fault of
/// ours or of the payload query never counts against the receiver.
pub const fn health_signal(code: OutcomeCode, is_test: bool) -> Option<HealthSignal> {
    if is_test {
        return None;
    }
    match code {
        OutcomeCode::Delivered => Some(HealthSignal::Succeeded),
        OutcomeCode::Gone => Some(HealthSignal::Gone),
        OutcomeCode::HttpStatus
        | OutcomeCode::Redirect
        | OutcomeCode::Timeout
        | OutcomeCode::DnsFailed
        | OutcomeCode::AddressRefused
        | OutcomeCode::ConnectFailed
        | OutcomeCode::TlsFailed
        | OutcomeCode::ConnectionClosed
        | OutcomeCode::ProtocolError => Some(HealthSignal::Failed),
        OutcomeCode::InvalidRequest
        | OutcomeCode::RenderFailed
        | OutcomeCode::RenderBudgetExceeded
        | OutcomeCode::ServerFault => None,
    }
}

/// What an attempt of that delivery says of its webhook as it was claimed: [`health_signal`], where the attempt was a probe or
/// opened the breaker said so.
pub fn signal_of(outcome: Outcome, delivery: &Delivery, webhook: &Webhook, trip: Option<Trip>) -> Option<HealthSignal> {
    let signal = health_signal(outcome.code, delivery.is_test)?;
    let is_probe = webhook.is_probed_by(delivery);
    let asked_ms = outcome.asked_ms();
    Some(match (signal, trip) {
        (HealthSignal::Succeeded, _) if is_probe => HealthSignal::ProbeSucceeded,
        (HealthSignal::Failed, _) if is_probe => HealthSignal::ProbeFailed { asked_ms },
        (HealthSignal::Failed, Some(trip)) => HealthSignal::Tripped { trip, asked_ms },
        (signal, _) => signal,
    })
}

/// The webhook as a signal leaves it, one version on; none where it changes nothing, so that a webhook that works, or
/// that keeps failing, is not written. Where the status becomes one that holds, the store holds what is due with it.
///
/// Only a webhook that sends is auto-disabled or suspended: what the user or schema drift decided stays, and the next 410
/// after a resume disables it then. A probe's end means something only while the webhook is suspended; what was in flight
/// as the breaker opened neither closes nor prolongs it.
pub fn apply_health(webhook: &Webhook, signal: HealthSignal, now: Timestamp) -> Option<Webhook> {
    use HealthSignal::{Failed, Gone, ProbeFailed, ProbeSucceeded, Succeeded, Tripped};
    if webhook.deleted_at.is_some() {
        return None;
    }
    // A copy is made only for a change: hardly any attempt makes one.
    let next = || Webhook { version: webhook.version + 1, ..webhook.clone() };
    let is_suspended = webhook.status == WebhookStatus::Suspended;
    let sends = is_suspended || webhook.status == WebhookStatus::Active;
    let failed = || Webhook { failing_since: webhook.failing_since.or(Some(now)), ..next() };
    match (signal, webhook.failing_since) {
        (Gone, _) if sends => Some(auto_disabled(failed(), "the receiver answered 410 Gone".to_owned(), now)),
        (Failed | Tripped { .. } | ProbeFailed { .. }, Some(since))
            if sends && plus_ms(since, FAILING_MS_MAX) <= now =>
        {
            let reason = format!("no attempt has succeeded since {}", since.format("%Y-%m-%dT%H:%M:%SZ"));
            Some(auto_disabled(failed(), reason, now))
        }
        (ProbeSucceeded, _) if is_suspended => Some(next().with_status(WebhookStatus::Active, None, now)),
        (ProbeFailed { asked_ms }, _) if is_suspended => {
            let breaker = webhook.breaker.probe_failed(now).left_alone(asked_ms, now);
            Some(Webhook { breaker, ..failed() })
        }
        (Tripped { trip, asked_ms }, _) if webhook.status == WebhookStatus::Active => {
            let suspended = failed().with_status(WebhookStatus::Suspended, Some(trip.to_string()), now);
            let breaker = suspended.breaker.left_alone(asked_ms, now);
            Some(Webhook { breaker, ..suspended })
        }
        (Succeeded | ProbeSucceeded, Some(_)) => Some(Webhook { failing_since: None, ..next() }),
        (Failed | Tripped { .. } | ProbeFailed { .. } | Gone, None) => Some(failed()),
        (Succeeded | ProbeSucceeded, None) | (Failed | Tripped { .. } | ProbeFailed { .. } | Gone, Some(_)) => None,
    }
}

fn auto_disabled(webhook: Webhook, reason: String, now: Timestamp) -> Webhook {
    webhook.with_status(WebhookStatus::AutoDisabled, Some(reason), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::Breaker;
    use crate::drain::Drain;
    use crate::ids::DeliveryId;
    use crate::sample::{delivery, now, webhook};
    use uuid::Uuid;

    const TRIP: Trip = Trip { attempts: 20, failed: 12 };
    const TRIPPED: HealthSignal = HealthSignal::Tripped { trip: TRIP, asked_ms: 0 };
    const PROBE_FAILED: HealthSignal = HealthSignal::ProbeFailed { asked_ms: 0 };

    fn suspended() -> Webhook {
        apply_health(&webhook(), TRIPPED, now()).unwrap()
    }

    /// With the sample's delivery as its probe.
    fn probed() -> Webhook {
        let open = suspended();
        Webhook { breaker: open.breaker.probing(delivery().id, now()), ..open }
    }

    #[test]
    fn a_trip_suspends_an_active_webhook_and_no_other() {
        let open = suspended();
        assert_eq!((open.status, open.version, open.failing_since), (WebhookStatus::Suspended, 2, Some(now())));
        assert_eq!(open.status_reason.as_deref(), Some("12 of 20 attempts failed within 60 s"));
        assert_eq!(open.breaker, Breaker::opened(now()));
        for status in WebhookStatus::ALL.into_iter().filter(|status| *status != WebhookStatus::Active) {
            let failing = Webhook { status, failing_since: Some(now()), ..webhook() };
            assert_eq!(apply_health(&failing, TRIPPED, now()), None, "{status:?}");
        }
    }

    #[test]
    fn a_delivered_probe_closes_the_breaker_and_begins_to_drain() {
        let closed = apply_health(&probed(), HealthSignal::ProbeSucceeded, now()).unwrap();
        assert_eq!((closed.status, closed.failing_since), (WebhookStatus::Active, None));
        assert_eq!((closed.breaker, closed.draining), (Breaker::default(), Some(Drain::begun(now()))));
        assert_eq!((closed.version, closed.status_reason), (3, None));
    }

    #[test]
    fn a_failed_probe_makes_the_next_one_wait_longer_and_five_days_of_them_disable() {
        let open = apply_health(&probed(), PROBE_FAILED, now()).unwrap();
        assert_eq!((open.status, open.breaker.probes_failed), (WebhookStatus::Suspended, 1));
        assert_eq!((open.breaker.probe_at, open.breaker.probe_id), (Some(plus_ms(now(), 20_000)), None));
        let late = plus_ms(now(), FAILING_MS_MAX);
        let disabled = apply_health(&open, PROBE_FAILED, late).unwrap();
        assert_eq!((disabled.status, disabled.breaker), (WebhookStatus::AutoDisabled, Breaker::default()));
    }

    #[test]
    fn a_breaker_opens_and_stays_open_for_as_long_as_the_receiver_asked() {
        let (minute, hour) = (60_000, 3_600_000);
        let open = apply_health(&webhook(), HealthSignal::Tripped { trip: TRIP, asked_ms: minute }, now()).unwrap();
        assert_eq!(open.breaker.probe_at, Some(plus_ms(now(), minute)));
        let failed = HealthSignal::ProbeFailed { asked_ms: hour };
        let open = apply_health(&probed(), failed, now()).unwrap();
        assert_eq!((open.breaker.probe_at, open.breaker.probes_failed), (Some(plus_ms(now(), hour)), 1));
    }

    #[test]
    fn what_a_receiver_asks_for_is_honoured_on_429_and_503_up_to_a_day() {
        for (status, retry_after_ms, asked_ms) in [
            (Some(429), Some(60_000), 60_000),
            (Some(503), Some(u64::MAX), 86_400_000),
            (Some(503), None, 0),
            (Some(500), Some(60_000), 0),
            (None, None, 0),
        ] {
            let outcome = Outcome { code: OutcomeCode::HttpStatus, status, retry_after_ms };
            let tripped = signal_of(outcome, &delivery(), &webhook(), Some(TRIP));
            assert_eq!(tripped, Some(HealthSignal::Tripped { trip: TRIP, asked_ms }), "{outcome:?}");
            let failed = signal_of(outcome, &delivery(), &probed(), None);
            assert_eq!(failed, Some(HealthSignal::ProbeFailed { asked_ms }), "{outcome:?}");
        }
    }

    #[test]
    fn what_was_in_flight_as_it_opened_neither_closes_nor_prolongs_it() {
        let after = apply_health(&suspended(), HealthSignal::Succeeded, now()).unwrap();
        assert_eq!((after.status, after.breaker), (WebhookStatus::Suspended, suspended().breaker));
        assert_eq!(apply_health(&suspended(), HealthSignal::Failed, now()), None);
    }

    #[test]
    fn a_probe_that_ends_after_a_person_paused_changes_no_status() {
        let paused = probed().with_status(WebhookStatus::Paused, None, now());
        let after = apply_health(&paused, HealthSignal::ProbeSucceeded, now()).unwrap();
        assert_eq!((after.status, after.draining), (WebhookStatus::Paused, None));
        assert_eq!(apply_health(&paused, PROBE_FAILED, now()), None);
    }

    #[test]
    fn only_the_probe_of_a_suspended_webhook_is_sent_and_signals_as_one() {
        let other = Delivery { id: DeliveryId(Uuid::from_u128(77)), ..delivery() };
        assert!(probed().sends(&delivery()) && !probed().sends(&other));
        assert!(!Webhook { status: WebhookStatus::Paused, ..probed() }.sends(&delivery()));
        for (code, webhook, trip, expected) in [
            (OutcomeCode::Delivered, probed(), None, HealthSignal::ProbeSucceeded),
            (OutcomeCode::Timeout, probed(), Some(TRIP), PROBE_FAILED),
            (OutcomeCode::Gone, probed(), None, HealthSignal::Gone),
            (OutcomeCode::Timeout, webhook(), Some(TRIP), TRIPPED),
            (OutcomeCode::Timeout, webhook(), None, HealthSignal::Failed),
            (OutcomeCode::Delivered, webhook(), None, HealthSignal::Succeeded),
        ] {
            let outcome = Outcome::without_answer(code);
            assert_eq!(signal_of(outcome, &delivery(), &webhook, trip), Some(expected), "{code:?}");
        }
        let test = Delivery { is_test: true, ..delivery() };
        let outcome = Outcome::without_answer(OutcomeCode::Timeout);
        assert_eq!(signal_of(outcome, &test, &webhook(), Some(TRIP)), None);
    }
}
