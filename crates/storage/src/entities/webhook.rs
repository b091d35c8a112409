//! Webhooks; the headers and the keys are sealed.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub name: String,
    pub concern: String,
    pub event: String,
    pub method: String,
    pub url: String,
    pub headers_sealed: Vec<u8>,
    pub graphql_query: Option<String>,
    pub preserve_default_payload: bool,
    pub document: Option<String>,
    pub document_schema_sha256: Option<String>,
    pub signing: String,
    pub keys_sealed: Option<Vec<u8>>,
    pub status: String,
    pub status_reason: Option<String>,
    pub status_since_us: i64,
    pub timeout_ms: i64,
    pub retry_delays_s: String,
    pub concurrency: i64,
    pub rate_per_second: Option<i64>,
    pub ordering: String,
    pub probe_at_us: Option<i64>,
    pub probes_failed: i64,
    pub probe_id: Option<Uuid>,
    pub draining_since_us: Option<i64>,
    pub drain_at_us: Option<i64>,
    pub subscribed_at_us: i64,
    pub failing_since_us: Option<i64>,
    pub version: i64,
    pub created_at_us: i64,
    pub updated_at_us: i64,
    pub deleted_at_us: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
