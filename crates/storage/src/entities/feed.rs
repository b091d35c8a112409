//! The feed; `seq` is made by the database, in commit order.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "feed")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub seq: i64,
    pub tenant_id: Uuid,
    pub at_us: i64,
    pub kind: String,
    pub event_id: Uuid,
    pub concern: Option<String>,
    pub event: Option<String>,
    pub delivery_id: Option<Uuid>,
    pub webhook_id: Option<Uuid>,
    pub state: Option<String>,
    pub attempt_count: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
