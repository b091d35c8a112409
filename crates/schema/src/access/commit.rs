//! Writing: a change and its entry in the audit log commit together.

use super::{DeliveriesWrite, EventsWrite, May, Needed, SecretsWrite, TokensWrite, WebhooksWrite};
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::change::{Change, CommitError, Committed, Write};
use hookgraph_domain::ids::AuditEntryId;
use serde_json::Value;

/// A management action as the audit log keeps it. Whoever makes one leaves secrets out.
#[derive(Clone, Debug)]
pub(crate) struct Managed {
    /// E.g. `webhook.update`.
    pub action: &'static str,
    /// E.g. `webhook:0198…`.
    pub subject: String,
    /// What it was.
    pub before: Option<Value>,
    /// What it became.
    pub after: Option<Value>,
}

/// A permission to write what is managed here.
pub(crate) trait Writes: Needed {}

impl Writes for WebhooksWrite {}
impl Writes for DeliveriesWrite {}
impl Writes for SecretsWrite {}
impl Writes for TokensWrite {}

impl<P: Writes> May<'_, P> {
    /// Commits the change with its entry, and tells those who wait.
    pub async fn commit(&self, mut change: Change, managed: Managed) -> Result<Committed, CommitError> {
        change.writes.push(Write::Audit(AuditEntry {
            id: AuditEntryId(self.asked.new_id()),
            tenant_id: self.asked.tenant_id(),
            at: change.at,
            user_id: self.asked.caller.user_id.clone(),
            action: managed.action.to_owned(),
            subject: managed.subject,
            before: managed.before.map(|before| before.to_string()),
            after: managed.after.map(|after| after.to_string()),
        }));
        self.commit_and_wake(change).await
    }
}

impl May<'_, EventsWrite> {
    /// Commits events from outside, and tells those who wait. They have no entry: an event is what it leaves behind.
    pub async fn publish(&self, change: Change) -> Result<Committed, CommitError> {
        self.commit_and_wake(change).await
    }
}

impl<P> May<'_, P> {
    async fn commit_and_wake(&self, change: Change) -> Result<Committed, CommitError> {
        let committed = self.store().commit(change).await?;
        self.asked.core.services.ports.wake_ups.committed(&committed);
        Ok(committed)
    }
}
