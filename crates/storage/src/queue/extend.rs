//! Extend: the leases of deliveries that are still in flight are prolonged, in one statement.

use super::freeze::CLAIMS;
use super::heads::DUE_WEBHOOK;
use crate::batch::{Cell, execute, query};
use crate::error::store_error;
use crate::limits::DUE_HEAD_ROWS;
use crate::micros::from_time;
use crate::store::SqlStore;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Fenced, StoreError};
use hookgraph_domain::time::Timestamp;
use sea_orm::sea_query::Value;
use sea_orm::{DbBackend, FromQueryResult};
use std::collections::HashSet;
use uuid::Uuid;

#[derive(FromQueryResult)]
struct Extended {
    id: Uuid,
    fencing_token: i64,
}

/// The statement that extends leases. The parameters are [`extend_values`]. On PostgreSQL it passes over a row that
/// another transaction has locked: that row is being settled, and waiting for it in another order than the settlement's
/// could deadlock both.
pub fn extend_sql(backend: DbBackend) -> String {
    let claims = CLAIMS.source(backend, 2);
    let held = "due.id = given.id AND due.fencing_token = given.fencing_token AND due.state = 'IN_FLIGHT'";
    if backend != DbBackend::Postgres {
        return format!(
            "UPDATE due SET leased_until_us = $1 FROM {claims} AS given WHERE {held} \
             RETURNING due.id, due.fencing_token"
        );
    }
    format!(
        "UPDATE due SET leased_until_us = $1 WHERE id = ANY (ARRAY(SELECT due.id FROM {claims} AS given \
         JOIN due ON {held} FOR NO KEY UPDATE OF due SKIP LOCKED)) RETURNING id, fencing_token"
    )
}

/// The parameters of [`extend_sql`].
pub fn extend_values(backend: DbBackend, claims: &[(DeliveryId, i64)], leased_until: Timestamp) -> Vec<Value> {
    let mut values = vec![from_time(leased_until).into()];
    let rows = claims.iter().map(|(id, fencing_token)| vec![Cell::Uuid(id.0), Cell::Int(*fencing_token)]);
    values.extend(CLAIMS.parameters(backend, rows.collect()));
    values
}

/// The statement that ends the leases of a process that ended: $1 the time, $2 how many rows of each webhook to look
/// at.
pub fn end_leases_sql() -> String {
    format!(
        "{DUE_WEBHOOK}
UPDATE due SET leased_until_us = $1 WHERE leased_until_us > $1 AND id IN (
    SELECT head.id FROM due_webhook CROSS JOIN due AS head WHERE head.id IN (
        SELECT first.id FROM due AS first
        WHERE first.webhook_id = due_webhook.webhook_id AND first.due_at_us IS NOT NULL
        ORDER BY first.due_at_us, first.id LIMIT CAST($2 AS BIGINT)))"
    )
}

impl SqlStore {
    /// Ends the leases of the process that used an SQLite file before, and returns how many. One process at a time uses
    /// such a file, so the leases belong to nobody any more. On PostgreSQL leases may belong to other processes, and
    /// end by themselves.
    ///
    /// # Errors
    /// The database's; the leases then end by themselves.
    pub async fn end_leases(&self, now: Timestamp) -> Result<u64, StoreError> {
        if self.backend() == DbBackend::Postgres {
            return Ok(0);
        }
        let transaction = self.begin_on_road().await?;
        let values = vec![from_time(now).into(), DUE_HEAD_ROWS.into()];
        let ended = execute(&transaction, &end_leases_sql(), values).await?;
        transaction.commit().await.map_err(store_error)?;
        Ok(ended)
    }
}

pub(super) async fn extend(
    store: &SqlStore,
    claims: &[(DeliveryId, i64)],
    leased_until: Timestamp,
) -> Result<Vec<Fenced>, StoreError> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let backend = store.backend();
    let transaction = store.begin_on_road().await?;
    let values = extend_values(backend, claims, leased_until);
    let extended: Vec<Extended> = query(&transaction, &extend_sql(backend), values).await?;
    transaction.commit().await.map_err(store_error)?;
    let extended: HashSet<(Uuid, i64)> = extended.into_iter().map(|row| (row.id, row.fencing_token)).collect();
    let answer = |(id, fencing_token): &(DeliveryId, i64)| match extended.contains(&(id.0, *fencing_token)) {
        true => Fenced::Done,
        false => Fenced::LeaseLost,
    };
    Ok(claims.iter().map(answer).collect())
}
