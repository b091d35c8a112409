//! Deliveries: the queue of due work, and what became of it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub webhook_id: Uuid,
    pub event_id: Uuid,
    pub is_test: bool,
    pub is_fan_out: bool,
    pub replay_id: Option<Uuid>,
    pub state: String,
    pub state_reason: Option<String>,
    pub due_at_us: Option<i64>,
    pub due_since_us: i64,
    pub leased_until_us: Option<i64>,
    pub attempts_spent: i64,
    pub attempt_count: i64,
    pub fencing_token: i64,
    pub cancel_requested: bool,
    pub created_at_us: i64,
    pub updated_at_us: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
