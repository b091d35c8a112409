//! The statements that look at the heads of the queue: they hop over the index of due work from webhook to webhook and look
//! at a few rows of each, so that a long backlog of one costs the others nothing.
//!
//! What is in flight keeps the time at which it was due, so it sits at the head of its webhook: its slots are counted, and
//! leases that ended are found, by the same look.

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

/// The webhooks with due work, as the common table `due_webhook`; after the last one it has a null.
pub const DUE_WEBHOOK: &str = "WITH RECURSIVE due_webhook (webhook_id) AS (
    SELECT webhook_id FROM (SELECT webhook_id FROM due WHERE due_at_us IS NOT NULL ORDER BY webhook_id LIMIT 1) AS lowest
    UNION ALL
    SELECT (SELECT next.webhook_id FROM due AS next WHERE next.due_at_us IS NOT NULL
        AND next.webhook_id > due_webhook.webhook_id ORDER BY next.webhook_id LIMIT 1)
    FROM due_webhook WHERE due_webhook.webhook_id IS NOT NULL
)";

/// The webhooks of which a claim takes fewer than of others.
const LIMITS: Table = Table { name: "limits", columns: &[("webhook_id", Kind::Uuid), ("most", Kind::Int)] };

/// Where the parameters of [`LIMITS`] begin.
const LIMITS_FIRST: usize = 7;

/// What a look asks for, by the numbers of its parameters.
#[derive(Clone, Copy)]
pub enum Asked {
    NowUs = 1,
    /// Of a webhook; its own concurrency holds too.
    InFlightMax,
    RowsMax,
    /// Of each webhook, to look at.
    WindowRows,
    PerWebhookMax,
    /// Rows of which an attempt is spent.
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

    /// As an expression. PostgreSQL has it from a common table, through which its planner does not look: it would else make a plan
    /// for every claim wherever the values let it hope for one that is cheaper, and a plan costs as much as the claim.
    pub fn sql(self, backend: DbBackend) -> String {
        match backend {
            DbBackend::Postgres => format!("(SELECT {} FROM asked)", self.column()),
            _ => format!("${}", self as usize),
        }
    }

    /// That table of PostgreSQL.
    fn table() -> String {
        let columns = Self::ALL.map(Self::column).join(", ");
        let values = Self::ALL.map(|asked| format!("CAST(${} AS BIGINT)", asked as usize)).join(", ");
        format!("asked ({columns}) AS MATERIALIZED (SELECT {values})")
    }
}

/// Whether a claim may come upon more retries than it may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// It may take as many as it takes of all: the ordinary case, whose statement need not tell them apart.
    Fit,
    MayBeTooMany,
}

impl Retries {
    pub fn of(request: &ClaimRequest) -> Self {
        if request.retries_max < rows_max(request) { Self::MayBeTooMany } else { Self::Fit }
    }
}

/// How many rows a claim takes at most.
fn rows_max(request: &ClaimRequest) -> u32 {
    Ord::min(request.limit, PAGE_ROWS_MAX)
}

/// The beginning of a statement that goes on with the candidates, the common table `picked`. Its parameters are
/// [`candidates_values`]. What stands in its record's line behind another is passed over. What is due of deleted webhooks, which
/// nobody is sent, has what room the rest leaves: a tenant that was deleted may have had thousands of them.
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

/// What may be taken where retries may be too many.
const ALLOWED: &str = "(
        SELECT id, webhook_id, due_at_us, is_deleted, place FROM numbered
        WHERE webhook_id NOT IN (SELECT webhook_id FROM hiding)
        UNION ALL SELECT id, webhook_id, due_at_us, is_deleted, place FROM shown WHERE place <= most
    ) AS allowed";

/// Which retries may be taken, as the common table `numbered`. Those that may not would stand before the first attempts of their
/// webhooks, the common table `hiding`: what is free of these is looked at again without them, as the common table `shown`.
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
    SELECT id, webhook_id, due_at_us, is_deleted, most, row_number() OVER (PARTITION BY webhook_id ORDER BY due_at_us, id)
    FROM (
        SELECT id, webhook_id, due_at_us, is_deleted, most FROM numbered
        WHERE is_retry AND number <= {retries_max} AND webhook_id IN (SELECT webhook_id FROM hiding)
        UNION ALL {first_attempts}
    ) AS allowed
)"
    )
}

/// What stands in no line, or first in it: of a row `seen`.
pub const IS_FIRST_IN_LINE: &str = "(seen.order_key IS NULL OR NOT EXISTS (SELECT 1 FROM due AS earlier \
     WHERE earlier.webhook_id = seen.webhook_id AND earlier.order_key = seen.order_key AND earlier.id < seen.id))";

/// The first rows of a webhook that are due, however they stand, as `seen`: none is looked at beyond them.
fn window_sql(backend: DbBackend, webhook_id: &str, window_rows: &str) -> String {
    format!(
        "(SELECT head.id, head.webhook_id, head.due_at_us, head.leased_until_us, head.order_key, head.attempts_spent
        FROM due AS head WHERE head.webhook_id = {webhook_id} AND head.due_at_us <= {now_us}
        ORDER BY head.due_at_us, head.id LIMIT {window_rows}) AS seen",
        now_us = Asked::NowUs.sql(backend),
    )
}

/// How many rows of each webhook may be taken, as the common table `of_webhook`: what is in flight is counted among the first
/// rows, of which there are as many as may be in flight, and some more. Of a crowded one, where too many of those stand behind
/// others, it is -1. One that is missing went with its tenant: it is as good as deleted. One whose lines are being formed is left
/// out: what is in none yet may stand behind others.
fn of_webhook_sql(backend: DbBackend) -> String {
    let (least, greatest) = if backend == DbBackend::Postgres { ("least", "greatest") } else { ("min", "max") };
    let [now_us, in_flight_max, rows, per_webhook_max] =
        [Asked::NowUs, Asked::InFlightMax, Asked::WindowRows, Asked::PerWebhookMax].map(|asked| asked.sql(backend));
    let keeps_order = format!("of.ordering = '{}'", Ordering::ByRecord.as_str());
    // PostgreSQL reads that table once in each place, not once for each webhook.
    let is_lining = match backend {
        DbBackend::Postgres => "of.id = ANY (ARRAY(SELECT webhook_id FROM lining))",
        _ => "of.id IN (SELECT webhook_id FROM lining)",
    };
    // Of one whose lines are being dissolved, what is in flight may still come behind what stood in them.
    let lined_rows = format!("CASE WHEN {keeps_order} OR {is_lining} THEN {CLAIM_LINED_ROWS_MAX} ELSE 0 END");
    let window_rows =
        format!("{rows} - {greatest}({in_flight_max} - coalesce(of.concurrency, {in_flight_max}), 0) + {lined_rows}");
    let window_rows = match backend {
        DbBackend::Postgres => window_rows,
        // Its limits are the same for all webhooks, so the largest counts; a webhook that is gone has none.
        _ => format!(
            "coalesce((SELECT max({window_rows}) FROM due_webhook AS one CROSS JOIN webhook AS of ON of.id = one.webhook_id), \
             {rows})"
        ),
    };
    let window = window_sql(backend, "due_webhook.webhook_id", &window_rows);
    let is_behind = format!("{keeps_order} AND seen.leased_until_us IS NULL AND NOT {IS_FIRST_IN_LINE}");
    format!(
        "given (webhook_id, most) AS MATERIALIZED (SELECT webhook_id, most FROM {limits} AS limits),
looked (webhook_id, is_deleted, keeps_order, window_rows, most, slots, taken) AS MATERIALIZED (
    SELECT due_webhook.webhook_id, of.id IS NULL OR of.deleted_at_us IS NOT NULL, coalesce({keeps_order}, FALSE), {window_rows},
        coalesce(given.most, {per_webhook_max}),
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

/// The first free rows of a webhook of `of_webhook`, those of them that are `wanted`; how many is left to follow. `more_rows`
/// widens the window. What stands in line waits only where the webhook keeps order: one that does so no more may have lines left.
fn free_rows_sql(backend: DbBackend, wanted: &str, more_rows: &str) -> String {
    let window_rows = match backend {
        DbBackend::Postgres => "of_webhook.window_rows",
        _ => "(SELECT max(window_rows) FROM of_webhook)",
    };
    // SQLite would read and sort the whole window, and not stop at the last row that it wants: it reads the window in its order, as its
    // plans show, and does not know that.
    let in_order = if backend == DbBackend::Postgres { "ORDER BY seen.due_at_us, seen.id " } else { "" };
    format!(
        "FROM {window} WHERE {wanted}(seen.leased_until_us IS NULL OR seen.leased_until_us <= {now_us})
        AND (NOT of_webhook.keeps_order OR {IS_FIRST_IN_LINE})
        {in_order}LIMIT",
        window = window_sql(backend, "of_webhook.webhook_id", &format!("{window_rows}{more_rows}")),
        now_us = Asked::NowUs.sql(backend),
    )
}

/// The first rows of each webhook that are free, one more than may be taken, as the common table `ranked`: each with its place
/// among those of its webhook.
fn ranked_sql(backend: DbBackend) -> String {
    let free_rows = free_rows_sql(backend, "", "");
    let rows = if backend == DbBackend::Postgres {
        // Numbered as the index gives them, webhook by webhook.
        format!(
            "SELECT head.id, of_webhook.webhook_id, head.due_at_us, head.attempts_spent > 0, of_webhook.is_deleted, head.place,
        of_webhook.most
    FROM of_webhook CROSS JOIN LATERAL (
        SELECT head.id, head.due_at_us, head.attempts_spent, row_number() OVER (ORDER BY head.due_at_us, head.id) AS place
        FROM (SELECT seen.id, seen.due_at_us, seen.attempts_spent {free_rows} of_webhook.most + 1) AS head
    ) AS head"
        )
    } else {
        // It has no joins that look back.
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

/// The webhooks of which some rows are free, but not in `taken_rows`; null where there are none.
fn without_room_sql(backend: DbBackend, retries: Retries, taken_rows: &str) -> String {
    let left = format!(
        "SELECT DISTINCT webhook_id FROM ranked WHERE id NOT IN (SELECT id FROM {taken_rows}) LIMIT {}",
        WITHOUT_ROOM_MAX + 1
    );
    let ids = match backend {
        DbBackend::Postgres => format!("array_to_string(ARRAY({left}), ',')"),
        _ => format!("(SELECT group_concat(hex(webhook_id)) FROM ({left}))"),
    };
    // Only where some are left are they looked for.
    let hides_some = if retries == Retries::Fit { "" } else { " OR EXISTS (SELECT 1 FROM hiding)" };
    format!("CASE WHEN (SELECT count(*) FROM ranked) > (SELECT count(*) FROM {taken_rows}){hides_some} THEN {ids} END")
}

/// The crowded webhooks; null where there are none.
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

/// What is told once of a look at the heads, beside any of its rows.
#[derive(Default, FromQueryResult)]
pub struct Told {
    without_room: Option<String>,
    crowded: Option<String>,
}

impl Told {
    /// Of the answers of one statement.
    pub fn of(answers: impl IntoIterator<Item = Self>) -> Self {
        let mut told = Self::default();
        for one in answers {
            told.without_room = told.without_room.or(one.without_room);
            told.crowded = told.crowded.or(one.crowded);
        }
        told
    }

    /// The webhooks of which nothing is claimed before what stands behind others is out of the way.
    pub fn crowded(&self) -> Result<Vec<WebhookId>, StoreError> {
        webhook_ids(self.crowded.as_deref())
    }

    /// What a claim left.
    pub fn left(&self, has_more: bool) -> Result<Left, StoreError> {
        left(has_more, self.without_room.as_deref())
    }
}

/// What a claim left, as [`without_room_sql`] says.
fn left(has_more: bool, ids: Option<&str>) -> Result<Left, StoreError> {
    let mut webhook_ids = webhook_ids(ids)?;
    let has_others_without_room = webhook_ids.len() > WITHOUT_ROOM_MAX;
    webhook_ids.truncate(WITHOUT_ROOM_MAX);
    webhook_ids.sort_unstable();
    Ok(Left { has_more, without_room: webhook_ids, has_others_without_room })
}

/// The columns of [`Told`], filled beside one row of a common table, which is joined from the left, or alone.
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
    // Beyond the claim's own limit there is nothing to take.
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

/// The statement for when, after $2, the next delivery falls due or the next lease ends: $1 rows per webhook to look at for leases.
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
