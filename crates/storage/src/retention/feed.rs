//! The feed: the oldest batches of each tenant are removed. The same transaction moves the tenant's oldest valid cursor
//! on, so that every reader of a removed batch is told of the gap.

use crate::batch::{execute, query};
use crate::connections::DatabaseTransaction;
use crate::error::store_error;
use crate::limits::PRUNE_OWNERS_MAX;
use crate::micros::from_time;
use crate::store::SqlStore;
use hookgraph_domain::ports::{PrunePosition, PruneStep, StoreError};
use hookgraph_domain::time::Timestamp;
use sea_orm::FromQueryResult;
use uuid::Uuid;

const NEXT_TENANT: &str = "SELECT tenant_id FROM feed WHERE tenant_id > $1 ORDER BY tenant_id LIMIT 1";
const MOVE_ON: &str = "INSERT INTO feed_pruned (tenant_id, seq) SELECT tenant.id, CAST($2 AS BIGINT) FROM tenant \
     WHERE tenant.id = $1 ON CONFLICT (tenant_id) DO UPDATE SET seq = excluded.seq";

/// The oldest batches of a tenant: $1 the tenant, $2 batches at most.
const OLDEST: &str = "SELECT seq_last, at_us FROM feed WHERE tenant_id = $1 ORDER BY seq_last LIMIT $2";
const REMOVE: &str = "DELETE FROM feed WHERE tenant_id = $1 AND seq_last <= $2";

/// The statements with a tenant and a number, for the test of plans.
pub const FEED_STATEMENTS: [&str; 2] = [OLDEST, REMOVE];

#[derive(FromQueryResult)]
struct Tenant {
    tenant_id: Uuid,
}

#[derive(FromQueryResult)]
struct OldBatch {
    seq_last: i64,
    at_us: i64,
}

/// Removes the oldest batches of the next tenants.
pub(super) async fn prune(
    store: &SqlStore,
    before: Timestamp,
    from: PrunePosition,
    rows_max: u32,
) -> Result<PruneStep, StoreError> {
    let Some(transaction) = store.begin_step().await? else { return Ok(PruneStep::default()) };
    let mut step = PruneStep::default();
    // The position's owner is the last tenant that is done.
    let mut done = from.owner;
    for _ in 0..PRUNE_OWNERS_MAX {
        let next: Vec<Tenant> = query(&transaction, NEXT_TENANT, vec![done.into()]).await?;
        let Some(tenant) = next.first() else {
            step.next = None;
            break;
        };
        let (rows, is_full) = prune_tenant(&transaction, tenant.tenant_id, before, rows_max).await?;
        step.rows += rows;
        if !is_full {
            done = tenant.tenant_id;
        }
        step.next = Some(PrunePosition { owner: done, ..from });
        if step.rows > 0 {
            break;
        }
    }
    transaction.commit().await.map_err(store_error)?;
    Ok(step)
}

/// Removes old batches of one tenant. Returns how many, and whether more may follow.
async fn prune_tenant(
    transaction: &DatabaseTransaction,
    tenant_id: Uuid,
    before: Timestamp,
    rows_max: u32,
) -> Result<(u64, bool), StoreError> {
    let batches: Vec<OldBatch> = query(transaction, OLDEST, vec![tenant_id.into(), i64::from(rows_max).into()]).await?;
    let old = batches.iter().take_while(|batch| batch.at_us < from_time(before));
    let Some(last) = old.last() else { return Ok((0, false)) };
    let values = vec![tenant_id.into(), last.seq_last.into()];
    let rows = execute(transaction, REMOVE, values.clone()).await?;
    execute(transaction, MOVE_ON, values).await?;
    Ok((rows, rows == u64::from(rows_max)))
}
