//! Replays of past deliveries.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "replay")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub webhook_id: Uuid,
    pub from_us: i64,
    pub before_us: i64,
    pub states: String,
    pub rate_per_second: i64,
    pub payload: String,
    pub state: String,
    pub reason: Option<String>,
    pub position_id: Option<Uuid>,
    pub made_count: i64,
    pub next_at_us: i64,
    pub user_id: Option<String>,
    pub version: i64,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
