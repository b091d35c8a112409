//! The statements that run all day, for the test that asks the databases how they would run them.

use crate::queue::candidates_sql;
use crate::read::{delivery_page, event_page, feed_entries, webhook_attempts};
use hookgraph_domain::feed::FeedFilter;
use hookgraph_domain::ids::{AttemptId, EventId, TenantId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, EventQuery};
use sea_orm::{DbBackend, QueryTrait, Statement};
use uuid::Uuid;

/// Each with the indexes that it must use.
pub fn hot_statements(backend: DbBackend) -> Vec<(Statement, Vec<&'static str>)> {
    let (tenant_id, webhook_id) = (TenantId(Uuid::nil()), WebhookId(Uuid::nil()));
    let before = Some(Uuid::max());
    let deliveries = DeliveryQuery {
        tenant_id,
        webhook_id: None,
        event_id: None,
        states: Vec::new(),
        created_from: None,
        created_before: None,
        before,
        limit: 20,
    };
    let of_webhook = DeliveryQuery { webhook_id: Some(webhook_id), ..deliveries.clone() };
    let of_event = DeliveryQuery { event_id: Some(EventId(Uuid::nil())), ..deliveries.clone() };
    let events = EventQuery {
        tenant_id,
        concern: None,
        event: None,
        recorded_from: None,
        recorded_before: None,
        before,
        limit: 20,
    };
    let of_type = EventQuery { concern: Some("orders".to_owned()), event: Some("create".to_owned()), ..events.clone() };
    let claim =
        Statement::from_sql_and_values(backend, candidates_sql(backend), [0_i64.into(), 10_i64.into(), 100_i64.into()]);
    let attempts = webhook_attempts(webhook_id, Some(AttemptId(Uuid::max())), 20);
    vec![
        (claim, vec!["delivery_due_by_webhook", "delivery_in_flight"]),
        (delivery_page(&deliveries).build(backend), vec!["delivery_by_tenant"]),
        (delivery_page(&of_webhook).build(backend), Vec::new()),
        (delivery_page(&of_event).build(backend), Vec::new()),
        (event_page(&events).build(backend), vec!["event_by_tenant"]),
        (event_page(&of_type).build(backend), vec!["event_by_type"]),
        (attempts.build(backend), vec!["attempt_by_webhook"]),
        (feed_entries(tenant_id, 0, 10_000, &FeedFilter::default(), 100).build(backend), Vec::new()),
    ]
}
