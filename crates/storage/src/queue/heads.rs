//! The statements that look at the heads of the queue: they hop over the index of due work from webhook to webhook and look
//! at a few rows of each, so that a long backlog of one costs the others nothing.
//!
//! What is in flight keeps the time at which it was due, so it sits at the head of its webhook: its slots are counted, and
//! leases that ended are found, by the same look.

use crate::batch::{Cell, Kind, Table};
use crate::error::corrupt;
use crate::limits::{CLAIM_HEAD_ROWS_SPARE, PAGE_ROWS_MAX};
use crate::micros::from_time;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::limits::WITHOUT_ROOM_MAX;
use hookgraph_domain::ports::{ClaimRequest, Left, StoreError};
use sea_orm::DbBackend;
use sea_orm::sea_query::Value;
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

/// The beginning of a statement that goes on with the candidates, the common table `picked`. Its parameters are
/// [`candidates_values`]: $1 now, $2 in flight per webhook at most (its own
/// concurrency holds too), $3 rows at most, $4 rows per webhook to look at, $5 of each webhook at most, $6 of which an attempt
/// is spent at most, from $7 on [`LIMITS`]. What stands in its record's line behind another is passed over.
/// (A limit is cast because SQLite prepares a statement anew for every value of one that is a bare parameter.)
pub fn picked_sql(backend: DbBackend) -> String {
    let ranked = if backend == DbBackend::Postgres { ranked_on_postgres() } else { ranked_on_sqlite() };
    format!(
        "{DUE_WEBHOOK}, {ranked}, allowed (id, webhook_id, due_at_us, is_retry, place) AS (
    SELECT ranked.id, ranked.webhook_id, ranked.due_at_us, ranked.is_retry, ranked.place FROM ranked
    LEFT JOIN {limits} AS given ON given.webhook_id = ranked.webhook_id
    WHERE ranked.place + ranked.slot_count <= CASE WHEN ranked.concurrency < $2 THEN ranked.concurrency ELSE $2 END
    AND ranked.place <= coalesce(given.most, $5)
), numbered (id, webhook_id, due_at_us, is_retry, place, number) AS (
    SELECT id, webhook_id, due_at_us, is_retry, place, row_number() OVER (PARTITION BY is_retry ORDER BY place, due_at_us, id)
    FROM allowed
), picked (id, webhook_id, due_at_us, place) AS (
    SELECT id, webhook_id, due_at_us, place FROM numbered WHERE NOT is_retry OR number <= $6
    ORDER BY place, due_at_us, id LIMIT CAST($3 AS BIGINT)
)",
        limits = LIMITS.source(backend, LIMITS_FIRST)
    )
}

/// The rows of one `due_webhook` that are looked at, in their order; a limit follows.
const HEAD_OF_WEBHOOK: &str = "FROM due AS head WHERE head.webhook_id = due_webhook.webhook_id \
     AND head.due_at_us <= $1 AND (head.order_key IS NULL OR head.leased_until_us > $1 OR NOT EXISTS ( \
     SELECT 1 FROM due AS earlier WHERE earlier.webhook_id = head.webhook_id \
     AND earlier.order_key = head.order_key AND earlier.id < head.id)) ORDER BY head.due_at_us, head.id LIMIT";

/// The rows that are free, as the common table `ranked`: each with its place among those of its webhook, how many of the
/// webhook's are in flight, and its concurrency, below which fewer rows are looked at. They are numbered as the index gives
/// them, webhook by webhook.
fn ranked_on_postgres() -> String {
    format!(
        "first_rows (id, webhook_id, due_at_us, attempts_spent, concurrency, is_free, slot_count, place) AS (
    SELECT head.id, due_webhook.webhook_id, head.due_at_us, head.attempts_spent, of.concurrency, head.is_free,
        head.slot_count, head.place
    FROM due_webhook LEFT JOIN webhook AS of ON of.id = due_webhook.webhook_id CROSS JOIN LATERAL (
        SELECT head.id, head.due_at_us, head.attempts_spent, head.is_free,
            count(*) FILTER (WHERE NOT head.is_free) OVER () AS slot_count,
            count(*) FILTER (WHERE head.is_free) OVER (ORDER BY head.due_at_us, head.id ROWS UNBOUNDED PRECEDING) AS place
        FROM (SELECT head.id, head.due_at_us, head.attempts_spent,
            (head.leased_until_us IS NULL OR head.leased_until_us <= $1) AS is_free
            {HEAD_OF_WEBHOOK} $4 - greatest($2 - coalesce(of.concurrency, $2), 0)) AS head) AS head
), ranked (id, webhook_id, due_at_us, is_retry, concurrency, slot_count, place) AS (
    SELECT id, webhook_id, due_at_us, attempts_spent > 0, concurrency, slot_count, place FROM first_rows WHERE is_free
)"
    )
}

/// The same for SQLite, which has no joins that look back: the limit is the same for all webhooks, so the largest concurrency
/// counts.
fn ranked_on_sqlite() -> String {
    format!(
        "first_rows (id, webhook_id, due_at_us, leased_until_us, attempts_spent) AS (
    SELECT row.id, row.webhook_id, row.due_at_us, row.leased_until_us, row.attempts_spent FROM due_webhook
    CROSS JOIN due AS row ON row.id IN (SELECT head.id {HEAD_OF_WEBHOOK} $4 - max($2 - coalesce((
        SELECT max(of.concurrency) FROM due_webhook AS one CROSS JOIN webhook AS of ON of.id = one.webhook_id), $2), 0))
), taken (webhook_id, slot_count) AS (
    SELECT webhook_id, count(*) FROM first_rows WHERE leased_until_us > $1 GROUP BY webhook_id
), free_rows (id, webhook_id, due_at_us, is_retry, place) AS (
    SELECT id, webhook_id, due_at_us, attempts_spent > 0, row_number() OVER (PARTITION BY webhook_id ORDER BY due_at_us, id)
    FROM first_rows WHERE leased_until_us IS NULL OR leased_until_us <= $1
), ranked (id, webhook_id, due_at_us, is_retry, concurrency, slot_count, place) AS (
    SELECT free_rows.id, free_rows.webhook_id, free_rows.due_at_us, free_rows.is_retry, webhook.concurrency,
        coalesce(taken.slot_count, 0), free_rows.place
    FROM free_rows LEFT JOIN webhook ON webhook.id = free_rows.webhook_id
    LEFT JOIN taken ON taken.webhook_id = free_rows.webhook_id
)"
    )
}

/// The parameter behind those of [`picked_sql`].
pub const PICKED_NEXT: usize = LIMITS_FIRST + LIMITS.columns.len();

/// The webhooks of which some rows are free, but not in `taken_rows`; null where there are none.
pub fn without_room_sql(backend: DbBackend, taken_rows: &str) -> String {
    let left = format!(
        "SELECT DISTINCT webhook_id FROM ranked WHERE id NOT IN (SELECT id FROM {taken_rows}) LIMIT {}",
        WITHOUT_ROOM_MAX + 1
    );
    let ids = match backend {
        DbBackend::Postgres => format!("array_to_string(ARRAY({left}), ',')"),
        _ => format!("(SELECT group_concat(hex(webhook_id)) FROM ({left}))"),
    };
    // Only where some are left are they looked for.
    format!("CASE WHEN (SELECT count(*) FROM ranked) > (SELECT count(*) FROM {taken_rows}) THEN {ids} END")
}

/// What a claim left, as [`without_room_sql`] says.
pub fn left(has_more: bool, ids: Option<&str>) -> Result<Left, StoreError> {
    let ids = ids.into_iter().flat_map(|ids| ids.split(','));
    let mut webhook_ids: Vec<_> = ids
        .map(|id| Uuid::parse_str(id).map(WebhookId))
        .collect::<Result<_, _>>()
        .map_err(|error| corrupt("a webhook without room", error))?;
    let has_others_without_room = webhook_ids.len() > WITHOUT_ROOM_MAX;
    webhook_ids.truncate(WITHOUT_ROOM_MAX);
    webhook_ids.sort_unstable();
    Ok(Left { has_more, without_room: webhook_ids, has_others_without_room })
}

/// The same as a column `without_room`, beside one row of a common table, which is joined from the left, or alone.
pub fn beside_one_of(backend: DbBackend, rows: &str, taken_rows: &str) -> String {
    let without_room = without_room_sql(backend, taken_rows);
    format!(
        "CASE WHEN {rows}.id IS NOT DISTINCT FROM (SELECT id FROM {rows} LIMIT 1) THEN {without_room} END AS without_room"
    )
}

/// The statement that picks candidates.
pub fn candidates_sql(backend: DbBackend) -> String {
    let picked = picked_sql(backend);
    format!(
        "{picked}\nSELECT {}, picked.id, picked.webhook_id FROM (SELECT 1) AS one LEFT JOIN picked ON TRUE \
         ORDER BY picked.place, picked.due_at_us, picked.id",
        beside_one_of(backend, "picked", "picked")
    )
}

/// The parameters of [`candidates_sql`].
pub fn candidates_values(backend: DbBackend, request: &ClaimRequest) -> Vec<Value> {
    let slots = i64::from(request.in_flight_per_webhook_max);
    let mut values = vec![
        from_time(request.now).into(),
        slots.into(),
        i64::from(Ord::min(request.limit, PAGE_ROWS_MAX)).into(),
        slots.saturating_add(CLAIM_HEAD_ROWS_SPARE).into(),
        i64::from(request.limit_per_webhook).into(),
        i64::from(request.retries_max).into(),
    ];
    let limits = request.limits.iter().map(|(id, most)| vec![Cell::Uuid(id.0), Cell::Int(i64::from(*most))]);
    values.extend(LIMITS.parameters(backend, limits.collect()));
    values
}

/// The statement for when the next delivery falls due or the next lease ends: $1 rows per webhook to look at.
pub fn next_due_sql() -> String {
    format!(
        "{DUE_WEBHOOK}
SELECT min(of_webhook.at_us) AS at_us FROM (
    SELECT (SELECT min(first.at_us) FROM (
        SELECT coalesce(head.leased_until_us, head.due_at_us) AS at_us FROM due AS head
        WHERE head.webhook_id = due_webhook.webhook_id AND head.due_at_us IS NOT NULL
        ORDER BY head.due_at_us, head.id LIMIT CAST($1 AS BIGINT)) AS first) AS at_us
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
