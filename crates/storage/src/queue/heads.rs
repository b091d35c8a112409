//! The statements that look at the heads of the queue. They hop over the index of due work from webhook to webhook and
//! read a few rows of each, so that a long backlog of one webhook costs the others nothing.
//!
//! A delivery in flight keeps the time at which it was due, so it stays at the head of its webhook. The same look
//! therefore counts the slots in use, and finds the leases that ended.
//!
//! The common tables of a claim, in order: `due_webhook`, the webhooks with due work; `given`, the request's limits;
//! `looked`, how each webhook stands and how many of its rows are in flight; `of_webhook`, how many rows of it may be
//! taken; `ranked`, its first free rows with their places; where retries may be too many also `numbered`, `hiding` and
//! `shown`; and `picked`, the candidates.

use crate::batch::{Cell, Kind, Table};
use crate::error::corrupt;
use crate::limits::{
    CLAIM_HEAD_ROWS_SPARE, CLAIM_LINED_ROWS_MAX, CLAIM_RETRIES_PASSED_MAX, CROWDED_MAX, PAGE_ROWS_MAX,
};
use crate::micros::from_time;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::limits::WITHOUT_ROOM_MAX;
use hookgraph_domain::ports::{ClaimRequest, Left, StoreError};
use sea_orm::sea_query::Value;
use sea_orm::{DbBackend, FromQueryResult};
use uuid::Uuid;

/// The common table `due_webhook`: the webhooks with due work, and a null behind the last one.
pub const DUE_WEBHOOK: &str = "WITH RECURSIVE due_webhook (webhook_id) AS (
    SELECT webhook_id FROM (
        SELECT webhook_id FROM due WHERE due_at_us IS NOT NULL ORDER BY webhook_id LIMIT 1) AS lowest
    UNION ALL
    SELECT (SELECT next.webhook_id FROM due AS next WHERE next.due_at_us IS NOT NULL
        AND next.webhook_id > due_webhook.webhook_id ORDER BY next.webhook_id LIMIT 1)
    FROM due_webhook WHERE due_webhook.webhook_id IS NOT NULL
)";

/// The webhooks of which a claim takes fewer deliveries than of others.
const LIMITS: Table = Table { name: "limits", columns: &[("webhook_id", Kind::Uuid), ("most", Kind::Int)] };

/// Where the parameters of [`LIMITS`] begin.
const LIMITS_FIRST: usize = 7;

/// The parameters of a look, by their numbers.
#[derive(Clone, Copy)]
pub enum Asked {
    NowUs = 1,
    /// The most deliveries of a webhook that may be in flight; its own concurrency holds too.
    InFlightMax,
    RowsMax,
    /// How many rows of each webhook to look at.
    WindowRows,
    PerWebhookMax,
    /// The most rows of which an attempt is spent.
    RetriesMax,
}

impl Asked {
    const ALL: [Self; LIMITS_FIRST - 1] =
        [Self::NowUs, Self::InFlightMax, Self::RowsMax, Self::WindowRows, Self::PerWebhookMax, Self::RetriesMax];

    const fn column(self) -> &'static str {
        match self {
            Self::NowUs => "now_us",
            Self::InFlightMax => "in_flight_max",
            Self::RowsMax => "rows_max",
            Self::WindowRows => "window_rows",
            Self::PerWebhookMax => "per_webhook_max",
            Self::RetriesMax => "retries_max",
        }
    }

    /// The parameter as an expression. On PostgreSQL it comes from a materialized common table, which hides the value
    /// from the planner. Otherwise the planner would make a new plan for a claim wherever the values promise a cheaper
    /// one, and planning costs as much as the claim.
    pub fn sql(self, backend: DbBackend) -> String {
        match backend {
            DbBackend::Postgres => format!("(SELECT {} FROM asked)", self.column()),
            _ => format!("${}", self as usize),
        }
    }

    /// The common table of the parameters, for PostgreSQL.
    fn table() -> String {
        let columns = Self::ALL.map(Self::column).join(", ");
        let values = Self::ALL.map(|asked| format!("CAST(${} AS BIGINT)", asked as usize)).join(", ");
        format!("asked ({columns}) AS MATERIALIZED (SELECT {values})")
    }
}

/// Whether a claim may come upon more retries than it may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// The claim may take as many retries as deliveries: the ordinary case, whose statement need not tell them apart.
    Fit,
    MayBeTooMany,
}

impl Retries {
    pub fn of(request: &ClaimRequest) -> Self {
        if request.retries_max < rows_max(request) { Self::MayBeTooMany } else { Self::Fit }
    }
}

/// The most rows that a claim takes.
fn rows_max(request: &ClaimRequest) -> u32 {
    Ord::min(request.limit, PAGE_ROWS_MAX)
}

/// The beginning of a statement: its common tables up to `picked`, the candidates. The parameters are
/// [`candidates_values`].
///
/// A delivery that stands behind another in its record's line is passed over. Deliveries of deleted webhooks, which are
/// sent to nobody, get the room that the others leave: a tenant that was deleted may have had thousands of webhooks.
pub fn picked_sql(backend: DbBackend, retries: Retries) -> String {
    let asked_table = if backend == DbBackend::Postgres { format!(", {}", Asked::table()) } else { String::new() };
    let (tables, allowed) = match retries {
        Retries::Fit => (String::new(), "ranked WHERE place <= most"),
        Retries::MayBeTooMany => (numbered_sql(backend), ALLOWED),
    };
    format!(
        "{DUE_WEBHOOK}{asked_table}, {of_webhook}, {ranked}{tables}, picked (id, webhook_id, due_at_us, place) AS (
    SELECT id, webhook_id, due_at_us, place FROM {allowed}
    ORDER BY is_deleted, place, due_at_us, id LIMIT CAST({rows_max} AS BIGINT)
)",
        of_webhook = of_webhook_sql(backend),
        ranked = ranked_sql(backend),
        // SQLite prepares a statement anew for every value of a limit that is a bare parameter.
        rows_max = Asked::RowsMax.sql(backend),
    )
}

/// The rows that may be taken where retries may be too many.
const ALLOWED: &str = "(
        SELECT id, webhook_id, due_at_us, is_deleted, place FROM numbered
        WHERE webhook_id NOT IN (SELECT webhook_id FROM hiding)
        UNION ALL SELECT id, webhook_id, due_at_us, is_deleted, place FROM shown WHERE place <= most
    ) AS allowed";

/// The common tables by which a claim takes no more retries than it may.
///
/// - `numbered`: the ranked rows, with retries and first attempts each counted over all webhooks.
/// - `hiding`: the webhooks with a retry beyond the limit. Such a retry may stand before first attempts of its webhook.
/// - `shown`: the free rows of those webhooks, looked at again without the retries beyond the limit.
fn numbered_sql(backend: DbBackend) -> String {
    let retries_max = Asked::RetriesMax.sql(backend);
    let more_rows = format!(" + {CLAIM_RETRIES_PASSED_MAX}");
    let first_attempts = free_rows_sql(backend, "seen.attempts_spent = 0 AND ", &more_rows);
    let first_attempts = if backend == DbBackend::Postgres {
        format!(
            "SELECT head.id, of_webhook.webhook_id, head.due_at_us, of_webhook.is_deleted, of_webhook.most
        FROM hiding JOIN of_webhook ON of_webhook.webhook_id = hiding.webhook_id
        CROSS JOIN LATERAL (SELECT seen.id, seen.due_at_us {first_attempts} of_webhook.most) AS head"
        )
    } else {
        format!(
            "SELECT row.id, row.webhook_id, row.due_at_us, of_webhook.is_deleted, of_webhook.most
        FROM hiding CROSS JOIN of_webhook ON of_webhook.webhook_id = hiding.webhook_id CROSS JOIN due AS row
        ON row.id IN (SELECT seen.id {first_attempts} (SELECT max(most) FROM of_webhook))"
        )
    };
    format!(
        ",
numbered (id, webhook_id, due_at_us, is_retry, is_deleted, place, most, number) AS (
    SELECT id, webhook_id, due_at_us, is_retry, is_deleted, place, most,
        row_number() OVER (PARTITION BY is_retry ORDER BY is_deleted, place, due_at_us, id)
    FROM ranked WHERE place <= most
), hiding (webhook_id) AS (
    SELECT DISTINCT webhook_id FROM numbered WHERE is_retry AND number > {retries_max}
), shown (id, webhook_id, due_at_us, is_deleted, most, place) AS (
    SELECT id, webhook_id, due_at_us, is_deleted, most,
        row_number() OVER (PARTITION BY webhook_id ORDER BY due_at_us, id)
    FROM (
        SELECT id, webhook_id, due_at_us, is_deleted, most FROM numbered
        WHERE is_retry AND number <= {retries_max} AND webhook_id IN (SELECT webhook_id FROM hiding)
        UNION ALL {first_attempts}
    ) AS allowed
)"
    )
}

/// The condition that a row `seen` stands in no line, or first in its line.
pub const IS_FIRST_IN_LINE: &str = "(seen.order_key IS NULL OR NOT EXISTS (SELECT 1 FROM due AS earlier \
     WHERE earlier.webhook_id = seen.webhook_id AND earlier.order_key = seen.order_key AND earlier.id < seen.id))";

/// The first due rows of a webhook, leased or not, as the table `seen`. No look at the webhook goes beyond these rows.
fn window_sql(backend: DbBackend, webhook_id: &str, window_rows: &str) -> String {
    format!(
        "(SELECT head.id, head.webhook_id, head.due_at_us, head.leased_until_us, head.order_key, head.attempts_spent
        FROM due AS head WHERE head.webhook_id = {webhook_id} AND head.due_at_us <= {now_us}
        ORDER BY head.due_at_us, head.id LIMIT {window_rows}) AS seen",
        now_us = Asked::NowUs.sql(backend),
    )
}

/// The common tables `given`, `looked` and `of_webhook`, which say how many rows of each webhook may be taken.
///
/// Rows in flight are counted among the webhook's first rows; the window has room for as many as may be in flight, and
/// some more. A crowded webhook, of whose first rows too many stand behind others, gets -1. A webhook that is missing
/// was removed with its tenant, and counts as deleted. A webhook whose lines are being formed is left out, because a
/// delivery that is in no line yet may belong behind another.
fn of_webhook_sql(backend: DbBackend) -> String {
    let (least, greatest) = if backend == DbBackend::Postgres { ("least", "greatest") } else { ("min", "max") };
    let [now_us, in_flight_max, rows, per_webhook_max] =
        [Asked::NowUs, Asked::InFlightMax, Asked::WindowRows, Asked::PerWebhookMax].map(|asked| asked.sql(backend));
    let keeps_order = format!("of.ordering = '{}'", Ordering::ByRecord.as_str());
    // As an array, so that PostgreSQL reads `lining` once per statement and not once per webhook.
    let is_lining = match backend {
        DbBackend::Postgres => "of.id = ANY (ARRAY(SELECT webhook_id FROM lining))",
        _ => "of.id IN (SELECT webhook_id FROM lining)",
    };
    // While lines are being dissolved, deliveries in flight may still come behind deliveries that stand in them.
    let lined_rows = format!("CASE WHEN {keeps_order} OR {is_lining} THEN {CLAIM_LINED_ROWS_MAX} ELSE 0 END");
    let window_rows =
        format!("{rows} - {greatest}({in_flight_max} - coalesce(of.concurrency, {in_flight_max}), 0) + {lined_rows}");
    let window_rows = match backend {
        DbBackend::Postgres => window_rows,
        // A limit of SQLite is the same for all webhooks, so the largest counts; a webhook that is gone has none.
        _ => format!(
            "coalesce((SELECT max({window_rows}) FROM due_webhook AS one \
             CROSS JOIN webhook AS of ON of.id = one.webhook_id), {rows})"
        ),
    };
    let window = window_sql(backend, "due_webhook.webhook_id", &window_rows);
    let is_behind = format!("{keeps_order} AND seen.leased_until_us IS NULL AND NOT {IS_FIRST_IN_LINE}");
    format!(
        "given (webhook_id, most) AS MATERIALIZED (SELECT webhook_id, most FROM {limits} AS limits),
looked (webhook_id, is_deleted, keeps_order, window_rows, most, slots, taken) AS MATERIALIZED (
    SELECT due_webhook.webhook_id, of.id IS NULL OR of.deleted_at_us IS NOT NULL, coalesce({keeps_order}, FALSE),
        {window_rows}, coalesce(given.most, {per_webhook_max}),
        {least}(coalesce(of.concurrency, {in_flight_max}), {in_flight_max}),
        (SELECT CASE WHEN count(CASE WHEN {is_behind} THEN 1 END) > {CLAIM_LINED_ROWS_MAX} THEN -1
            ELSE count(CASE WHEN seen.leased_until_us > {now_us} THEN 1 END) END FROM {window})
    FROM due_webhook LEFT JOIN webhook AS of ON of.id = due_webhook.webhook_id
    LEFT JOIN given ON given.webhook_id = due_webhook.webhook_id
    WHERE due_webhook.webhook_id IS NOT NULL AND (of.id IS NULL OR NOT ({keeps_order}) OR NOT ({is_lining}))
), of_webhook (webhook_id, is_deleted, keeps_order, window_rows, most) AS MATERIALIZED (
    SELECT webhook_id, is_deleted, keeps_order, window_rows,
        CASE WHEN taken < 0 THEN -1 ELSE {greatest}(0, {least}(most, slots - taken)) END FROM looked
)",
        limits = LIMITS.source(backend, LIMITS_FIRST),
    )
}

/// The end of a query for the first free rows of a webhook of `of_webhook` that are `wanted`, up to the number behind
/// `LIMIT`. `more_rows` widens the window. A delivery waits in its line only where the webhook still keeps order: lines
/// may be left from before.
fn free_rows_sql(backend: DbBackend, wanted: &str, more_rows: &str) -> String {
    let window_rows = match backend {
        DbBackend::Postgres => "of_webhook.window_rows",
        _ => "(SELECT max(window_rows) FROM of_webhook)",
    };
    // SQLite has no ORDER BY here: it reads the window in the right order already, as its plans show, but does not know
    // that, so it would read and sort all of the window instead of stopping at the last row wanted.
    let in_order = if backend == DbBackend::Postgres { "ORDER BY seen.due_at_us, seen.id " } else { "" };
    format!(
        "FROM {window} WHERE {wanted}(seen.leased_until_us IS NULL OR seen.leased_until_us <= {now_us})
        AND (NOT of_webhook.keeps_order OR {IS_FIRST_IN_LINE})
        {in_order}LIMIT",
        window = window_sql(backend, "of_webhook.webhook_id", &format!("{window_rows}{more_rows}")),
        now_us = Asked::NowUs.sql(backend),
    )
}

/// The common table `ranked`: the first free rows of each webhook, one more than may be taken, each with its place
/// among them.
fn ranked_sql(backend: DbBackend) -> String {
    let free_rows = free_rows_sql(backend, "", "");
    let rows = if backend == DbBackend::Postgres {
        // The rows are numbered in the order of the index, webhook by webhook.
        format!(
            "SELECT head.id, of_webhook.webhook_id, head.due_at_us, head.attempts_spent > 0, of_webhook.is_deleted,
        head.place, of_webhook.most
    FROM of_webhook CROSS JOIN LATERAL (
        SELECT head.id, head.due_at_us, head.attempts_spent,
            row_number() OVER (ORDER BY head.due_at_us, head.id) AS place
        FROM (SELECT seen.id, seen.due_at_us, seen.attempts_spent {free_rows} of_webhook.most + 1) AS head
    ) AS head"
        )
    } else {
        // SQLite has no lateral joins.
        format!(
            "SELECT row.id, row.webhook_id, row.due_at_us, row.attempts_spent > 0, of_webhook.is_deleted,
        row_number() OVER (PARTITION BY row.webhook_id ORDER BY row.due_at_us, row.id), of_webhook.most
    FROM of_webhook CROSS JOIN due AS row
    ON of_webhook.most >= 0 AND row.id IN (SELECT seen.id {free_rows} (SELECT max(most) FROM of_webhook) + 1)"
        )
    };
    format!("ranked (id, webhook_id, due_at_us, is_retry, is_deleted, place, most) AS (\n    {rows}\n)")
}

/// The parameter behind those of [`picked_sql`].
pub const PICKED_NEXT: usize = LIMITS_FIRST + LIMITS.columns.len();

/// An expression for the ids of the webhooks with free rows that are not in `taken_rows`; null where there are none.
fn without_room_sql(backend: DbBackend, retries: Retries, taken_rows: &str) -> String {
    let left = format!(
        "SELECT DISTINCT webhook_id FROM ranked WHERE id NOT IN (SELECT id FROM {taken_rows}) LIMIT {}",
        WITHOUT_ROOM_MAX + 1
    );
    let ids = match backend {
        DbBackend::Postgres => format!("array_to_string(ARRAY({left}), ',')"),
        _ => format!("(SELECT group_concat(hex(webhook_id)) FROM ({left}))"),
    };
    // They are looked for only where some rows are left.
    let hides_some = if retries == Retries::Fit { "" } else { " OR EXISTS (SELECT 1 FROM hiding)" };
    format!("CASE WHEN (SELECT count(*) FROM ranked) > (SELECT count(*) FROM {taken_rows}){hides_some} THEN {ids} END")
}

/// An expression for the ids of the crowded webhooks; null where there are none.
fn crowded_sql(backend: DbBackend) -> String {
    let crowded = format!("SELECT webhook_id FROM of_webhook WHERE most < 0 LIMIT {CROWDED_MAX}");
    match backend {
        DbBackend::Postgres => format!("nullif(array_to_string(ARRAY({crowded}), ','), '')"),
        _ => format!("(SELECT group_concat(hex(webhook_id)) FROM ({crowded}))"),
    }
}

fn webhook_ids(ids: Option<&str>) -> Result<Vec<WebhookId>, StoreError> {
    let ids = ids.into_iter().flat_map(|ids| ids.split(','));
    let parsed = ids.map(|id| Uuid::parse_str(id).map(WebhookId)).collect::<Result<_, _>>();
    parsed.map_err(|error| corrupt("a webhook's id in an answer", error))
}

/// The part of a look's answer that concerns no single row: one of the rows has it.
#[derive(Default, FromQueryResult)]
pub struct Told {
    without_room: Option<String>,
    crowded: Option<String>,
}

impl Told {
    /// Gathers it from the rows of one answer.
    pub fn of(answers: impl IntoIterator<Item = Self>) -> Self {
        let mut told = Self::default();
        for one in answers {
            told.without_room = told.without_room.or(one.without_room);
            told.crowded = told.crowded.or(one.crowded);
        }
        told
    }

    /// The webhooks of which nothing is claimed before the deliveries behind others are out of the way.
    pub fn crowded(&self) -> Result<Vec<WebhookId>, StoreError> {
        webhook_ids(self.crowded.as_deref())
    }

    /// The deliveries that a claim left, as far as it knows.
    pub fn left(&self, has_more: bool) -> Result<Left, StoreError> {
        left(has_more, self.without_room.as_deref())
    }
}

/// Reads the ids that [`without_room_sql`] answers with.
fn left(has_more: bool, ids: Option<&str>) -> Result<Left, StoreError> {
    let mut webhook_ids = webhook_ids(ids)?;
    let has_others_without_room = webhook_ids.len() > WITHOUT_ROOM_MAX;
    webhook_ids.truncate(WITHOUT_ROOM_MAX);
    webhook_ids.sort_unstable();
    Ok(Left { has_more, without_room: webhook_ids, has_others_without_room })
}

/// The columns of [`Told`]. They are filled in one row of the common table `rows`, which is joined from the left, or in
/// the only row where the table is empty.
pub fn beside_one_of(backend: DbBackend, retries: Retries, rows: &str, taken_rows: &str) -> String {
    let (without_room, crowded) = (without_room_sql(backend, retries, taken_rows), crowded_sql(backend));
    let one = format!("CASE WHEN {rows}.id IS NOT DISTINCT FROM (SELECT id FROM {rows} LIMIT 1)");
    format!("{one} THEN {without_room} END AS without_room, {one} THEN {crowded} END AS crowded")
}

/// The statement that picks candidates.
pub fn candidates_sql(backend: DbBackend, retries: Retries) -> String {
    let picked = picked_sql(backend, retries);
    format!(
        "{picked}\nSELECT {}, picked.id, picked.webhook_id FROM (SELECT 1) AS one LEFT JOIN picked ON TRUE \
         ORDER BY picked.place, picked.due_at_us, picked.id",
        beside_one_of(backend, retries, "picked", "picked")
    )
}

/// The parameters of [`candidates_sql`].
pub fn candidates_values(backend: DbBackend, request: &ClaimRequest) -> Vec<Value> {
    let slots = i64::from(request.in_flight_per_webhook_max);
    let rows_max = rows_max(request);
    let per_webhook = Ord::min(request.limit_per_webhook, rows_max);
    let mut values = vec![
        from_time(request.now).into(),
        slots.into(),
        i64::from(rows_max).into(),
        slots.saturating_add(CLAIM_HEAD_ROWS_SPARE).into(),
        i64::from(per_webhook).into(),
        i64::from(request.retries_max).into(),
    ];
    let limits = request.limits.iter().map(|(id, most)| vec![Cell::Uuid(id.0), Cell::Int(i64::from(*most))]);
    values.extend(LIMITS.parameters(backend, limits.collect()));
    values
}

/// The statement for the next times after $2 at which a delivery becomes due or a lease ends: $1 how many rows of each
/// webhook to look at for leases.
pub fn next_due_sql() -> String {
    format!(
        "{DUE_WEBHOOK}
SELECT min(of_webhook.leased_until_us) AS leased_until_us, min(of_webhook.due_at_us) AS due_at_us FROM (
    SELECT (SELECT min(first.leased_until_us) FROM (
        SELECT head.leased_until_us FROM due AS head
        WHERE head.webhook_id = due_webhook.webhook_id AND head.due_at_us IS NOT NULL
        ORDER BY head.due_at_us, head.id LIMIT CAST($1 AS BIGINT)) AS first
        WHERE first.leased_until_us > $2) AS leased_until_us,
    (SELECT next.due_at_us FROM due AS next
        WHERE next.webhook_id = due_webhook.webhook_id AND next.due_at_us > $2 AND next.leased_until_us IS NULL
        ORDER BY next.due_at_us, next.id LIMIT 1) AS due_at_us
    FROM due_webhook WHERE due_webhook.webhook_id IS NOT NULL
) AS of_webhook"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_without_room_are_read_as_both_databases_write_them() {
        let two = "00000000-0000-0000-0000-000000000002,00000000000000000000000000000001";
        let ids = [1, 2].map(|number| WebhookId(Uuid::from_u128(number)));
        assert_eq!(left(false, Some(two)).unwrap(), Left { without_room: ids.to_vec(), ..Left::default() });
        assert_eq!(left(true, None).unwrap(), Left { has_more: true, ..Left::default() });
        assert!(left(false, Some("2")).is_err());
        for (count, has_others_without_room) in [(WITHOUT_ROOM_MAX, false), (WITHOUT_ROOM_MAX + 1, true)] {
            let ids =
                (0..count).map(|number| Uuid::from_u128(number as u128).to_string()).collect::<Vec<_>>().join(",");
            let left = left(false, Some(&ids)).unwrap();
            assert_eq!(
                (left.without_room.len(), left.has_others_without_room),
                (WITHOUT_ROOM_MAX, has_others_without_room)
            );
        }
    }
}
