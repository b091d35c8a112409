//! Freeze: a payload is kept once, before the first send.

use super::is_under;
use crate::entities::{delivery, payload};
use crate::error::store_error;
use crate::rows;
use crate::statements::{insert_new, whole};
use crate::store::SqlStore;
use hookgraph_domain::ports::{Fenced, Freeze, StoreError};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

pub(super) async fn freeze(store: &SqlStore, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
    if freezes.is_empty() {
        return Ok(Vec::new());
    }
    let transaction = store.begin().await?;
    let rows = locked_deliveries(&transaction, freezes.iter().map(|freeze| freeze.delivery_id.0)).await?;
    let mut answers = Vec::with_capacity(freezes.len());
    for freeze in freezes {
        let mut done = rows.get(&freeze.delivery_id.0).is_some_and(|row| is_under(row, freeze.fencing_token));
        if done {
            let row: payload::ActiveModel = whole(rows::attempt::payload_to_row(freeze.delivery_id, &freeze.payload));
            done = insert_new(&transaction, row).await?;
        }
        answers.push(if done { Fenced::Done } else { Fenced::LeaseLost });
    }
    transaction.commit().await.map_err(store_error)?;
    Ok(answers)
}

/// The deliveries of those ids by id, locked in the order of their ids.
pub(super) async fn locked_deliveries(
    transaction: &DatabaseTransaction,
    ids: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, delivery::Model>, StoreError> {
    let ids: BTreeSet<Uuid> = ids.collect();
    let rows = delivery::Entity::find()
        .filter(delivery::Column::Id.is_in(ids))
        .order_by_asc(delivery::Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(transaction)
        .await
        .map_err(store_error)?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}
