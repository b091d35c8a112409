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

/// The bounds of one claim, as the claiming worker sets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The claim takes deliveries that are due at this time or before, and those whose lease ended before it.
    pub now: Timestamp,
    /// The end of the leases that the claim makes.
    pub leased_until: Timestamp,
    /// The most deliveries of the claim.
    pub limit: u32,
    /// The most deliveries of one webhook in flight, those leased before included: the slots of one receiver. The
    /// webhook's own concurrency holds too.
    pub in_flight_per_webhook_max: u32,
    /// The most deliveries of each of these webhooks in the claim; with 0 the claim takes none of the webhook.
    pub limits: Vec<(WebhookId, u32)>,
    /// The most deliveries of any other webhook in the claim.
    pub limit_per_webhook: u32,
    /// The most deliveries in the claim that have spent an attempt already: the other slots are for first attempts.
    pub retries_max: u32,
}

/// The answer of a claim.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The deliveries that are leased now.
    pub deliveries: Vec<ClaimedDelivery>,
    /// The due deliveries that the claim left.
    pub left: Left,
}

impl Claims {
    /// How many of the deliveries were taken over from workers that died or were cut off.
    pub fn orphan_count(&self) -> usize {
        self.deliveries.iter().filter(|claim| claim.was_orphaned).count()
    }
}

/// The due deliveries that a claim saw and left. A delivery that waits in its record's line does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Whether the claim passed over deliveries that made way without being leased: those behind them can be claimed
    /// at once.
    pub has_more: bool,
    /// The webhooks that had deliveries without room, in order: beyond the limits of the request or the webhook's
    /// concurrency, or held by another transaction. At most [`crate::limits::WITHOUT_ROOM_MAX`] webhooks are named.
    pub without_room: Vec<WebhookId>,
    /// Whether more webhooks had deliveries without room than are named.
    pub has_others_without_room: bool,
}

/// The worker of this process, as a store knows it. A store whose recordings can claim asks it inside the recording's
/// own transaction, so that the recorded deliveries are leased without a commit of their own.
pub trait Claimer: Send + Sync {
    /// The claim that the worker wants just now, if it wants one. The store asks inside a transaction: the answer
    /// never waits.
    fn wanted(&self) -> Option<Box<dyn WantedClaim>>;
}

/// A claim that a recording may make. The store drops it where the recording claims nothing.
pub trait WantedClaim: Send + Sync {
    /// The bounds of the claim.
    fn request(&self) -> &ClaimRequest;

    /// Whether the webhook's deliveries without room wait for slots alone, as far as the worker knows. Then nobody
    /// has to be woken: the worker looks again by itself when slots are freed.
    fn waits_for_slots(&self, webhook_id: WebhookId) -> bool;

    /// Takes the claimed deliveries, once the transaction is committed. The call never waits.
    fn take(self: Box<Self>, claims: Claims);
}

/// A payload to be frozen under a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The delivery that the payload is of.
    pub delivery_id: DeliveryId,
    /// The token of the claim.
    pub fencing_token: i64,
    /// The payload.
    pub payload: FrozenPayload,
}

/// Whether a write under a claim took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// The write took effect.
    Done,
    /// The token is not the row's any more: nothing was changed.
    LeaseLost,
}

/// The narrow queue of due work. Every write under a claim names the claim's fencing token.
#[async_trait]
pub trait DeliveryQueue: Send + Sync {
    /// Leases due deliveries in one short transaction, fairly over webhooks; each gets a higher fencing token.
    /// Deliveries that have been owed for longer than [`crate::limits::DELIVERY_DUE_MS_MAX`] are claimed too:
    /// `settle` expires them. Where the webhook has no payload query as it stands in that transaction, the claim
    /// freezes the default payload and bears it.
    async fn claim(&self, request: &ClaimRequest) -> Result<Claims, StoreError>;

    /// Lets the recordings of this process claim for `claimer`, as [`DeliveryQueue::claim`] does, for as long as it
    /// lives; the claimer of the last call counts. A store whose recordings claim nothing ignores it: its recordings
    /// wake the workers instead.
    fn claim_with_recordings(&self, claimer: Weak<dyn Claimer>);

    /// Freezes payloads in one transaction; the answers are in the order of the asks. A frozen payload is never
    /// replaced: to freeze a second one is answered as `LeaseLost` too.
    async fn freeze(&self, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError>;

    /// Writes attempts and next states in one transaction; the answers are in the order of the asks.
    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError>;

    /// Makes the leases of claims hold until `leased_until`, in one statement; the answers are in the order of the
    /// asks. A lease whose delivery is being settled just now may be passed over: that is answered as `LeaseLost`
    /// too. The feed is told nothing, because no state changes.
    async fn extend(&self, claims: &[(DeliveryId, i64)], leased_until: Timestamp) -> Result<Vec<Fenced>, StoreError>;

    /// Gives leases back unspent: their deliveries are due at once.
    async fn release(&self, claims: &[(DeliveryId, i64)], now: Timestamp) -> Result<(), StoreError>;

    /// The first time after `after` at which a delivery falls due or a lease ends. Deliveries that are due already do
    /// not count: they wait for something else than the time.
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
    /// The tenant's entries after a `seq`, in order. Where some of them were removed the page has no entries, and
    /// [`FeedPage::pruned_to`] says so: a reader never steps over a gap.
    async fn feed_page(
        &self,
        tenant_id: TenantId,
        after_seq: i64,
        filter: &FeedFilter,
        limit: u32,
    ) -> Result<FeedPage, StoreError>;

    /// The tenants whose feeds moved after a `seq`, of all tenants. Nothing is passed over: an entry that is found
    /// later has a higher `seq` than [`FeedMoves::read_to_seq`]. Entries that were removed are not told of. The call
    /// looks at one stored batch at least and at `batches_max` at most; a batch holds entries of one tenant.
    async fn feed_moves(&self, after_seq: i64, batches_max: u32) -> Result<FeedMoves, StoreError>;

    /// The last `seq` of all tenants; 0 where there is none.
    async fn latest_seq(&self) -> Result<i64, StoreError>;
}

/// All ports of a store together.
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
