//! The feed's entries of one transaction.

use crate::entities::{delivery, feed};
use crate::error::store_error;
use crate::micros::from_time;
use crate::rows::feed::{DELIVERY, EVENT};
use crate::statements::insert_all;
use crate::store::FEED_LOCK;
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbBackend};

/// Entries collected while a transaction runs, and appended as its last statement.
///
/// `seq` must follow commit order: a reader that has seen 7 must never meet a 6 that was committed later. SQLite has one
/// writer at a time, so its row numbers do. PostgreSQL hands numbers out before the commit, so the transaction takes an
/// advisory lock first and keeps it until its commit is visible (PostgreSQL releases locks after that). Because this is the
/// last thing that a transaction does, the lock is held over one insert and the commit, never over a wait for another lock.
pub struct FeedLog {
    at_us: i64,
    entries: Vec<feed::ActiveModel>,
}

impl FeedLog {
    pub fn at(at: Timestamp) -> Self {
        Self { at_us: from_time(at), entries: Vec::new() }
    }

    pub fn event(&mut self, event: &NewEvent) {
        self.entries.push(feed::ActiveModel {
            tenant_id: Set(event.tenant_id.0),
            at_us: Set(self.at_us),
            kind: Set(EVENT.to_owned()),
            event_id: Set(event.id.0),
            concern: Set(Some(event.event_type.concern.clone())),
            event: Set(Some(event.event_type.event.clone())),
            delivery_id: Set(None),
            webhook_id: Set(None),
            state: Set(None),
            attempt_count: Set(None),
            ..Default::default()
        });
    }

    /// The delivery as it now stands.
    pub fn delivery(&mut self, row: &delivery::Model) {
        self.entries.push(feed::ActiveModel {
            tenant_id: Set(row.tenant_id),
            at_us: Set(self.at_us),
            kind: Set(DELIVERY.to_owned()),
            event_id: Set(row.event_id),
            concern: Set(None),
            event: Set(None),
            delivery_id: Set(Some(row.id)),
            webhook_id: Set(Some(row.webhook_id)),
            state: Set(Some(row.state.clone())),
            attempt_count: Set(Some(row.attempt_count)),
            ..Default::default()
        });
    }

    /// Appends all of it. To be called last before the commit.
    pub async fn append(self, transaction: &DatabaseTransaction) -> Result<(), StoreError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        if transaction.get_database_backend() == DbBackend::Postgres {
            let lock = format!("SELECT pg_advisory_xact_lock({FEED_LOCK})");
            transaction.execute_unprepared(&lock).await.map_err(store_error)?;
        }
        insert_all(transaction, self.entries).await
    }
}
