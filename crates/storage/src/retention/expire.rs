//! Deliveries that have been owed for too long end as `EXPIRED`. This concerns deliveries that no claim reaches: those
//! that are held, or cannot be read.

use crate::batch::{Id, query};
use crate::commit::feed::FeedLog;
use crate::deliveries::keep_ended;
use crate::entities::delivery::{DUE_COLUMNS, Model};
use crate::micros::from_time;
use crate::queue::{MovedUp, move_up};
use crate::store::SqlStore;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ports::{PrunePosition, PruneStep, StoreError};
use hookgraph_domain::retention::lowest_id;
use hookgraph_domain::time::{Timestamp, plus_ms};
use sea_orm::DbBackend;
use sea_orm::sea_query::Value;
use uuid::Uuid;

/// Which deliveries expire, and with which reason.
pub(super) struct Expiry<'a> {
    pub owed_before: Timestamp,
    pub reason: &'a str,
    pub now: Timestamp,
}

/// Expires a window of the queue. No delivery is owed since before it was made, so the window ends at the ids of
/// `owed_before`.
pub(super) async fn expire_due(
    store: &SqlStore,
    expiry: Expiry<'_>,
    from: PrunePosition,
    rows_max: u32,
) -> Result<PruneStep, StoreError> {
    let Some(transaction) = store.begin_step().await? else { return Ok(PruneStep::default()) };
    let ceiling = lowest_id(plus_ms(expiry.owed_before, 1));
    let last_sql = last_sql(rows_max);
    let last: Vec<Id> = query(&transaction, &last_sql, vec![from.after.into(), ceiling.into()]).await?;
    let last = last.first().map(|row| row.id);
    let up_to = last.unwrap_or(ceiling);
    let values = vec![from.after.into(), up_to.into(), from_time(expiry.owed_before).into()];
    let mut ended: Vec<Model> = query(&transaction, &take_sql(store.backend()), values).await?;
    let mut feed = FeedLog::at(expiry.now);
    for row in &mut ended {
        row.state = DeliveryState::Expired.as_str().to_owned();
        row.state_reason = Some(expiry.reason.to_owned());
        row.updated_at_us = from_time(expiry.now);
        if let Err(error) = feed.delivery(row) {
            tracing::error!(delivery_id = %row.id, %error, "a delivery that cannot be read has expired");
        }
    }
    // Many may expire at once, so the deliveries that move up are due from now on: behind those in flight.
    move_up(&transaction, ended.iter().filter_map(Model::line), MovedUp::At(expiry.now)).await?;
    keep_ended(&transaction, &ended).await?;
    feed.commit(transaction, &*store.observer).await?;
    let next = last.map(|after| PrunePosition { after, ..from });
    Ok(PruneStep { rows: ended.len() as u64, next, ..PruneStep::default() })
}

fn last_sql(rows_max: u32) -> String {
    let last = rows_max.saturating_sub(1);
    format!("SELECT id FROM due WHERE id > $1 AND id <= $2 ORDER BY id LIMIT 1 OFFSET {last}")
}

/// A row that a settle or a change has locked at this moment is left to a later round.
fn take_sql(backend: DbBackend) -> String {
    let lock = if backend == DbBackend::Postgres { " ORDER BY id FOR UPDATE SKIP LOCKED" } else { "" };
    format!(
        "DELETE FROM due WHERE id IN (SELECT id FROM due WHERE id > $1 AND id <= $2 AND due_since_us < $3 \
         AND state <> 'IN_FLIGHT'{lock}) RETURNING {DUE_COLUMNS}"
    )
}

/// The statements of a step, for the test of plans.
pub fn expire_statements(backend: DbBackend) -> Vec<(String, Vec<Value>)> {
    let range = || vec![Uuid::nil().into(), Uuid::max().into()];
    let take = range().into_iter().chain([Value::from(0_i64)]).collect();
    vec![(last_sql(500), range()), (take_sql(backend), take)]
}
