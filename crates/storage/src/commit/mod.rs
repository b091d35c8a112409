//! Commit: the writes of a change, its events, their fan out and the feed, in one transaction.

pub mod along;
pub mod deliveries;
pub mod events;
pub mod feed;
mod flow;
pub mod group;
mod idempotency;
mod records;
mod tenants;
mod waiting;
mod webhooks;

pub use tenants::OF_TENANT;

use crate::bounded::DatabaseTransaction;
use crate::error::store_error;
use crate::store::SqlStore;
use along::Claiming;
use async_trait::async_trait;
use events::Recording;
use feed::FeedLog;
use hookgraph_domain::change::{Change, CommitError, Committed, Write};
use hookgraph_domain::limits::CHANGE_ROWS_MAX;
use hookgraph_domain::ports::{Failpoint, UnitOfWork, WantedClaim};
use hookgraph_domain::time::Timestamp;
use std::sync::atomic::Ordering;

/// A change under way.
struct Work<'a> {
    store: &'a SqlStore,
    transaction: &'a DatabaseTransaction,
    at: Timestamp,
    feed: FeedLog,
    /// Whether it may claim what it records.
    claiming: Claiming,
    /// The claim that goes along with it.
    wanted: Option<Box<dyn WantedClaim>>,
}

impl<'a> Work<'a> {
    fn new(store: &'a SqlStore, transaction: &'a DatabaseTransaction, at: Timestamp) -> Self {
        let feed = FeedLog::at(at);
        Self { store, transaction, at, feed, claiming: Claiming::Nothing, wanted: None }
    }
}

#[async_trait]
impl UnitOfWork for SqlStore {
    async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        let row_count = change.writes.len() + change.events.len();
        if row_count > CHANGE_ROWS_MAX {
            return Err(CommitError::Refused(format!(
                "the change touches {row_count} rows, {CHANGE_ROWS_MAX} are allowed: do it in parts"
            )));
        }
        let at = change.at;
        if change.writes.is_empty() && !change.events.is_empty() {
            let committed = self.record_in_group(at, change.events).await?;
            self.hit(Failpoint::AfterRecord);
            self.recorded(&committed, at);
            return Ok(committed);
        }
        let transaction = self.begin().await?;
        let mut work = Work::new(self, &transaction, change.at);
        for write in change.writes {
            work.apply(write).await?;
        }
        let recorded = work.record(&[Recording { at: change.at, events: change.events }]).await?;
        let Work { feed, .. } = work;
        feed.append(&transaction).await?;
        transaction.commit().await.map_err(store_error)?;
        let committed = recorded.into_iter().next().map(|one| one.committed).unwrap_or_default();
        if !committed.event_ids.is_empty() {
            self.hit(Failpoint::AfterRecord);
        }
        self.recorded(&committed, at);
        Ok(committed)
    }
}

impl SqlStore {
    fn recorded(&self, committed: &Committed, at: Timestamp) {
        if committed.delivery_count > 0 && !committed.is_claimed {
            self.expects_due.store(true, Ordering::Relaxed);
        }
        self.observer.recorded(committed, at);
    }
}

impl Work<'_> {
    async fn apply(&mut self, write: Write) -> Result<(), CommitError> {
        match write {
            Write::PutRecord { record, expected, links, names } => {
                self.put_record(&record, expected, links, names).await
            }
            Write::DeleteRecord { tenant_id, reference, expected_version } => {
                self.delete_record(tenant_id, &reference, expected_version).await
            }
            Write::RequireRecord { tenant_id, reference } => self.require_record(tenant_id, reference).await,
            Write::InsertTenant(tenant) => self.insert_tenant(&tenant).await,
            Write::UpdateTenant(tenant) => self.update_tenant(&tenant).await,
            Write::DeleteTenant(id) => self.delete_tenant(id).await,
            Write::KeepAnswer(answer) => self.keep_answer(answer).await,
            Write::InsertToken(token) => self.insert_token(&token).await,
            Write::RevokeToken(id) => self.revoke_token(id).await,
            Write::MarkTokenUsed(id) => self.mark_token_used(id).await,
            Write::Audit(entry) => self.append_audit(entry).await,
            Write::PutCopyTask { task, expected } => self.put_copy_task(&task, expected).await,
            Write::PutWebhook { webhook, expected } => self.put_webhook(&webhook, expected).await,
            Write::CancelDue { webhook_id, reason } => self.cancel_due(webhook_id, &reason).await,
            Write::HoldDue { webhook_id, reason } => self.hold_due(webhook_id, &reason).await,
            Write::ReleaseDeliveries { webhook_id, delivery_ids } => {
                self.release_deliveries(webhook_id, &delivery_ids).await
            }
            Write::PutReplay { replay, expected } => self.put_replay(&replay, expected).await,
            Write::InsertDelivery(delivery) => self.insert_delivery(delivery).await,
            Write::RetryDelivery(id) => self.retry_delivery(id).await,
            Write::CancelDelivery { delivery_id, reason } => self.cancel_delivery(delivery_id, &reason).await,
        }
    }
}
