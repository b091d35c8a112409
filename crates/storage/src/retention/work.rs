//! Removal beside the history, in batches: the audit log, and replays and tenant copies that ended.

use crate::batch::{Id, execute, query};
use crate::error::store_error;
use crate::micros::from_time;
use crate::store::SqlStore;
use hookgraph_domain::ports::{PrunePosition, PruneStep, StoreError};
use hookgraph_domain::retention::{WorkCut, lowest_id};
use sea_orm::sea_query::Value;
use uuid::Uuid;

/// Removes every audit entry below an id: $1 the lowest id that stays, $2 rows at most.
const AUDIT: &str =
    "DELETE FROM audit_entry WHERE id IN (SELECT id FROM audit_entry WHERE id < $1 ORDER BY id LIMIT $2)";

/// The tables of work that ends, in the order of their stages.
const TABLES: [&str; 2] = ["replay", "copy_task"];

/// Selects the last id of a window of `rows_max` rows: after $1, before $2.
fn last_sql(table: &str, rows_max: u32) -> String {
    let last = rows_max.saturating_sub(1);
    format!("SELECT id FROM {table} WHERE id > $1 AND id < $2 ORDER BY id LIMIT 1 OFFSET {last}")
}

/// Removes the rows of the window after $1 up to $2 that ended before $3.
fn delete_sql(table: &str) -> String {
    format!("DELETE FROM {table} WHERE id > $1 AND id <= $2 AND state <> 'RUNNING' AND updated_at_us < $3")
}

/// Removes the next rows. Stage 0 is the audit log; the others are [`TABLES`].
pub(super) async fn prune(
    store: &SqlStore,
    cut: &WorkCut,
    from: PrunePosition,
    rows_max: u32,
) -> Result<PruneStep, StoreError> {
    let Some(transaction) = store.begin_step().await? else { return Ok(PruneStep::default()) };
    let next_stage = PrunePosition { stage: from.stage + 1, ..PrunePosition::default() };
    let step = match from.stage.checked_sub(1).map(|stage| TABLES.get(stage as usize)) {
        None => {
            let values = vec![lowest_id(cut.audited_before).into(), i64::from(rows_max).into()];
            let rows = execute(&transaction, AUDIT, values).await?;
            let next = if rows < u64::from(rows_max) { next_stage } else { from };
            PruneStep { rows, next: Some(next), ..PruneStep::default() }
        }
        Some(Some(table)) => {
            // Work that ended before that time has an id from before it.
            let ceiling = lowest_id(cut.ended_before);
            let last: Vec<Id> =
                query(&transaction, &last_sql(table, rows_max), vec![from.after.into(), ceiling.into()]).await?;
            let last = last.first().map(|row| row.id);
            let up_to = last.unwrap_or(ceiling);
            let values = vec![from.after.into(), up_to.into(), from_time(cut.ended_before).into()];
            let rows = execute(&transaction, &delete_sql(table), values).await?;
            let next = last.map_or(next_stage, |after| PrunePosition { after, ..from });
            PruneStep { rows, next: Some(next), ..PruneStep::default() }
        }
        Some(None) => PruneStep::default(),
    };
    transaction.commit().await.map_err(store_error)?;
    Ok(step)
}

/// Every statement of a step, for the test of plans.
pub fn work_statements() -> Vec<(String, Vec<Value>)> {
    let range = || vec![Value::from(Uuid::nil()), Uuid::max().into()];
    let mut statements = vec![(AUDIT.to_owned(), vec![Uuid::nil().into(), 500_i64.into()])];
    for table in TABLES {
        statements.push((last_sql(table, 500), range()));
        statements.push((delete_sql(table), range().into_iter().chain([Value::from(0_i64)]).collect()));
    }
    statements
}
