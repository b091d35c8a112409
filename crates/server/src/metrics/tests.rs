//! What is counted, and under which names.

use super::*;
use hookgraph_domain::change::{Claimed, Committed};
use hookgraph_domain::ids::EventId;
use hookgraph_domain::settle::NextState;
use hookgraph_domain::time::plus_ms;
use std::collections::BTreeSet;
use uuid::{ContextV7, Uuid};

fn at() -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000, 0).unwrap()
}

fn settlement(number: u32, code: OutcomeCode, state: DeliveryState) -> Settlement {
    let made_at = uuid::Timestamp::from_unix(ContextV7::new(), 1_700_000_000, 0);
    let delivery_id = DeliveryId(Uuid::new_v7(made_at));
    let started_at = plus_ms(at(), 40);
    let request = hookgraph_domain::attempt::OutgoingRequest {
        method: "POST".to_owned(),
        url: "https://receiver.example/".to_owned(),
        headers: Vec::new(),
        body: None,
    };
    let attempt = Attempt {
        id: Uuid::nil().into(),
        delivery_id,
        number,
        code,
        detail: None,
        request: Some(request),
        response: None,
        response_body: None,
        response_truncated: false,
        remote_address: None,
        started_at,
        ended_at: plus_ms(started_at, 700),
    };
    Settlement {
        delivery_id,
        webhook_id: Uuid::nil().into(),
        fencing_token: 1,
        attempt: Some(attempt),
        next: NextState { state, reason: None, due_at: None, attempts_spent: number },
        health: None,
        now: at(),
    }
}

#[test]
fn settlements_are_counted_by_outcome_and_end_and_a_lost_lease_counts_as_that_alone() {
    let metrics = Metrics::new().unwrap();
    metrics.settled(&settlement(1, OutcomeCode::Timeout, DeliveryState::Retrying), Fenced::Done);
    metrics.settled(&settlement(2, OutcomeCode::Delivered, DeliveryState::Delivered), Fenced::Done);
    metrics.settled(&settlement(2, OutcomeCode::Delivered, DeliveryState::Delivered), Fenced::LeaseLost);
    let mut cancels = settlement(1, OutcomeCode::Timeout, DeliveryState::Cancelled);
    cancels.attempt = None;
    metrics.settled(&cancels, Fenced::Done);
    metrics.cancelled(2);
    metrics.orphans_found(3);
    metrics.unreadable(RowKind::FeedBatch);
    let text = metrics.handle().render();
    for line in [
        r#"hookgraph_attempts_total{outcome="TIMEOUT"} 1"#,
        r#"hookgraph_attempts_total{outcome="DELIVERED"} 1"#,
        r#"hookgraph_attempts_total{outcome="GONE"} 0"#,
        r#"hookgraph_deliveries_ended_total{state="DELIVERED"} 1"#,
        r#"hookgraph_deliveries_ended_total{state="CANCELLED"} 2"#,
        "hookgraph_leases_lost_total 1",
        "hookgraph_deliveries_orphaned_total 3",
        r#"hookgraph_rows_unreadable_total{kind="feed_batch"} 1"#,
        r#"hookgraph_rows_unreadable_total{kind="webhook"} 0"#,
        r#"hookgraph_attempt_duration_seconds_bucket{le="0.5"} 0"#,
        r#"hookgraph_attempt_duration_seconds_bucket{le="1"} 2"#,
        // Of the first attempt alone.
        r#"hookgraph_first_attempt_delay_seconds_bucket{le="0.025"} 0"#,
        r#"hookgraph_first_attempt_delay_seconds_bucket{le="0.05"} 1"#,
        "hookgraph_first_attempt_delay_seconds_count 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains(r#"state="RETRYING""#), "{text}");
}

#[test]
fn what_is_recorded_and_what_is_not_rendered_is_counted() {
    let metrics = Metrics::new().unwrap();
    metrics.recorded(&Committed {
        event_ids: vec![EventId(Uuid::nil()); 3],
        delivery_count: 5,
        claimed: Claimed::NotAll,
    });
    metrics.not_rendered(&RenderError::Refused("planned".to_owned()));
    let text = metrics.handle().render();
    for line in [
        "hookgraph_events_recorded_total 3",
        "hookgraph_deliveries_created_total 5",
        r#"hookgraph_render_failures_total{reason="refused"} 1"#,
        r#"hookgraph_render_failures_total{reason="unavailable"} 0"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn what_the_server_could_not_do_is_counted_by_its_code_and_what_its_client_did_wrong_is_not() {
    let metrics = Metrics::new().unwrap();
    let counted = || {
        let text = metrics.text();
        let lines = text.lines().filter(|line| line.starts_with("hookgraph_requests_refused_total{"));
        lines.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let expected = |unavailable: u32, others: u32| {
        let codes = [("UNAVAILABLE", unavailable), ("INTERNAL", others), ("LIMIT_EXCEEDED", others)];
        let lines = codes.map(|(code, count)| format!("hookgraph_requests_refused_total{{code=\"{code}\"}} {count}"));
        BTreeSet::from(lines)
    };
    assert_eq!(counted(), expected(0, 0));
    metrics.refused(RefusalCode::Unavailable);
    assert_eq!(counted(), expected(1, 0));
    RefusalCode::ALL.into_iter().for_each(|code| metrics.refused(code));
    assert_eq!(counted(), expected(2, 1));
}

#[test]
fn names_follow_the_conventions_of_prometheus() {
    for metric in METRICS {
        assert!(metric.name.starts_with("hookgraph_"), "{}", metric.name);
        assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        if let Kind::Histogram(bounds) = metric.kind {
            assert!(metric.name.ends_with("_seconds") && bounds.is_sorted(), "{}", metric.name);
        }
        assert!(metric.meaning.ends_with('.'), "{}", metric.name);
    }
}
