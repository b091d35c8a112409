//! Statements that many writers share.

use crate::error::store_error;
use crate::limits;
use hookgraph_domain::ports::StoreError;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, Insert, IntoActiveModel};

/// Inserts rows, in as many statements as their parameters need.
pub async fn insert_all<A, C>(connection: &C, rows: Vec<A>) -> Result<(), StoreError>
where
    A: ActiveModelTrait + Send,
    C: ConnectionTrait,
{
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some: Vec<A> = rows.by_ref().take(limits::INSERT_ROWS_MAX).collect();
        <A::Entity as EntityTrait>::insert_many(some).exec_without_returning(connection).await.map_err(store_error)?;
    }
    Ok(())
}

/// Inserts a row unless it collides with one that is there; says whether it did.
pub async fn insert_new<A, C>(connection: &C, row: A) -> Result<bool, StoreError>
where
    A: ActiveModelTrait + Send,
    C: ConnectionTrait,
{
    let insert = Insert::one(row).on_conflict(OnConflict::new().do_nothing().to_owned());
    match insert.exec_without_returning(connection).await {
        Ok(row_count) => Ok(row_count > 0),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(error) => Err(store_error(error)),
    }
}

/// All columns of a row, to be written.
pub fn whole<M, A>(row: M) -> A
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait,
{
    row.into_active_model().reset_all()
}
