//! The end of a claim: the rows that it reached are leased, and become claimed deliveries or are set aside.

use super::aside::{Aside, set_aside};
use super::parts::Parts;
use crate::batch::{Cell, Kind, Table, execute_ahead};
use crate::commit::feed::FeedLog;
use crate::connections::DatabaseTransaction;
use crate::entities::delivery::Model;
use crate::micros::from_time;
use crate::store::SqlStore;
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::ports::{ClaimRequest, StoreError};
use sea_orm::ConnectionTrait;
use std::collections::HashSet;
use uuid::Uuid;

/// The rows that a claim reached, locked by it.
pub(super) struct Reached {
    /// The rows to hand out.
    pub rows: Vec<Model>,
    /// The ids of those rows whose lease before had ended by itself.
    pub orphaned: HashSet<Uuid>,
    /// The rows that are known to be unreadable.
    pub asides: Vec<Aside>,
    pub leases: Leases,
}

/// Whether rows are leased, and their default payloads frozen, already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leases {
    Written,
    Missing,
}

/// Leases the rows that can be read, sets the others aside, and tells the feed of both.
pub(super) async fn hand_out(
    store: &SqlStore,
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
    parts: &Parts,
    reached: Reached,
    feed: &mut FeedLog,
) -> Result<Vec<ClaimedDelivery>, StoreError> {
    let Reached { mut rows, orphaned, mut asides, leases } = reached;
    rows.retain(|row| {
        let unread = parts.unread(row);
        asides.extend(unread.map(|unread| Aside::new(row, unread)));
        unread.is_none()
    });
    if leases == Leases::Missing {
        parts.freeze_defaults(&mut rows, request.now);
        lease(transaction, request, &mut rows).await?;
    }
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        let was_orphaned = orphaned.contains(&row.id);
        claimed.extend(parts.claimed_or_aside(store, row, request, was_orphaned, &mut asides));
    }
    claimed.iter().for_each(|claim: &ClaimedDelivery| feed.claimed(claim));
    set_aside(transaction, asides, request.now, feed).await?;
    Ok(claimed)
}

/// The columns that a lease writes, beside the same ones for every row.
const LEASES: Table = Table {
    name: "leases",
    columns: &[("id", Kind::Uuid), ("payload_kind", Kind::Text), ("default_frozen_at_us", Kind::IntOrNull)],
};

/// Leases rows that the caller has locked.
async fn lease(
    transaction: &DatabaseTransaction,
    request: &ClaimRequest,
    rows: &mut [Model],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let backend = transaction.get_database_backend();
    let (now_us, leased_until_us) = (from_time(request.now), from_time(request.leased_until));
    let sql = format!(
        "UPDATE due SET state = 'IN_FLIGHT', state_reason = NULL, leased_until_us = $1, \
         fencing_token = fencing_token + 1, updated_at_us = $2, payload_kind = given.payload_kind, \
         default_frozen_at_us = given.default_frozen_at_us FROM {} AS given WHERE due.id = given.id",
        LEASES.source(backend, 3)
    );
    let mut values = vec![leased_until_us.into(), now_us.into()];
    let leases = rows.iter().map(|row| {
        vec![Cell::Uuid(row.id), Cell::Text(row.payload_kind.clone()), Cell::IntOrNull(row.default_frozen_at_us)]
    });
    values.extend(LEASES.parameters(backend, leases.collect()));
    execute_ahead(transaction, &sql, values).await?;
    for row in rows {
        row.state = DeliveryState::InFlight.as_str().to_owned();
        row.state_reason = None;
        row.leased_until_us = Some(leased_until_us);
        row.fencing_token += 1;
        row.updated_at_us = now_us;
    }
    Ok(())
}
