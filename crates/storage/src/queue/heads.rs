//! The statements that look at the heads of the queue: they hop over the index of due work from webhook to webhook and look
//! at a few rows of each, so that a long backlog of one costs the others nothing.
//!
//! What is in flight keeps the time at which it was due, so it sits at the head of its webhook: its slots are counted, and
//! leases that ended are found, by the same look.

use sea_orm::DbBackend;

/// The webhooks with due work.
const DUE_WEBHOOK: &str = "WITH RECURSIVE due_webhook (webhook_id) AS (
    SELECT webhook_id FROM (SELECT webhook_id FROM due WHERE due_at_us IS NOT NULL ORDER BY webhook_id LIMIT 1) AS lowest
    UNION ALL
    SELECT (SELECT next.webhook_id FROM due AS next WHERE next.due_at_us IS NOT NULL
        AND next.webhook_id > due_webhook.webhook_id ORDER BY next.webhook_id LIMIT 1)
    FROM due_webhook WHERE due_webhook.webhook_id IS NOT NULL
)";

/// The candidates, as the common table `picked` and what it needs: $1 now, $2 in flight per webhook at most, $3 rows at most, $4 rows per webhook to
/// look at. The databases differ in how a query with a limit is run once per webhook.
fn picked(backend: DbBackend) -> String {
    const HEAD_OF_WEBHOOK: &str = "FROM due AS head WHERE head.webhook_id = due_webhook.webhook_id \
         AND head.due_at_us <= $1 ORDER BY head.due_at_us, head.id LIMIT $4";
    let heads = if backend == DbBackend::Postgres {
        format!(
            "SELECT head.id, due_webhook.webhook_id, head.due_at_us, head.leased_until_us FROM due_webhook \
             CROSS JOIN LATERAL (SELECT head.id, head.due_at_us, head.leased_until_us {HEAD_OF_WEBHOOK}) AS head"
        )
    } else {
        format!(
            "SELECT row.id, row.webhook_id, row.due_at_us, row.leased_until_us FROM due_webhook \
             CROSS JOIN due AS row ON row.id IN (SELECT head.id {HEAD_OF_WEBHOOK})"
        )
    };
    format!(
        "{DUE_WEBHOOK}, first_rows (id, webhook_id, due_at_us, leased_until_us) AS (
    {heads}
), taken (webhook_id, slot_count) AS (
    SELECT webhook_id, count(*) FROM first_rows WHERE leased_until_us > $1 GROUP BY webhook_id
), ranked (id, webhook_id, due_at_us, place) AS (
    SELECT id, webhook_id, due_at_us, row_number() OVER (PARTITION BY webhook_id ORDER BY due_at_us, id) FROM first_rows
    WHERE leased_until_us IS NULL OR leased_until_us <= $1
), picked (id, webhook_id, due_at_us, place) AS (
    SELECT ranked.id, ranked.webhook_id, ranked.due_at_us, ranked.place
    FROM ranked LEFT JOIN taken ON taken.webhook_id = ranked.webhook_id
    WHERE ranked.place + coalesce(taken.slot_count, 0) <= $2
    ORDER BY ranked.place, ranked.due_at_us, ranked.id LIMIT $3
)"
    )
}

/// The beginning of a statement of PostgreSQL that goes on with the candidates.
pub fn picked_sql() -> String {
    picked(DbBackend::Postgres)
}

/// The statement that picks candidates.
pub fn candidates_sql(backend: DbBackend) -> String {
    let picked = picked(backend);
    format!("{picked}\nSELECT id, webhook_id FROM picked ORDER BY place, due_at_us, id")
}

/// The statement for when the next delivery falls due or the next lease ends: $1 rows per webhook to look at.
pub fn next_due_sql() -> String {
    format!(
        "{DUE_WEBHOOK}
SELECT min(of_webhook.at_us) AS at_us FROM (
    SELECT (SELECT min(first.at_us) FROM (
        SELECT coalesce(head.leased_until_us, head.due_at_us) AS at_us FROM due AS head
        WHERE head.webhook_id = due_webhook.webhook_id AND head.due_at_us IS NOT NULL
        ORDER BY head.due_at_us, head.id LIMIT $1) AS first) AS at_us
    FROM due_webhook WHERE due_webhook.webhook_id IS NOT NULL
) AS of_webhook"
    )
}
