//! The port to counting and tracing. An observer decides nothing, and nothing that it does fails the caller.

use crate::change::Committed;
use crate::time::Timestamp;

/// Told of every commit. It is called on the hot path, so it must not wait.
pub trait Observer: Send + Sync {
    /// A change with these events was committed at that time.
    fn recorded(&self, committed: &Committed, at: Timestamp);

    /// A claim took over `count` deliveries from workers that died or were cut off.
    fn orphans_found(&self, _count: usize) {}

    /// `count` deliveries were cancelled, for whatever reason.
    fn cancelled(&self, _count: usize) {}

    /// A stored row of the kind `kind` cannot be read: it is set aside or passed over. The observer is told once of
    /// each row while the process lives, and of a record each time that it is in a list.
    fn unreadable(&self, _kind: RowKind) {}
}

/// The kinds of stored rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// A webhook.
    Webhook,
    /// A tenant.
    Tenant,
    /// An event.
    Event,
    /// A note of a webhook that a fan out passed over.
    EventSkip,
    /// A frozen payload.
    Payload,
    /// A delivery.
    Delivery,
    /// An attempt.
    Attempt,
    /// A batch of the feed.
    FeedBatch,
    /// A replay.
    Replay,
    /// A tenant copy.
    CopyTask,
    /// An entry of the audit log.
    AuditEntry,
    /// A record.
    Record,
}

impl RowKind {
    /// Every kind.
    pub const ALL: [RowKind; 12] = [
        Self::Webhook,
        Self::Tenant,
        Self::Event,
        Self::EventSkip,
        Self::Payload,
        Self::Delivery,
        Self::Attempt,
        Self::FeedBatch,
        Self::Replay,
        Self::CopyTask,
        Self::AuditEntry,
        Self::Record,
    ];

    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            RowKind::Webhook => "webhook",
            RowKind::Tenant => "tenant",
            RowKind::Event => "event",
            RowKind::EventSkip => "event_skip",
            RowKind::Payload => "payload",
            RowKind::Delivery => "delivery",
            RowKind::Attempt => "attempt",
            RowKind::FeedBatch => "feed_batch",
            RowKind::Replay => "replay",
            RowKind::CopyTask => "copy_task",
            RowKind::AuditEntry => "audit_entry",
            RowKind::Record => "record",
        }
    }
}

/// An observer that notes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn recorded(&self, _committed: &Committed, _at: Timestamp) {}
}
