//! Records by key, name and link.

use crate::entities::{record, record_link, record_name, tombstone};
use crate::error::store_error;
use crate::limits::IN_LIST_MAX;
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::ids::{EventId, TenantId};
use hookgraph_domain::page::RecordQuery;
use hookgraph_domain::ports::{RecordReader, StoreError};
use hookgraph_domain::record::{Record, RecordKind};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement, Value};
use std::collections::HashMap;

#[async_trait]
impl RecordReader for SqlStore {
    async fn records(&self, tenant_id: TenantId, kind: RecordKind, keys: &[String]) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::with_capacity(keys.len());
        for some in keys.chunks(IN_LIST_MAX) {
            let found = record::Entity::find()
                .filter(record::Column::TenantId.eq(tenant_id.0))
                .filter(record::Column::Kind.eq(kind.as_str()))
                .filter(record::Column::Key.is_in(some.iter().map(String::as_str)))
                .all(&self.reader)
                .await
                .map_err(store_error)?;
            for row in found {
                records.push(rows::record::from_row(row)?);
            }
        }
        Ok(records)
    }

    async fn records_by_name(
        &self,
        tenant_id: TenantId,
        scope: &str,
        values: &[String],
    ) -> Result<Vec<(String, Record)>, StoreError> {
        let mut named = Vec::with_capacity(values.len());
        for some in values.chunks(IN_LIST_MAX) {
            named.extend(self.some_by_name(tenant_id, scope, some).await?);
        }
        Ok(named)
    }

    async fn linked_keys(
        &self,
        tenant_id: TenantId,
        kind: RecordKind,
        relation: &str,
        targets: &[String],
        limit_per_target: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut keys = Vec::new();
        for some in targets.chunks(IN_LIST_MAX) {
            keys.extend(self.some_linked_keys(tenant_id, kind, relation, some, limit_per_target).await?);
        }
        Ok(keys)
    }

    async fn record_page(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        self.read_record_page(query).await
    }

    async fn record_count(&self, query: &RecordQuery) -> Result<u64, StoreError> {
        self.count_records(query).await
    }

    async fn tombstone(&self, event_id: EventId) -> Result<Option<Record>, StoreError> {
        let row = tombstone::Entity::find_by_id(event_id.0).one(&self.reader).await.map_err(store_error)?;
        row.map(rows::event::tombstone_from_row).transpose()
    }
}

impl SqlStore {
    async fn some_by_name(
        &self,
        tenant_id: TenantId,
        scope: &str,
        values: &[String],
    ) -> Result<Vec<(String, Record)>, StoreError> {
        let names = record_name::Entity::find()
            .filter(record_name::Column::TenantId.eq(tenant_id.0))
            .filter(record_name::Column::Scope.eq(scope))
            .filter(record_name::Column::Value.is_in(values.iter().map(String::as_str)))
            .all(&self.reader)
            .await
            .map_err(store_error)?;
        let mut keys: HashMap<&str, Vec<String>> = HashMap::new();
        for name in &names {
            keys.entry(&name.kind).or_default().push(name.key.clone());
        }
        let mut records = HashMap::new();
        for (kind, keys) in keys {
            let kind = RecordKind::from_name(kind).ok_or_else(|| crate::error::corrupt("record kind", kind))?;
            for record in self.records(tenant_id, kind, &keys).await? {
                records.insert((kind.as_str().to_owned(), record.reference.key.clone()), record);
            }
        }
        // A record may bear several of the names; one deleted between the two reads bears none.
        let named = names.into_iter().filter_map(|name| {
            let record = records.get(&(name.kind, name.key))?.clone();
            Some((name.value, record))
        });
        Ok(named.collect())
    }

    async fn some_linked_keys(
        &self,
        tenant_id: TenantId,
        kind: RecordKind,
        relation: &str,
        targets: &[String],
        limit_per_target: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        if let [target] = targets {
            return self.keys_of_one_target(tenant_id, kind, relation, target, limit_per_target).await;
        }
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<String> = (5..5 + targets.len()).map(|place| format!("${place}")).collect();
        let sql = format!(
            "SELECT target, key FROM (SELECT target, key, rank, \
             row_number() OVER (PARTITION BY target ORDER BY rank, key) AS place FROM record_link \
             WHERE tenant_id = $1 AND kind = $2 AND relation = $3 AND target IN ({})) AS linked \
             WHERE place <= $4 ORDER BY target, rank, key",
            places.join(", ")
        );
        let mut values: Vec<Value> =
            vec![tenant_id.0.into(), kind.as_str().into(), relation.into(), i64::from(limit_per_target).into()];
        values.extend(targets.iter().map(|target| Value::from(target.as_str())));
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        let found = self.reader.query_all_raw(statement).await.map_err(store_error)?;
        found
            .iter()
            .map(|row| Ok((row.try_get_by(0)?, row.try_get_by(1)?)))
            .collect::<Result<_, _>>()
            .map_err(store_error)
    }

    async fn keys_of_one_target(
        &self,
        tenant_id: TenantId,
        kind: RecordKind,
        relation: &str,
        target: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        record_link::Entity::find()
            .select_only()
            .column(record_link::Column::Target)
            .column(record_link::Column::Key)
            .filter(record_link::Column::TenantId.eq(tenant_id.0))
            .filter(record_link::Column::Kind.eq(kind.as_str()))
            .filter(record_link::Column::Relation.eq(relation))
            .filter(record_link::Column::Target.eq(target))
            .order_by_asc(record_link::Column::Rank)
            .order_by_asc(record_link::Column::Key)
            .limit(u64::from(limit))
            .into_tuple()
            .all(&self.reader)
            .await
            .map_err(store_error)
    }
}
