//! Sealing anew: after a rotation every secret is sealed with the new key, a batch at a time.
//!
//! A row says by its first byte which key sealed it, so an interrupted run goes on where it stopped; a row that someone else
//! wrote meanwhile is left as they sealed it.

use crate::entities::{tenant, webhook};
use crate::error::{corrupt, store_error};
use crate::limits::RESEAL_ROWS;
use crate::rows::tenant::{previous_label, secret_label};
use crate::rows::webhook::headers_label;
use crate::store::SqlStore;
use hookgraph_domain::ports::StoreError;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A secret as it is kept.
struct Sealed {
    id: Uuid,
    bytes: Vec<u8>,
}

/// The columns that hold secrets.
#[derive(Clone, Copy)]
enum Column {
    TenantSecret,
    PreviousTenantSecret,
    WebhookHeaders,
}

impl Column {
    const ALL: [Column; 3] = [Self::TenantSecret, Self::PreviousTenantSecret, Self::WebhookHeaders];

    fn label(self, id: Uuid) -> String {
        match self {
            Column::TenantSecret => secret_label(id),
            Column::PreviousTenantSecret => previous_label(id),
            Column::WebhookHeaders => headers_label(id),
        }
    }
}

impl Column {
    fn of_tenant(self) -> tenant::Column {
        match self {
            Column::PreviousTenantSecret => tenant::Column::PreviousSecretSealed,
            Column::TenantSecret | Column::WebhookHeaders => tenant::Column::SigningSecretSealed,
        }
    }
}

impl SqlStore {
    /// Seals every secret with the key that seals now, but for those that it sealed. Answers how many it sealed anew.
    ///
    /// # Errors
    /// [`StoreError`]; what was sealed anew until then stands, and a further call goes on.
    pub async fn reseal(&self) -> Result<u64, StoreError> {
        let current = self.vault.seal("current", &[])[0];
        let mut count = 0;
        for column in Column::ALL {
            let mut after = None;
            loop {
                let page = self.sealed_page(column, after).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.id);
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
        for column in Column::ALL {
            let mut after = None;
            loop {
                let page = self.sealed_page(column, after).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.id);
                for sealed in &page {
                    *counts.entry(sealed.bytes.first().copied().unwrap_or_default()).or_default() += 1;
                }
            }
        }
        Ok(counts)
    }

    async fn sealed_page(&self, column: Column, after: Option<Uuid>) -> Result<Vec<Sealed>, StoreError> {
        let rows: Vec<(Uuid, Vec<u8>)> = match column {
            Column::TenantSecret | Column::PreviousTenantSecret => {
                let sealed = column.of_tenant();
                let mut select = tenant::Entity::find().select_only();
                select = select.column(tenant::Column::Id).column(sealed).filter(sealed.is_not_null());
                if let Some(after) = after {
                    select = select.filter(tenant::Column::Id.gt(after));
                }
                let select = select.order_by_asc(tenant::Column::Id).limit(RESEAL_ROWS);
                select.into_tuple().all(&self.reader).await.map_err(store_error)?
            }
            Column::WebhookHeaders => {
                let mut select = webhook::Entity::find().select_only();
                select = select.column(webhook::Column::Id).column(webhook::Column::HeadersSealed);
                if let Some(after) = after {
                    select = select.filter(webhook::Column::Id.gt(after));
                }
                let select = select.order_by_asc(webhook::Column::Id).limit(RESEAL_ROWS);
                select.into_tuple().all(&self.reader).await.map_err(store_error)?
            }
        };
        Ok(rows.into_iter().map(|(id, bytes)| Sealed { id, bytes }).collect())
    }

    async fn reseal_batch(&self, column: Column, old: Vec<Sealed>) -> Result<u64, StoreError> {
        if old.is_empty() {
            return Ok(0);
        }
        let transaction = self.begin().await?;
        let mut count = 0;
        for Sealed { id, bytes } in old {
            let label = column.label(id);
            let secret = self.vault.open(&label, &bytes).map_err(|error| corrupt(&label, error))?;
            let anew = self.vault.seal(&label, &secret);
            let written = match column {
                Column::TenantSecret | Column::PreviousTenantSecret => {
                    let sealed = column.of_tenant();
                    let update = tenant::Entity::update_many().col_expr(sealed, Expr::value(anew));
                    update.filter(tenant::Column::Id.eq(id)).filter(sealed.eq(bytes)).exec(&transaction).await
                }
                Column::WebhookHeaders => {
                    let sealed = webhook::Column::HeadersSealed;
                    let update = webhook::Entity::update_many().col_expr(sealed, Expr::value(anew));
                    update.filter(webhook::Column::Id.eq(id)).filter(sealed.eq(bytes)).exec(&transaction).await
                }
            };
            count += written.map_err(store_error)?.rows_affected;
        }
        transaction.commit().await.map_err(store_error)?;
        Ok(count)
    }
}
