//! Pages of deliveries: what is due and what has ended as one list, each part of it read by an index that has its
//! order.

use super::flow::{id_ceiling, id_floor};
use super::rows as page_rows;
use crate::entities::delivery::{DUE_COLUMNS, ENDED_COLUMNS};
use crate::limits::CLOCKS_APART_MS_MAX;
use crate::micros::from_time;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_domain::retention::lowest_id;
use hookgraph_domain::time::minus_ms;
use sea_orm::DbBackend;
use sea_orm::sea_query::Value;
use uuid::Uuid;

/// Where deliveries are.
struct Place {
    table: &'static str,
    columns: &'static str,
    has_ended: bool,
}

const PLACES: [Place; 2] = [
    Place { table: "due", columns: DUE_COLUMNS, has_ended: false },
    Place { table: "delivery", columns: ENDED_COLUMNS, has_ended: true },
];

/// The statement of a page: a page of each part of the queue and of the history, as one.
pub fn delivery_page(backend: DbBackend, query: &DeliveryQuery) -> (String, Vec<Value>) {
    let limit = page_rows(query.limit);
    let mut asked = Asked::of(query);
    let parts = asked.parts(query);
    let mut pages = Vec::new();
    for place in &PLACES {
        // A table that holds none of the states asked for is not looked at.
        let Some(states) = states(query, place) else { continue };
        let is_of_tenant = query.webhook_id.is_none() && query.event_id.is_none();
        for part in &parts {
            let conditions = format!("{}{part}{states}", asked.conditions);
            let page = if is_of_tenant && !place.has_ended {
                due_of_tenant(backend, &conditions, limit)
            } else {
                let Place { table, columns, .. } = place;
                format!("SELECT {columns} FROM {table} WHERE {conditions} ORDER BY id DESC LIMIT {limit}")
            };
            pages.push(format!("SELECT * FROM ({page}) AS part_{}", pages.len()));
        }
    }
    let sql = format!("SELECT * FROM ({}) AS page ORDER BY id DESC LIMIT {limit}", pages.join(" UNION ALL "));
    (sql, asked.values)
}

/// What every part of the page must be, as a condition with its parameters: `$1` is the tenant.
struct Asked {
    conditions: String,
    values: Vec<Value>,
}

impl Asked {
    fn of(query: &DeliveryQuery) -> Self {
        let mut asked = Self { conditions: String::from("tenant_id = $1"), values: vec![query.tenant_id.0.into()] };
        let (lowest, before) = id_range(query);
        let wanted: [(&str, Option<Value>); 7] = [
            ("webhook_id =", query.webhook_id.map(|id| id.0.into())),
            ("event_id =", query.event_id.map(|id| id.0.into())),
            ("replay_id =", query.replay.map(|replay| replay.id.0.into())),
            ("created_at_us >=", query.created_from.map(|at| from_time(at).into())),
            ("created_at_us <", query.created_before.map(|at| from_time(at).into())),
            ("id >=", lowest.map(Value::from)),
            ("id <", before.map(Value::from)),
        ];
        for (comparison, value) in wanted {
            if let Some(value) = value {
                let parameter = asked.parameter(value);
                asked.conditions.push_str(&format!(" AND {comparison} {parameter}"));
            }
        }
        asked
    }

    fn parameter(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// The deliveries of an event are those of its fan out, a range of ids, and what was made later, which an index of
    /// its own holds; each part is a further condition. Otherwise all are one part.
    fn parts(&mut self, query: &DeliveryQuery) -> Vec<String> {
        let Some(event_id) = query.event_id else { return vec![String::new()] };
        let (lowest, highest) = DeliveryId::range_of_fan_out(event_id);
        let (lowest, highest) = (self.parameter(lowest.0.into()), self.parameter(highest.0.into()));
        vec![format!(" AND is_fan_out AND id >= {lowest} AND id <= {highest}"), " AND NOT is_fan_out".to_owned()]
    }
}

/// The ids between which the page is read: its lowest, and the one that it ends before. What was created in a time has
/// ids of about that time, and so has what a replay made while it ran, by whichever clock; an event's deliveries are a
/// range already. One bound for each end, since SQLite searches by no more.
fn id_range(query: &DeliveryQuery) -> (Option<Uuid>, Option<Uuid>) {
    if query.event_id.is_some() {
        return (None, query.before);
    }
    let began = query.replay.map(|replay| lowest_id(minus_ms(replay.began_at, CLOCKS_APART_MS_MAX)));
    let ended = query.replay.and_then(|replay| replay.ended_at);
    let ceilings = query.created_before.into_iter().chain(ended).map(id_ceiling);
    (query.created_from.map(id_floor).max(began), query.before.into_iter().chain(ceilings).min())
}

/// The states asked for that are to be found there, as a further condition; none where none of them is.
fn states(query: &DeliveryQuery, place: &Place) -> Option<String> {
    let there = query.states.iter().filter(|state| state.is_final() == place.has_ended);
    let names: Vec<String> = there.map(|state| format!("'{}'", state.as_str())).collect();
    match (query.states.is_empty(), names.is_empty()) {
        (true, _) => Some(String::new()),
        (false, true) => None,
        (false, false) => Some(format!(" AND state IN ({})", names.join(", "))),
    }
}

/// What is due of a tenant: a page of each of its webhooks (also of deleted ones: what is in flight has yet to end),
/// since no index of the queue is by tenant. The databases differ in how a query with a limit is run once per webhook.
fn due_of_tenant(backend: DbBackend, conditions: &str, limit: u64) -> String {
    if backend == DbBackend::Postgres {
        return format!(
            "SELECT first.* FROM webhook AS of CROSS JOIN LATERAL (\
             SELECT {DUE_COLUMNS} FROM due WHERE due.webhook_id = of.id AND {conditions} \
             ORDER BY id DESC LIMIT {limit}) AS first WHERE of.tenant_id = $1 ORDER BY first.id DESC LIMIT {limit}"
        );
    }
    format!(
        "SELECT {DUE_COLUMNS} FROM due WHERE id IN (\
         SELECT row.id FROM webhook AS of CROSS JOIN due AS row ON row.id IN (\
         SELECT id FROM due AS first WHERE first.webhook_id = of.id AND {conditions} ORDER BY id DESC LIMIT {limit}) \
         WHERE of.tenant_id = $1 ORDER BY row.id DESC LIMIT {limit})"
    )
}
