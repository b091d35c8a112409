//! The statements that run all day, for the test that asks the databases how they would run them.

use crate::batch::{self, IDS};
use crate::commit::events::{no_events, record_sql, subscribers_sql};
use crate::commit::lining::lining_statements;
use crate::commit::stopping::stop_statements;
use crate::gauges::gauge_statements;
use crate::limits::DUE_HEAD_ROWS;
use crate::queue::{
    Retries, arrived_values, candidates_sql, candidates_values, claim_sql, claim_values, end_leases_sql, extend_sql,
    extend_values, keep_arrived_sql, line_statements, look_sql, next_due_sql, settle_sql, settle_values,
    standing_claims_sql,
};
use crate::read::{
    FEED_BATCHES, FEED_MOVES, HELD_SQL, backlog_sql, deliveries_to_replay, delivery_page, event_page,
    held_to_probe_sql, webhook_attempts,
};
use crate::retention::{
    FEED_STATEMENTS, OLDEST_DELIVERY, OLDEST_EVENT, day_statements, expire_statements, row_statements,
    tenant_statements, work_statements,
};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::{AttemptId, DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, EventQuery, MadeByReplay};
use hookgraph_domain::ports::ClaimRequest;
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState};
use hookgraph_domain::retention::HistoryCut;
use hookgraph_domain::time::{Timestamp, plus_ms};
use sea_orm::sea_query::Value;
use sea_orm::{DbBackend, QueryTrait, Statement};
use uuid::Uuid;

/// Each with the indexes that it must use.
#[expect(clippy::too_many_lines, reason = "a list of statements")]
pub fn hot_statements(backend: DbBackend) -> Vec<(Statement, Vec<&'static str>)> {
    let (tenant_id, webhook_id) = (TenantId(Uuid::nil()), WebhookId(Uuid::nil()));
    let events = EventQuery {
        tenant_id,
        concern: None,
        event: None,
        recorded_from: None,
        recorded_before: None,
        before: Some(Uuid::max()),
        limit: 20,
    };
    let of_type = EventQuery { concern: Some("orders".to_owned()), event: Some("create".to_owned()), ..events.clone() };
    let (from, before) = a_time();
    let of_time = EventQuery { recorded_from: from, recorded_before: before, ..events.clone() };
    let raw = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
    let request = claim_request(webhook_id);
    let held = vec![webhook_id.0.into(), 10_i64.into()];
    let feed = vec![tenant_id.0.into(), 0_i64.into(), 10_000_i64.into(), 300_i64.into()];
    let attempts = webhook_attempts(webhook_id, Some(AttemptId(Uuid::max())), 20);
    let beat = extend_values(backend, &[(DeliveryId(Uuid::nil()), 1)], Timestamp::UNIX_EPOCH);
    let mut statements = vec![
        (raw(&extend_sql(backend), beat), Vec::new()),
        (raw(&next_due_sql(), vec![64_i64.into(), 0_i64.into()]), vec!["due_by_time"]),
        (event_page(&events).build(backend), Vec::new()),
        (event_page(&of_type).build(backend), Vec::new()),
        (event_page(&of_time).build(backend), vec![between_ids(backend)]),
        (attempts.build(backend), Vec::new()),
        (raw(FEED_BATCHES, feed), Vec::new()),
        (raw(FEED_MOVES, vec![0_i64.into(), 500_i64.into()]), vec![feed_by_seq(backend)]),
        (raw(HELD_SQL, held.clone()), vec!["due_by_webhook"]),
        (raw(&held_to_probe_sql(), held.clone()), vec!["due_by_webhook", "due_by_line"]),
        (raw(&backlog_sql(), held), vec!["due_by_webhook"]),
    ];
    statements.extend(delivery_pages(backend).into_iter().map(|(query, indexes)| {
        let (sql, values) = delivery_page(backend, &query);
        (raw(&sql, values), indexes)
    }));
    if backend == DbBackend::Sqlite {
        statements.push((raw(&end_leases_sql(), vec![0_i64.into(), DUE_HEAD_ROWS.into()]), vec!["due_by_time"]));
    }
    let stops = stop_statements(backend).into_iter();
    statements.extend(stops.map(|(sql, values, index)| (raw(&sql, values), vec![index])));
    let linings = lining_statements(backend).into_iter();
    statements.extend(linings.map(|(sql, values, index)| (raw(&sql, values), vec![index])));
    let lines = line_statements(backend).into_iter();
    statements.extend(lines.map(|(sql, values, indexes)| (raw(&sql, values), indexes)));
    let (sql, values) = deliveries_to_replay(&replay(webhook_id), 50);
    statements.push((raw(&sql, values), vec![delivery_by_webhook(backend), between_ids(backend)]));
    statements.extend(by_id(backend).into_iter().map(|(sql, values)| (raw(&sql, values), vec![])));
    statements.extend(of_retention(backend).into_iter().map(|(sql, values)| (raw(&sql, values), vec![])));
    let gauges = gauge_statements().into_iter();
    statements.extend(gauges.map(|(sql, values, index)| (raw(&sql, values), vec![index])));
    for retries in [Retries::Fit, Retries::MayBeTooMany] {
        let picking = raw(&candidates_sql(backend, retries), candidates_values(backend, &request));
        statements.push((picking, vec!["due_by_time", "due_by_line"]));
        statements.push(if backend == DbBackend::Postgres {
            let claiming = raw(&claim_sql(retries), claim_values(&request));
            (claiming, vec!["due_by_time", "due_by_line", "due_pkey"])
        } else {
            let looking = raw(&look_sql(retries), candidates_values(backend, &request));
            (looking, vec!["due_by_time", "due_by_line"])
        });
    }
    let recording = if backend == DbBackend::Postgres { record_sql() } else { subscribers_sql(backend, 1) };
    statements.push((raw(&recording, no_events(backend)), vec!["webhook_by_event_type"]));
    if backend == DbBackend::Postgres {
        statements.push((raw(&settle_sql(), settle_values()), vec!["due_pkey"]));
    } else {
        statements.push((raw(&standing_claims_sql(), arrived_values()), Vec::new()));
        statements.push((raw(&keep_arrived_sql(), arrived_values()), Vec::new()));
    }
    statements
}

/// One in which something can be: else nothing would be left to plan.
fn a_time() -> (Option<Timestamp>, Option<Timestamp>) {
    (Some(Timestamp::UNIX_EPOCH), Some(plus_ms(Timestamp::UNIX_EPOCH, 1_000)))
}

/// How a plan says that an index is read between two ids.
fn between_ids(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { "'::uuid) AND (id < '" } else { "id>? AND id<?)" }
}

/// How a plan says that the feed of all tenants is read from a `seq` on; on SQLite from nothing but the index.
fn feed_by_seq(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "SEARCH feed USING COVERING INDEX feed_by_seq (seq_last>?)",
        _ => "feed_by_seq",
    }
}

/// A partition's indexes have names of their own.
fn delivery_by_webhook(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { "rest_webhook_id_id_idx" } else { "delivery_by_webhook" }
}

/// Every kind of page of deliveries.
fn delivery_pages(backend: DbBackend) -> Vec<(DeliveryQuery, Vec<&'static str>)> {
    let of_tenant = DeliveryQuery { before: Some(Uuid::max()), ..DeliveryQuery::of(TenantId(Uuid::nil()), 20) };
    let of_webhook = DeliveryQuery { webhook_id: Some(WebhookId(Uuid::nil())), ..of_tenant.clone() };
    let of_event = DeliveryQuery { event_id: Some(EventId(Uuid::nil())), ..of_tenant.clone() };
    let first_of_event = DeliveryQuery { before: None, ..of_event.clone() };
    let failed = vec![DeliveryState::Failed, DeliveryState::Expired];
    let open = vec![DeliveryState::Held, DeliveryState::Pending];
    let (from, to) = a_time();
    let to_retry =
        DeliveryQuery { states: failed.clone(), created_from: from, created_before: to, ..of_webhook.clone() };
    let to_retry_of_all = DeliveryQuery { states: failed, ..of_tenant.clone() };
    let open_of_webhook = DeliveryQuery { states: open.clone(), ..of_webhook.clone() };
    let made = MadeByReplay { id: Uuid::nil().into(), began_at: Timestamp::UNIX_EPOCH, ended_at: to };
    let of_replay = DeliveryQuery { replay: Some(made), before: None, ..of_webhook.clone() };
    let open_of_replay = DeliveryQuery { states: open.clone(), ..of_replay.clone() };
    let open_of_all = DeliveryQuery { states: open, before: None, ..of_tenant.clone() };
    let by_webhook = delivery_by_webhook(backend);
    let [by_id, by_tenant, by_event] = if backend == DbBackend::Postgres {
        ["due_pkey", "rest_tenant_id_id_idx", "rest_event_id_id_idx"]
    } else {
        let by_id = "SEARCH due USING PRIMARY KEY (id>? AND id<?)";
        [by_id, "delivery_by_tenant", "delivery_by_event"]
    };
    vec![
        (of_tenant, vec!["webhook_of_a_tenant", "due_by_webhook", by_tenant]),
        (of_webhook, vec!["due_by_webhook", by_webhook]),
        (of_event, vec![by_id, "due_by_event", by_event]),
        (first_of_event, vec![by_id, "due_by_event", by_event]),
        (to_retry, vec![by_webhook, between_ids(backend)]),
        (to_retry_of_all, vec![by_tenant]),
        (open_of_webhook, vec!["due_by_webhook"]),
        (of_replay, vec!["due_by_webhook", by_webhook, between_ids(backend)]),
        (open_of_replay, vec!["due_by_webhook", between_ids(backend)]),
        (open_of_all, vec!["webhook_of_a_tenant", "due_by_webhook"]),
    ]
}

/// What a settle, a release and a page look up by ids.
fn by_id(backend: DbBackend) -> Vec<(String, Vec<Value>)> {
    let source = IDS.source(backend, 1);
    let of = |table: &str, column: &str| {
        format!("SELECT {column} FROM {table} WHERE {column} IN (SELECT id FROM {source} AS given)")
    };
    [
        ("due", "id"),
        ("delivery", "id"),
        ("payload", "delivery_id"),
        ("attempt", "delivery_id"),
        ("event_skip", "event_id"),
    ]
    .into_iter()
    .map(|(table, column)| (of(table, column), batch::ids(backend, [Uuid::nil()])))
    .collect()
}

fn of_retention(backend: DbBackend) -> Vec<(String, Vec<Value>)> {
    let cut = HistoryCut { before: Timestamp::UNIX_EPOCH, ended_before: Timestamp::UNIX_EPOCH };
    let mut statements = row_statements(backend, &cut);
    if backend == DbBackend::Postgres {
        statements.extend(day_statements());
    }
    statements.extend(expire_statements(backend));
    statements.extend(work_statements());
    statements.extend(tenant_statements(backend, 500));
    statements.extend(FEED_STATEMENTS.map(|sql| (sql.to_owned(), vec![Uuid::nil().into(), 500_i64.into()])));
    statements.extend([OLDEST_DELIVERY, OLDEST_EVENT].map(|sql| (sql.to_owned(), vec![Uuid::nil().into()])));
    statements
}

fn replay(webhook_id: WebhookId) -> Replay {
    let at = Timestamp::UNIX_EPOCH;
    Replay {
        id: Uuid::nil().into(),
        tenant_id: Uuid::nil().into(),
        webhook_id,
        from: at,
        before: plus_ms(at, 1_000),
        states: Vec::new(),
        rate_per_second: 50,
        payload: ReplayPayload::Frozen,
        state: ReplayState::Running,
        reason: None,
        position: None,
        made_count: 0,
        next_at: at,
        user_id: None,
        version: 1,
        created_at: at,
        updated_at: at,
    }
}

fn claim_request(limited: WebhookId) -> ClaimRequest {
    ClaimRequest {
        now: Timestamp::UNIX_EPOCH,
        leased_until: Timestamp::UNIX_EPOCH,
        limit: 100,
        in_flight_per_webhook_max: 10,
        limits: vec![(limited, 1)],
        limit_per_webhook: 10,
        retries_max: 10,
    }
}
