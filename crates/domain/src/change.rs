//! A change: everything that one mutation writes, as a value, committed in one transaction or not at all.
//!
//! Resolvers read, decide, and hand a `Change` to [`crate::ports::UnitOfWork`]; no transaction is open while they think.
//! Races are caught by the versions that a change names: the store refuses with [`CommitError::Conflict`] and the
//! mutation is decided again on what is there now.

use crate::audit::AuditEntry;
use crate::delivery::NewDelivery;
use crate::event::NewEvent;
use crate::idempotency::KeptAnswer;
use crate::ids::{CopyTaskId, DeliveryId, EventId, ReplayId, TenantId, TokenId, WebhookId};
use crate::ports::StoreError;
use crate::record::{Link, Name, Record, RecordRef};
use crate::replay::Replay;
use crate::tenant::{CopyTask, Tenant};
use crate::time::Timestamp;
use crate::token::AccessToken;
use crate::webhook::Webhook;

/// Writes and the events they raise: one transaction.
#[derive(Clone, Debug)]
pub struct Change {
    /// When it happened: the time of every row it writes.
    pub at: Timestamp,
    /// The writes, applied in order.
    pub writes: Vec<Write>,
    /// The events raised, in order. Each is fanned out in the same transaction.
    pub events: Vec<NewEvent>,
}

/// The state that a write expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing is there yet.
    Absent,
    /// This version is there.
    Version(i64),
}

/// One write of a change.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a change holds few writes, and most are the large ones")]
pub enum Write {
    /// Creates or replaces a record with its links and names. `record.version` is the new version.
    PutRecord {
        /// The record as it shall stand.
        record: Record,
        /// What it replaces.
        expected: Expected,
        /// All its links: they replace those before.
        links: Vec<Link>,
        /// All its names: they replace those before.
        names: Vec<Name>,
    },
    /// Deletes a record with its links and names.
    DeleteRecord {
        /// Its owner.
        tenant_id: TenantId,
        /// Which record.
        reference: RecordRef,
        /// The version that was read.
        expected_version: i64,
    },
    /// Writes nothing: refuses the change if that record is not there, so that what was read as a parent still exists.
    RequireRecord {
        /// Its owner.
        tenant_id: TenantId,
        /// Which record.
        reference: RecordRef,
    },
    /// Creates a tenant.
    InsertTenant(Tenant),
    /// Replaces a tenant; `tenant.version` is the new version, one above the one that was read.
    UpdateTenant(Tenant),
    /// Deletes a tenant: from now on nobody finds it, its tokens or its webhooks, nothing is sent for it, and its identifier is
    /// free. What it owns is removed afterwards, in parts, by [`Write::StopMore`] and
    /// [`crate::ports::Retention::prune_tenants`].
    DeleteTenant(TenantId),
    /// Keeps the answer of this very change. A [`CommitError::Conflict`] when one is kept under that key already, or one of another
    /// request at any step of its own, unless it is older than [`crate::limits::IDEMPOTENCY_KEPT_MS`]: then it is replaced.
    KeepAnswer(KeptAnswer),
    /// Creates an access token.
    InsertToken(AccessToken),
    /// Ends an access token; unknown ids change nothing.
    RevokeToken(TokenId),
    /// Notes that an access token was used at the time of the change; unknown ids change nothing.
    MarkTokenUsed(TokenId),
    /// Appends to the audit log.
    Audit(AuditEntry),
    /// Creates a tenant copy task, or replaces one (`expected_version` is the one that was read). Refused as
    /// [`CommitError::Refused`] where the tenant that a new one copies is gone.
    PutCopyTask {
        /// The task as it shall stand.
        task: CopyTask,
        /// What it replaces.
        expected: Expected,
    },
    /// Creates or replaces a webhook; `webhook.version` is the new version. Another ordering holds for what is due already: where
    /// that is more than [`crate::limits::STOPPED_AT_ONCE_MAX`], the webhook is one of
    /// [`crate::ports::FlowReader::webhooks_stopping`], and nothing of it is claimed out of order meanwhile.
    PutWebhook {
        /// The webhook as it shall stand. With `deleted_at` set it is deleted: it stays for its history alone.
        webhook: Webhook,
        /// What it replaces.
        expected: Expected,
    },
    /// Ends what is due for a webhook as `CANCELLED`, with the reason. What is in flight is cancelled as it settles. At most
    /// [`crate::limits::STOPPED_AT_ONCE_MAX`]: where there is more, the webhook is one of
    /// [`crate::ports::FlowReader::webhooks_stopping`], and sends nothing before all of it is cancelled.
    CancelDue {
        /// Whose deliveries.
        webhook_id: WebhookId,
        /// Shown with each of them.
        reason: String,
    },
    /// Holds what is due for a webhook, what is due first before the rest; as many at once as [`Write::CancelDue`] cancels.
    HoldDue {
        /// Whose deliveries.
        webhook_id: WebhookId,
        /// Shown with each of them.
        reason: String,
    },
    /// Holds or cancels more of what is due for a webhook that stopped, as it stands by now; for one that sends again, nothing. Of
    /// one whose tenant was deleted it removes more, and tells nobody. Of one whose ordering changed it puts more in order, or in
    /// none.
    StopMore {
        /// Whose deliveries.
        webhook_id: WebhookId,
    },
    /// Makes those deliveries of a webhook that are held due at the time of the change; passes over the others.
    ReleaseDeliveries {
        /// Whose deliveries.
        webhook_id: WebhookId,
        /// Which: at most [`crate::limits::DELIVERIES_AT_ONCE_MAX`].
        delivery_ids: Vec<DeliveryId>,
    },
    /// Creates a replay, or replaces one; `replay.version` is the new version.
    PutReplay {
        /// The replay as it shall stand.
        replay: Replay,
        /// What it replaces.
        expected: Expected,
    },
    /// Owes an event to a webhook outside the fan out: a test, or a replay, which is held while its webhook holds.
    /// Refused as [`CommitError::Refused`] where the webhook is deleted, and for a replay where it is disabled.
    InsertDelivery(NewDelivery),
    /// Makes a delivery that has ended due at the time of the change, with its attempts and its age (`due_since`) counted
    /// anew.
    /// Refused as [`CommitError::Refused`] when it has not ended.
    RetryDelivery(DeliveryId),
    /// Ends a due delivery as `CANCELLED`; one in flight is cancelled as it settles, unless it was delivered.
    /// Refused as [`CommitError::Refused`] when it has ended.
    CancelDelivery {
        /// Which delivery.
        delivery_id: DeliveryId,
        /// Shown with it.
        reason: String,
    },
}

/// What a commit made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The events, in the order of [`Change::events`].
    pub event_ids: Vec<EventId>,
    /// How many deliveries the fan out made.
    pub delivery_count: usize,
    /// How much of what it made due the same transaction claimed.
    pub claimed: Claimed,
}

/// How much of what a transaction made due it claimed: who is to be woken for the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claimed {
    /// Not all, for whatever reason: everyone is woken.
    #[default]
    NotAll,
    /// All that had room in this process, whose worker knows of the rest: the others are woken.
    WhatHadRoom,
    /// All: nobody is woken.
    All,
}

/// Why a change was not committed. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// What was read has changed since: read and decide again.
    #[error("{0} changed meanwhile")]
    Conflict(String),
    /// A record that the change requires is gone.
    #[error("{} {:?} does not exist", .0.kind.as_str(), .0.key)]
    Missing(RecordRef),
    /// The name belongs to another record.
    #[error("{} {:?} is taken", .0.scope, .0.value)]
    NameTaken(Name),
    /// What was to be created is there already.
    #[error("{0} already exists")]
    AlreadyExists(String),
    /// The state of a delivery does not allow it.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Change {
    /// A change at that time, without writes or events yet.
    pub fn at(at: Timestamp) -> Self {
        Self { at, writes: Vec::new(), events: Vec::new() }
    }
}

/// Names the copy task in a conflict.
pub fn copy_task_label(id: CopyTaskId) -> String {
    format!("copy task {id}")
}

/// Names the replay in a conflict.
pub fn replay_label(id: ReplayId) -> String {
    format!("replay {id}")
}
