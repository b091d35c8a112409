//! Keyset pages of records.

use super::rows as page_rows;
use crate::entities::{record, record_link};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows;
use crate::store::SqlStore;
use hookgraph_domain::page::{Direction, RecordQuery, RecordSort};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::record::Record;
use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{
    ColumnTrait, EntityTrait, Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

impl SqlStore {
    pub(super) async fn read_record_page(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        let order = match query.direction {
            Direction::Ascending => Order::Asc,
            Direction::Descending => Order::Desc,
        };
        let mut select = matching(query);
        if let Some(column) = time_column(query.sort) {
            select = select.order_by(column, order.clone());
        }
        if let Some(position) = after(query) {
            select = select.filter(position);
        }
        let found = select
            .order_by(record::Column::Key, order)
            .limit(page_rows(query.limit))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        found.into_iter().map(rows::record::from_row).collect()
    }

    pub(super) async fn count_records(&self, query: &RecordQuery) -> Result<u64, StoreError> {
        matching(query).count(&self.reader).await.map_err(store_error)
    }
}

fn time_column(sort: RecordSort) -> Option<record::Column> {
    match sort {
        RecordSort::CreatedAt => Some(record::Column::CreatedAtUs),
        RecordSort::UpdatedAt => Some(record::Column::UpdatedAtUs),
        RecordSort::Key => None,
    }
}

/// Beyond the position, as a comparison of rows: an index range on both databases.
fn after(query: &RecordQuery) -> Option<SimpleExpr> {
    let position = query.after.as_ref()?;
    let key = Expr::col(record::Column::Key);
    let (columns, values) = match time_column(query.sort) {
        Some(column) => (
            Expr::tuple([Expr::col(column), key]),
            Expr::tuple([Expr::value(from_time(position.at)), Expr::value(position.key.as_str())]),
        ),
        None => (key, Expr::value(position.key.as_str())),
    };
    Some(match query.direction {
        Direction::Ascending => columns.gt(values),
        Direction::Descending => columns.lt(values),
    })
}

fn matching(query: &RecordQuery) -> Select<record::Entity> {
    let mut select = record::Entity::find()
        .filter(record::Column::TenantId.eq(query.tenant_id.0))
        .filter(record::Column::Kind.eq(query.kind.as_str()));
    for (relation, target) in &query.linked {
        let bearers = record_link::Entity::find()
            .select_only()
            .column(record_link::Column::Key)
            .filter(record_link::Column::TenantId.eq(query.tenant_id.0))
            .filter(record_link::Column::Kind.eq(query.kind.as_str()))
            .filter(record_link::Column::Relation.eq(relation.as_str()))
            .filter(record_link::Column::Target.eq(target.as_str()))
            .into_query();
        select = select.filter(record::Column::Key.in_subquery(bearers));
    }
    select
}
