//! Commit: the writes of a change, its events, their fan out and the feed, in one transaction.

pub mod along;
pub mod deliveries;
pub mod events;
pub mod feed;
mod flow;
pub mod group;
mod idempotency;
pub mod lining;
mod records;
pub mod stopping;
mod tenants;
mod waiting;
mod webhooks;

pub use tenants::NOTE_DUE;

use crate::connections::DatabaseTransaction;
use crate::store::SqlStore;
use along::{Along, Claiming, NotCommitted};
use async_trait::async_trait;
use events::{Prepared, Recording};
use feed::FeedLog;
use hookgraph_domain::change::{Change, Claimed, CommitError, Committed, Write};
use hookgraph_domain::limits::CHANGE_ROWS_MAX;
use hookgraph_domain::ports::{Failpoint, StoreError, UnitOfWork, WantedClaim};
use hookgraph_domain::time::Timestamp;
use sea_orm::DbBackend;
use std::sync::atomic::Ordering;
use stopping::{Budget, Stop};

/// A change under way.
struct Work<'a> {
    store: &'a SqlStore,
    transaction: &'a DatabaseTransaction,
    at: Timestamp,
    feed: FeedLog,
    /// How many rows the change may still hold or cancel with their webhooks, or put in order.
    stopped: Budget,
    /// Whether the change may claim the deliveries that it records.
    claiming: Claiming,
    /// The claim that the change takes along.
    wanted: Option<Box<dyn WantedClaim>>,
}

/// A change whose writes are done, but for the feed and the commit.
struct Worked {
    committed: Vec<Committed>,
    along: Option<Along>,
    feed: FeedLog,
}

impl<'a> Work<'a> {
    fn new(store: &'a SqlStore, transaction: &'a DatabaseTransaction, at: Timestamp) -> Self {
        let feed = FeedLog::at(at);
        Self { store, transaction, at, feed, stopped: Budget::default(), claiming: Claiming::Nothing, wanted: None }
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
        let raises = !change.events.is_empty();
        let committed = if raises && change.writes.is_empty() {
            self.record_in_group(at, change.events).await?
        } else {
            // On the heap: most changes only record events, and would otherwise hold and copy the future of every kind
            // of write.
            Box::pin(self.commit_alone(change)).await?
        };
        if raises {
            self.hit(Failpoint::AfterRecord);
        }
        self.recorded(&committed, at);
        Ok(committed)
    }
}

/// Whether a write leaves webhooks and tenants as they are. A claim caches the ones that it reads, so they must be
/// committed.
fn is_of_records(write: &Write) -> bool {
    use Write::{Audit, DeleteRecord, KeepAnswer, PutRecord, RequireRecord};
    matches!(write, PutRecord { .. } | DeleteRecord { .. } | RequireRecord { .. } | KeepAnswer(_) | Audit(_))
}

impl SqlStore {
    /// Commits a change in a transaction of its own. If the claim along fails, everything is done again without it; it
    /// was the claim that failed if that goes through.
    async fn commit_alone(&self, change: Change) -> Result<Committed, CommitError> {
        if !change.events.is_empty() && change.writes.iter().all(is_of_records) {
            let (store, claiming) = (self.clone(), change.clone());
            // In a task of its own: a caller that goes away must not drop deliveries between their lease and their
            // hand-over.
            let committing = tokio::spawn(async move { store.commit_once(claiming, Claiming::IfWanted).await });
            let at = change.at;
            return match committing.await {
                Ok(Err(NotCommitted::ForTheClaim(error))) => {
                    let committed = self.commit_once(change, Claiming::Nothing).await;
                    if committed.is_ok() {
                        self.claimer.failed(&error, at);
                    }
                    committed.map_err(NotCommitted::into_inner)
                }
                Ok(answer) => answer.map_err(NotCommitted::into_inner),
                Err(error) => Err(StoreError::Failed(format!("the change ended early: {error}")).into()),
            };
        }
        self.commit_once(change, Claiming::Nothing).await.map_err(NotCommitted::into_inner)
    }

    async fn commit_once(&self, change: Change, claiming: Claiming) -> Result<Committed, NotCommitted<CommitError>> {
        let Change { at, writes, events } = change;
        let changes = [Recording { at, events }];
        let prepared = Prepared::of(&changes)?;
        let transaction = self.begin().await?;
        let mut work = Work { claiming, ..Work::new(self, &transaction, at) };
        for write in writes {
            work.apply(write).await?;
        }
        let worked = work.record_and_claim::<CommitError>(prepared).await?;
        let committed = self.commit_worked::<CommitError>(transaction, worked).await?;
        Ok(committed.into_iter().next().unwrap_or_default())
    }

    /// Appends the feed, commits, and hands over the claim along.
    async fn commit_worked<E: From<StoreError>>(
        &self,
        transaction: DatabaseTransaction,
        worked: Worked,
    ) -> Result<Vec<Committed>, NotCommitted<E>> {
        let Worked { committed, along, feed } = worked;
        // SQLite sends the statements of the claim with the commit.
        let with_claim = along.is_some() && self.backend() == DbBackend::Sqlite;
        if let Err(error) = feed.commit(transaction, &*self.observer).await {
            return Err(NotCommitted::at_commit(error, with_claim));
        }
        if let Some(along) = along {
            along.hand_over(self);
        }
        Ok(committed)
    }

    fn recorded(&self, committed: &Committed, at: Timestamp) {
        if committed.delivery_count > 0 && committed.claimed == Claimed::NotAll {
            self.expects_due.store(true, Ordering::Relaxed);
        }
        self.observer.recorded(committed, at);
    }
}

impl Work<'_> {
    /// Records the change's events and claims along: everything but the commit.
    async fn record_and_claim<E: From<StoreError>>(
        mut self,
        prepared: Prepared<'_>,
    ) -> Result<Worked, NotCommitted<E>> {
        let mut recorded = self.record(prepared).await?;
        let along = self.claim_along(&mut recorded).await.map_err(NotCommitted::ForTheClaim)?;
        Ok(Worked { committed: recorded.into_iter().map(|one| one.committed).collect(), along, feed: self.feed })
    }

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
            Write::CancelDue { webhook_id, reason } => {
                self.stop_due(webhook_id, Stop::Cancel { reason: &reason }).await
            }
            Write::HoldDue { webhook_id, reason } => self.stop_due(webhook_id, Stop::Hold { reason: &reason }).await,
            Write::StopMore { webhook_id } => self.stop_more(webhook_id).await,
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
