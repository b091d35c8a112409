//! Freeze: a payload is stored once, before the delivery is first sent.

use crate::batch::{Cell, Collision, Kind, Table, query};
use crate::entities::delivery::{PAYLOAD_NONE, PAYLOAD_RENDERED};
use crate::error::store_error;
use crate::micros::from_time;
use crate::store::SqlStore;
use hookgraph_domain::ports::{Fenced, Freeze, StoreError};
use sea_orm::FromQueryResult;
use std::collections::HashSet;
use uuid::Uuid;

/// Ids and tokens of claims.
pub(super) const CLAIMS: Table = Table { name: "claims", columns: &[("id", Kind::Uuid), ("fencing_token", Kind::Int)] };

const PAYLOADS: Table = Table {
    name: "payload",
    columns: &[("delivery_id", Kind::Uuid), ("json", Kind::Text), ("rendered_at_us", Kind::Int)],
};

#[derive(FromQueryResult)]
struct Frozen {
    id: Uuid,
    fencing_token: i64,
}

pub(super) async fn freeze(store: &SqlStore, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
    if freezes.is_empty() {
        return Ok(Vec::new());
    }
    let backend = store.backend();
    let transaction = store.begin_on_road().await?;
    let mark = format!(
        "UPDATE due SET payload_kind = '{PAYLOAD_RENDERED}' FROM {} AS given WHERE due.id = given.id \
         AND due.fencing_token = given.fencing_token AND due.state = 'IN_FLIGHT' \
         AND due.payload_kind = '{PAYLOAD_NONE}' RETURNING due.id, due.fencing_token",
        CLAIMS.source(backend, 1)
    );
    let claims = freezes.iter().map(|freeze| vec![Cell::Uuid(freeze.delivery_id.0), Cell::Int(freeze.fencing_token)]);
    let marked: Vec<Frozen> = query(&transaction, &mark, CLAIMS.parameters(backend, claims.collect())).await?;
    let mut open: HashSet<(Uuid, i64)> = marked.into_iter().map(|row| (row.id, row.fencing_token)).collect();
    let mut answers = Vec::with_capacity(freezes.len());
    let mut payloads = Vec::with_capacity(freezes.len());
    for Freeze { delivery_id, fencing_token, payload } in freezes {
        if !open.remove(&(delivery_id.0, *fencing_token)) {
            answers.push(Fenced::LeaseLost);
            continue;
        }
        payloads.push(vec![
            Cell::Uuid(delivery_id.0),
            Cell::Text(payload.json.to_string()),
            Cell::Int(from_time(payload.rendered_at)),
        ]);
        answers.push(Fenced::Done);
    }
    PAYLOADS.insert(&transaction, payloads, Collision::Fails).await?;
    transaction.commit().await.map_err(store_error)?;
    Ok(answers)
}
