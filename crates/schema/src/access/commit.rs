//! Writes: a change and its entry in the audit log commit together.

use super::{DeliveriesWrite, EventsWrite, May, Needed, SecretsWrite, TokensWrite, WebhooksWrite};
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::change::{Change, CommitError, Committed, Write};
use hookgraph_domain::ids::AuditEntryId;
use serde_json::Value;

/// A management action as the audit log keeps it. The caller leaves secrets out.
#[derive(Clone, Debug)]
pub(crate) struct Managed {
    /// The action, e.g. `webhook.update`.
    pub action: &'static str,
    /// The subject, e.g. `webhook:0198…`.
    pub subject: String,
    /// The subject before the action.
    pub before: Option<Value>,
    /// The subject after the action.
    pub after: Option<Value>,
}

/// A permission to write rows of the management API.
pub(crate) trait Writes: Needed {}

impl Writes for WebhooksWrite {}
impl Writes for DeliveriesWrite {}
impl Writes for SecretsWrite {}
impl Writes for TokensWrite {}

impl<P: Writes> May<'_, P> {
    /// Commits the change with its entry, and wakes the loops that wait for its deliveries and feed entries.
    pub async fn commit(&self, mut change: Change, managed: Managed) -> Result<Committed, CommitError> {
        change.writes.push(Write::Audit(AuditEntry {
            id: AuditEntryId(self.api.new_id()),
            tenant_id: self.api.tenant_id(),
            at: change.at,
            user_id: self.api.caller.user_id.clone(),
            action: managed.action.to_owned(),
            subject: managed.subject,
            before: managed.before.map(|before| before.to_string()),
            after: managed.after.map(|after| after.to_string()),
        }));
        self.commit_and_wake(change).await
    }
}

impl May<'_, EventsWrite> {
    /// Commits events from outside, and wakes the loops that wait for them. They have no entry in the audit log: the
    /// events themselves are the record.
    pub async fn publish(&self, change: Change) -> Result<Committed, CommitError> {
        self.commit_and_wake(change).await
    }
}

impl<P> May<'_, P> {
    async fn commit_and_wake(&self, change: Change) -> Result<Committed, CommitError> {
        let committed = self.store().commit(change).await?;
        self.api.core.services.ports.wake_ups.committed(&committed);
        Ok(committed)
    }
}
