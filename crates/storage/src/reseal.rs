//! Sealing anew: after a rotation every secret is sealed with the new key, a batch at a time.
//!
//! A row says by its first byte which key sealed it, so an interrupted run goes on where it stopped; a row that someone
//! else wrote meanwhile is left as they sealed it.

use crate::batch::{execute, query};
use crate::error::{corrupt, store_error};
use crate::limits::RESEAL_ROWS;
use crate::rows::labels;
use crate::store::SqlStore;
use hookgraph_domain::ports::StoreError;
use sea_orm::FromQueryResult;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A secret as it is kept.
#[derive(FromQueryResult)]
struct Sealed {
    id: Uuid,
    tenant_id: Uuid,
    bytes: Vec<u8>,
}

/// A column that holds secrets.
struct Column {
    table: &'static str,
    name: &'static str,
    /// The column that names the tenant.
    tenant: &'static str,
    /// Its label in the row of that tenant and id.
    label: fn(Uuid, Uuid) -> String,
}

/// All of them: a test holds the list to the migrations.
const COLUMNS: [Column; 4] = [
    Column { table: "tenant", name: "keys_sealed", tenant: "id", label: |tenant_id, _| labels::tenant_keys(tenant_id) },
    Column { table: "webhook", name: "headers_sealed", tenant: "tenant_id", label: labels::webhook_headers },
    Column { table: "webhook", name: "keys_sealed", tenant: "tenant_id", label: labels::webhook_keys },
    Column { table: "webhook", name: "tls_sealed", tenant: "tenant_id", label: labels::webhook_tls },
];

impl SqlStore {
    /// Seals every secret with the key that seals now, but for those that it sealed. Answers how many it sealed anew.
    ///
    /// # Errors
    /// [`StoreError`]; what was sealed anew until then stands, and a further call goes on.
    pub async fn reseal(&self) -> Result<u64, StoreError> {
        let current = self.vault.seal("current", &[])[0];
        let mut count = 0;
        for column in &COLUMNS {
            let mut after = Uuid::nil();
            loop {
                let page = self.sealed_page(column, after).await?;
                let Some(last) = page.last() else { break };
                after = last.id;
                let old = page.into_iter().filter(|sealed| sealed.bytes.first() != Some(&current));
                count += self.reseal_batch(column, old.collect()).await?;
            }
        }
        Ok(count)
    }

    /// How many secrets each key has sealed, by the key's id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sealed_by(&self) -> Result<BTreeMap<u8, u64>, StoreError> {
        let mut counts = BTreeMap::new();
        for column in &COLUMNS {
            let mut after = Uuid::nil();
            loop {
                let page = self.sealed_page(column, after).await?;
                let Some(last) = page.last() else { break };
                after = last.id;
                for sealed in &page {
                    *counts.entry(sealed.bytes.first().copied().unwrap_or_default()).or_default() += 1;
                }
            }
        }
        Ok(counts)
    }

    async fn sealed_page(&self, column: &Column, after: Uuid) -> Result<Vec<Sealed>, StoreError> {
        let Column { table, name, tenant, .. } = column;
        let sql = format!(
            "SELECT id, {tenant} AS tenant_id, {name} AS bytes FROM {table} WHERE {name} IS NOT NULL AND id > $1 \
             ORDER BY id LIMIT {RESEAL_ROWS}"
        );
        query(&self.reader, &sql, vec![after.into()]).await
    }

    async fn reseal_batch(&self, column: &Column, old: Vec<Sealed>) -> Result<u64, StoreError> {
        if old.is_empty() {
            return Ok(0);
        }
        let Column { table, name, label, .. } = column;
        let sql = format!("UPDATE {table} SET {name} = $1 WHERE id = $2 AND {name} = $3");
        let transaction = self.begin().await?;
        let mut count = 0;
        for Sealed { id, tenant_id, bytes } in old {
            let label = label(tenant_id, id);
            let secret = self.vault.open(&label, &bytes).map_err(|error| corrupt(&label, error))?;
            let anew = self.vault.seal(&label, &secret);
            count += execute(&transaction, &sql, vec![anew.into(), id.into(), bytes.into()]).await?;
        }
        transaction.commit().await.map_err(store_error)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::COLUMNS;
    use std::collections::BTreeSet;

    /// The sealed columns of a migration, as `table.column`.
    fn sealed_columns(sql: &str) -> BTreeSet<String> {
        let (mut table, mut found) = ("", BTreeSet::new());
        for line in sql.lines() {
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                table = rest.split_whitespace().next().unwrap_or_default();
            }
            let column = line.split_whitespace().next().unwrap_or_default();
            if column.ends_with("_sealed") {
                found.insert(format!("{table}.{column}"));
            }
        }
        found
    }

    #[test]
    fn every_sealed_column_of_both_databases_is_sealed_anew() {
        let known: BTreeSet<_> = COLUMNS.iter().map(|column| format!("{}.{}", column.table, column.name)).collect();
        for sql in [
            include_str!("../../../migrations/sqlite/0001_initial.sql"),
            include_str!("../../../migrations/postgres/0001_initial.sql"),
        ] {
            assert_eq!(sealed_columns(sql), known);
        }
    }
}
