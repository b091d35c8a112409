//! Writes of records, with their links and names.

use super::Work;
use crate::entities::{record, record_link, record_name};
use crate::error::store_error;
use crate::rows;
use crate::statements::{insert_all, insert_new, whole};
use hookgraph_domain::change::{CommitError, Expected};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::record::{Link, Name, Record, RecordRef};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};
use std::collections::BTreeSet;

fn label(reference: &RecordRef) -> String {
    format!("{} {:?}", reference.kind.as_str(), reference.key)
}

fn is(tenant_id: TenantId, reference: &RecordRef) -> Condition {
    Condition::all()
        .add(record::Column::TenantId.eq(tenant_id.0))
        .add(record::Column::Kind.eq(reference.kind.as_str()))
        .add(record::Column::Key.eq(reference.key.as_str()))
}

impl Work<'_> {
    pub(super) async fn put_record(
        &mut self,
        record: &Record,
        expected: Expected,
        links: Vec<Link>,
        names: Vec<Name>,
    ) -> Result<(), CommitError> {
        let row: record::ActiveModel = whole(rows::record::to_row(record));
        match expected {
            Expected::Absent => {
                if !insert_new(self.transaction, row).await? {
                    return Err(CommitError::AlreadyExists(label(&record.reference)));
                }
            }
            Expected::Version(version) => {
                let updated = record::Entity::update_many()
                    .set(row)
                    .filter(is(record.tenant_id, &record.reference))
                    .filter(record::Column::Version.eq(version))
                    .exec(self.transaction)
                    .await
                    .map_err(store_error)?;
                if updated.rows_affected == 0 {
                    return Err(CommitError::Conflict(label(&record.reference)));
                }
                self.forget_links_and_names(record).await?;
            }
        }
        self.write_links(record, links).await?;
        self.write_names(record, names).await
    }

    async fn forget_links_and_names(&self, record: &Record) -> Result<(), CommitError> {
        let (tenant_id, kind, key) =
            (record.tenant_id.0, record.reference.kind.as_str(), record.reference.key.as_str());
        record_link::Entity::delete_many()
            .filter(record_link::Column::TenantId.eq(tenant_id))
            .filter(record_link::Column::Kind.eq(kind))
            .filter(record_link::Column::Key.eq(key))
            .exec(self.transaction)
            .await
            .map_err(store_error)?;
        record_name::Entity::delete_many()
            .filter(record_name::Column::TenantId.eq(tenant_id))
            .filter(record_name::Column::Kind.eq(kind))
            .filter(record_name::Column::Key.eq(key))
            .exec(self.transaction)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn write_links(&self, record: &Record, links: Vec<Link>) -> Result<(), CommitError> {
        let distinct: BTreeSet<Link> = links.into_iter().collect();
        let rows = distinct.into_iter().map(|link| record_link::ActiveModel {
            tenant_id: Set(record.tenant_id.0),
            kind: Set(record.reference.kind.as_str().to_owned()),
            relation: Set(link.relation),
            target: Set(link.target),
            rank: Set(link.rank),
            key: Set(record.reference.key.clone()),
        });
        Ok(insert_all(self.transaction, rows.collect()).await?)
    }

    async fn write_names(&self, record: &Record, names: Vec<Name>) -> Result<(), CommitError> {
        let distinct: BTreeSet<Name> = names.into_iter().collect();
        for name in distinct {
            let row = record_name::ActiveModel {
                tenant_id: Set(record.tenant_id.0),
                scope: Set(name.scope.clone()),
                value: Set(name.value.clone()),
                kind: Set(record.reference.kind.as_str().to_owned()),
                key: Set(record.reference.key.clone()),
            };
            if !insert_new(self.transaction, row).await? {
                return Err(CommitError::NameTaken(name));
            }
        }
        Ok(())
    }

    pub(super) async fn delete_record(
        &mut self,
        tenant_id: TenantId,
        reference: &RecordRef,
        expected_version: i64,
    ) -> Result<(), CommitError> {
        let deleted = record::Entity::delete_many()
            .filter(is(tenant_id, reference))
            .filter(record::Column::Version.eq(expected_version))
            .exec(self.transaction)
            .await
            .map_err(store_error)?;
        if deleted.rows_affected == 0 { Err(CommitError::Conflict(label(reference))) } else { Ok(()) }
    }

    /// Locks the record against its deletion until this change is committed.
    pub(super) async fn require_record(&self, tenant_id: TenantId, reference: RecordRef) -> Result<(), CommitError> {
        let found: Option<i64> = record::Entity::find()
            .select_only()
            .column(record::Column::Version)
            .filter(is(tenant_id, &reference))
            .lock(LockType::KeyShare)
            .into_tuple()
            .one(self.transaction)
            .await
            .map_err(store_error)?;
        if found.is_some() { Ok(()) } else { Err(CommitError::Missing(reference)) }
    }
}
