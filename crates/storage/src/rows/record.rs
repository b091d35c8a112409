//! Records.

use crate::entities::record::Model;
use crate::error::corrupt;
use crate::micros::{from_time, to_time};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::record::{Record, RecordKind, RecordRef};

pub fn to_row(record: &Record) -> Model {
    Model {
        tenant_id: record.tenant_id.0,
        kind: record.reference.kind.as_str().to_owned(),
        key: record.reference.key.clone(),
        version: record.version,
        body: record.body.clone(),
        created_at_us: from_time(record.created_at),
        updated_at_us: from_time(record.updated_at),
    }
}

pub fn from_row(row: Model) -> Result<Record, StoreError> {
    let kind = RecordKind::from_name(&row.kind).ok_or_else(|| corrupt("record kind", &row.kind))?;
    Ok(Record {
        tenant_id: TenantId(row.tenant_id),
        reference: RecordRef::new(kind, row.key),
        version: row.version,
        body: row.body,
        created_at: to_time(row.created_at_us)?,
        updated_at: to_time(row.updated_at_us)?,
    })
}
