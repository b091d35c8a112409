//! Ports of the road after the recording: the queue of due work, its history, and the feed.

use super::StoreError;
use crate::attempt::Attempt;
use crate::delivery::{ClaimedDelivery, Delivery};
use crate::event::{Event, EventSkip};
use crate::feed::{FeedFilter, FeedMoves, FeedPage};
use crate::ids::{AttemptId, DeliveryId, EventId, TenantId, WebhookId};
use crate::page::{DeliveryQuery, EventQuery};
use crate::payload::FrozenPayload;
use crate::settle::Settlement;
use crate::time::Timestamp;
use async_trait::async_trait;
use std::sync::Weak;

/// What a worker asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// Deliveries due at this time or before, and leases that ended before it.
    pub now: Timestamp,
    /// Until when the lease shall hold.
    pub leased_until: Timestamp,
    /// At most so many.
    pub limit: u32,
    /// At most so many in flight for one webhook, those leased before counted: one receiver's slots. Its own concurrency
    /// holds too.
    pub in_flight_per_webhook_max: u32,
    /// At most so many of these webhooks in this claim; none of them where it is nothing.
    pub limits: Vec<(WebhookId, u32)>,
    /// At most so many of any other webhook in this claim.
    pub limit_per_webhook: u32,
    /// At most so many in this claim of which an attempt is spent already: the rest of the slots is for first attempts.
    pub retries_max: u32,
}

/// What a claim came to.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// What is leased now.
    pub deliveries: Vec<ClaimedDelivery>,
    /// What else was due.
    pub left: Left,
}

impl Claims {
    /// How many were taken over from workers that died or were cut off.
    pub fn orphan_count(&self) -> usize {
        self.deliveries.iter().filter(|claim| claim.was_orphaned).count()
    }
}

/// What a claim left of the due work that it saw. What stands in its record's line does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Whether some made way without being leased: what is behind them can be claimed at once.
    pub has_more: bool,
    /// The webhooks of which some had no room, in order: beyond the limits of the request or a webhook's concurrency, or held
    /// by another transaction. At most [`crate::limits::WITHOUT_ROOM_MAX`] of them.
    pub without_room: Vec<WebhookId>,
    /// Whether there are more of them.
    pub has_others_without_room: bool,
}

/// Who claims, as it is known to a store whose recordings can claim in their own transaction: what they record is leased with
/// no commit of its own.
pub trait Claimer: Send + Sync {
    /// The claim that is wanted just now, if any. Asked inside a transaction: it never waits.
    fn wanted(&self) -> Option<Box<dyn WantedClaim>>;
}

/// A claim that a recording may make. It is dropped where nothing came of it.
pub trait WantedClaim: Send + Sync {
    /// What may be claimed.
    fn request(&self) -> &ClaimRequest;

    /// Whether what is left of a webhook for want of room waits for slots alone, as far as the worker knows: then it looks again
    /// by itself when they are freed.
    fn waits_for_slots(&self, webhook_id: WebhookId) -> bool;

    /// Takes what was claimed, once that is committed. Never waits.
    fn take(self: Box<Self>, claims: Claims);
}

/// A payload to freeze under a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Whose payload.
    pub delivery_id: DeliveryId,
    /// The claim's token.
    pub fencing_token: i64,
    /// The payload.
    pub payload: FrozenPayload,
}

/// Whether a write under a claim took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// It did.
    Done,
    /// The token is not the row's any more: nothing was changed.
    LeaseLost,
}

/// The narrow queue of due work. Every write under a claim names the claim's fencing token.
#[async_trait]
pub trait DeliveryQueue: Send + Sync {
    /// Leases due deliveries in one short transaction, fairly over webhooks; each gets a higher fencing token. What is due
    /// since longer than [`crate::limits::DELIVERY_DUE_MS_MAX`] is claimed too: `settle` expires it. Where the webhook has no
    /// payload query as it stands in that transaction, the claim freezes the default payload, which is on the claim then.
    async fn claim(&self, request: &ClaimRequest) -> Result<Claims, StoreError>;

    /// From now on the recordings of this process may claim for that claimer, as [`DeliveryQueue::claim`] does, while it lives;
    /// the last who said so counts. A store whose recordings claim nothing leaves it: then they wake whoever claims.
    fn claim_with_recordings(&self, claimer: Weak<dyn Claimer>);

    /// Freezes payloads, in one transaction; the answers are in the order of the asks. A payload that is frozen already
    /// is never replaced: that is `LeaseLost` too.
    async fn freeze(&self, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError>;

    /// Writes attempts and next states, in one transaction; the answers are in the order of the asks.
    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError>;

    /// Makes the leases of claims hold until `leased_until`, in one statement; the answers are in the order of the asks. One
    /// that is being settled just now may be passed over: that is `LeaseLost` too. No state changes, so the feed is told
    /// nothing.
    async fn extend(&self, claims: &[(DeliveryId, i64)], leased_until: Timestamp) -> Result<Vec<Fenced>, StoreError>;

    /// Gives leases back unspent: due at once.
    async fn release(&self, claims: &[(DeliveryId, i64)], now: Timestamp) -> Result<(), StoreError>;

    /// When, after that, the next delivery falls due or the next lease ends. What is due already waits for something else than the
    /// time.
    async fn next_due_at(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError>;
}

/// The log: events, deliveries, attempts.
#[async_trait]
pub trait History: Send + Sync {
    /// The tenant's events of those ids.
    async fn events(&self, tenant_id: TenantId, ids: &[EventId]) -> Result<Vec<Event>, StoreError>;

    /// One page of events.
    async fn event_page(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError>;

    /// The webhooks that an event's fan out passed over, and why.
    async fn event_skips(&self, event_ids: &[EventId]) -> Result<Vec<EventSkip>, StoreError>;

    /// The tenant's deliveries of those ids.
    async fn deliveries(&self, tenant_id: TenantId, ids: &[DeliveryId]) -> Result<Vec<Delivery>, StoreError>;

    /// One page of deliveries.
    async fn delivery_page(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError>;

    /// The attempts of those deliveries, by delivery and number.
    async fn attempts(&self, delivery_ids: &[DeliveryId]) -> Result<Vec<Attempt>, StoreError>;

    /// The newest attempts to a webhook, newest first, older than `before` where one is named; tests included.
    async fn webhook_attempts(
        &self,
        webhook_id: WebhookId,
        before: Option<AttemptId>,
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError>;

    /// The frozen payload of each of those deliveries that has one.
    async fn payloads(&self, delivery_ids: &[DeliveryId]) -> Result<Vec<(DeliveryId, FrozenPayload)>, StoreError>;
}

/// The feed of changes.
#[async_trait]
pub trait Feed: Send + Sync {
    /// The tenant's entries after a `seq`, in order. Where some of them were removed there are none, but
    /// [`FeedPage::pruned_to`] says so: a reader never steps over a gap.
    async fn feed_page(
        &self,
        tenant_id: TenantId,
        after_seq: i64,
        filter: &FeedFilter,
        limit: u32,
    ) -> Result<FeedPage, StoreError>;

    /// Whose feeds moved after a `seq`, of all tenants. Nothing is passed over: what is found later has a higher `seq` than
    /// [`FeedMoves::read_to_seq`]. What was removed is not told of. Looks at so many stored batches at most, each of entries of
    /// one tenant, and at one at least.
    async fn feed_moves(&self, after_seq: i64, batches_max: u32) -> Result<FeedMoves, StoreError>;

    /// The last `seq` of all; 0 when there is none.
    async fn latest_seq(&self) -> Result<i64, StoreError>;
}

/// Everything that a store does.
pub trait Store:
    super::FlowStore
    + super::RecordReader
    + super::TenantReader
    + super::TokenReader
    + super::AuditReader
    + super::AnswerReader
    + DeliveryQueue
    + History
    + Feed
    + super::Retention
{
}

impl<T> Store for T where
    T: super::FlowStore
        + super::RecordReader
        + super::TenantReader
        + super::TokenReader
        + super::AuditReader
        + super::AnswerReader
        + DeliveryQueue
        + History
        + Feed
        + super::Retention
{
}
