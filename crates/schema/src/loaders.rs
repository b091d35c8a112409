//! Loaders of the management API: reads of one request that are ready together become one statement.
//!
//! These loaders gather and do not remember: a subscription lives long, and a mutation reads again the rows that it
//! wrote.

use crate::context::{AnswerText, TooMuchText};
use crate::limits::TEXT_BATCH_DELIVERIES_MAX;
use async_graphql::Lookahead;
use async_graphql::dataloader::{DataLoader, Loader, NoCache};
use async_graphql::runtime::TokioSpawner;
use hookgraph_domain::attempt::{Attempt, OutgoingRequest};
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, EventSkip, EventTypeKey};
use hookgraph_domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{Store, StoreError};
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;
use hookgraph_pim::Yield;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The bodies of attempts that an answer shows. A body that is not shown is dropped as it is read: it may be a whole
/// payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bodies {
    pub request: bool,
    pub response: bool,
}

/// The key of a delivery's attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AttemptsOf {
    pub delivery_id: DeliveryId,
    pub bodies: Bodies,
}

/// An attempt, and its request apart from it: fields that show either share it.
#[derive(Clone, Debug)]
pub(crate) struct LoadedAttempt {
    /// The attempt without its request.
    pub attempt: Arc<Attempt>,
    pub request: Option<Arc<OutgoingRequest>>,
}

/// The key of a delivery's frozen payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PayloadOf(pub DeliveryId);

/// The key of the time at which a delivery's payload was rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RenderedAtOf(pub DeliveryId);

/// Why a text was not read.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TextError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer may not show the text.
    #[error(transparent)]
    TooMuch(#[from] TooMuchText),
}

impl From<TextError> for Refusal {
    fn from(error: TextError) -> Self {
        match error {
            TextError::Store(error) => error.into(),
            TextError::TooMuch(error) => error.into(),
        }
    }
}

impl Bodies {
    /// No bodies.
    pub const NONE: Bodies = Bodies { request: false, response: false };

    /// The bodies that a selection of attempts asks for.
    pub fn selected_in(attempts: &Lookahead<'_>) -> Self {
        let is_body_of = |exchange: &str| attempts.field(exchange).field("body").exists();
        Self { request: is_body_of("request"), response: is_body_of("response") }
    }

    /// The attempt with these bodies alone.
    pub fn of(self, mut attempt: Attempt) -> Attempt {
        if !self.request
            && let Some(request) = &mut attempt.request
        {
            request.body = None;
        }
        if !self.response {
            attempt.response_body = None;
        }
        attempt
    }
}

/// The bytes of an attempt's bodies.
pub(crate) fn body_bytes(attempt: &Attempt) -> usize {
    let request_body = attempt.request.as_ref().and_then(|request| request.body.as_ref());
    request_body.map_or(0, |body| body.len()) + attempt.response_body.as_ref().map_or(0, String::len)
}

impl From<Attempt> for LoadedAttempt {
    fn from(mut attempt: Attempt) -> Self {
        let request = attempt.request.take().map(Arc::new);
        Self { attempt: Arc::new(attempt), request }
    }
}

/// The key of the webhooks that an event passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SkipsOf(pub EventId);

/// The key of the webhooks of an event type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WebhooksOfType(pub EventTypeKey);

/// The loaders of one request.
pub(crate) struct Loaders {
    inner: DataLoader<StoreLoader, NoCache>,
}

struct StoreLoader {
    tenant_id: TenantId,
    store: Arc<dyn Store>,
    /// The text that the answer shows: there must be room in it for each text that is read.
    text: Arc<AnswerText>,
}

/// The room that one load has in the answer. A load reads the newest texts first, as lists show them, until one does
/// not fit.
struct LoadRoom<'a> {
    text: &'a AnswerText,
    /// Bytes of the texts that were read and fit.
    bytes: usize,
    /// Whether a text did not fit: the load reads no more then.
    is_full: bool,
}

impl<'a> LoadRoom<'a> {
    fn of(text: &'a AnswerText) -> Self {
        Self { text, bytes: 0, is_full: false }
    }

    /// The read value, if its `bytes` of text fit beside the texts that were read before.
    fn fitting<T>(&mut self, read: T, bytes: usize) -> Result<T, TooMuchText> {
        let after = self.bytes.saturating_add(bytes);
        if bytes > 0
            && let Err(error) = self.text.require_room(after)
        {
            self.is_full = true;
            return Err(error);
        }
        self.bytes = after;
        Ok(read)
    }
}

impl Loaders {
    pub fn new(tenant_id: TenantId, store: Arc<dyn Store>, text: Arc<AnswerText>) -> Self {
        Self { inner: DataLoader::new(StoreLoader { tenant_id, store, text }, TokioSpawner::current(), Yield) }
    }

    /// The tenant's webhook of that id; a deleted one too.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<Arc<Webhook>>, StoreError> {
        self.inner.load_one(id).await
    }

    /// The tenant's event of that id.
    pub async fn event(&self, id: EventId) -> Result<Option<Arc<Event>>, StoreError> {
        self.inner.load_one(id).await
    }

    /// The tenant's delivery of that id.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<Arc<Delivery>>, StoreError> {
        self.inner.load_one(id).await
    }

    /// The attempts of a delivery of the tenant, by number, with the bodies that are shown.
    pub async fn attempts(&self, of: DeliveryId, bodies: Bodies) -> Result<Vec<LoadedAttempt>, TextError> {
        Ok(self.inner.load_one(AttemptsOf { delivery_id: of, bodies }).await?.transpose()?.unwrap_or_default())
    }

    /// The frozen payload of a delivery of the tenant, to be shown.
    pub async fn payload(&self, of: DeliveryId) -> Result<Option<FrozenPayload>, TextError> {
        Ok(self.inner.load_one(PayloadOf(of)).await?.transpose()?)
    }

    /// When the payload of a delivery of the tenant was rendered.
    pub async fn rendered_at(&self, of: DeliveryId) -> Result<Option<Timestamp>, StoreError> {
        self.inner.load_one(RenderedAtOf(of)).await
    }

    /// The webhooks that an event of the tenant passed over.
    pub async fn skips(&self, of: EventId) -> Result<Vec<EventSkip>, StoreError> {
        Ok(self.inner.load_one(SkipsOf(of)).await?.unwrap_or_default())
    }

    /// The tenant's webhooks of an event type as they now stand.
    pub async fn webhooks_of_type(&self, key: EventTypeKey) -> Result<Vec<Arc<Webhook>>, StoreError> {
        Ok(self.inner.load_one(WebhooksOfType(key)).await?.unwrap_or_default())
    }
}

impl Loader<WebhookId> for StoreLoader {
    type Value = Arc<Webhook>;
    type Error = StoreError;

    async fn load(&self, ids: &[WebhookId]) -> Result<HashMap<WebhookId, Arc<Webhook>>, StoreError> {
        let webhooks = self.store.webhooks(self.tenant_id, ids).await?;
        Ok(webhooks.into_iter().map(|webhook| (webhook.id, Arc::new(webhook))).collect())
    }
}

impl Loader<EventId> for StoreLoader {
    type Value = Arc<Event>;
    type Error = StoreError;

    async fn load(&self, ids: &[EventId]) -> Result<HashMap<EventId, Arc<Event>>, StoreError> {
        let events = self.store.events(self.tenant_id, ids).await?;
        Ok(events.into_iter().map(|event| (event.id, Arc::new(event))).collect())
    }
}

impl Loader<DeliveryId> for StoreLoader {
    type Value = Arc<Delivery>;
    type Error = StoreError;

    async fn load(&self, ids: &[DeliveryId]) -> Result<HashMap<DeliveryId, Arc<Delivery>>, StoreError> {
        let deliveries = self.store.deliveries(self.tenant_id, ids).await?;
        Ok(deliveries.into_iter().map(|delivery| (delivery.id, Arc::new(delivery))).collect())
    }
}

impl Loader<AttemptsOf> for StoreLoader {
    type Value = Result<Vec<LoadedAttempt>, TooMuchText>;
    type Error = StoreError;

    async fn load(&self, keys: &[AttemptsOf]) -> Result<HashMap<AttemptsOf, Self::Value>, StoreError> {
        let mut ids_by_bodies: BTreeMap<Bodies, Vec<DeliveryId>> = BTreeMap::new();
        for key in keys {
            ids_by_bodies.entry(key.bodies).or_default().push(key.delivery_id);
        }
        let (mut found, mut room) = (HashMap::with_capacity(keys.len()), LoadRoom::of(&self.text));
        for (bodies, mut ids) in ids_by_bodies {
            let key = |id: DeliveryId| AttemptsOf { delivery_id: id, bodies };
            ids.sort_unstable_by_key(|id| Reverse(*id));
            for ids in ids.chunks(TEXT_BATCH_DELIVERIES_MAX) {
                if room.is_full && bodies != Bodies::NONE {
                    found.extend(ids.iter().map(|id| (key(*id), Err(TooMuchText::Answer))));
                    continue;
                }
                let mut read: HashMap<DeliveryId, (Vec<LoadedAttempt>, usize)> = HashMap::with_capacity(ids.len());
                for attempt in self.store.attempts(ids).await? {
                    let attempt = bodies.of(attempt);
                    let (attempts, bytes) = read.entry(attempt.delivery_id).or_default();
                    *bytes += body_bytes(&attempt);
                    attempts.push(LoadedAttempt::from(attempt));
                }
                for id in ids {
                    if let Some((attempts, bytes)) = read.remove(id) {
                        found.insert(key(*id), room.fitting(attempts, bytes));
                    }
                }
            }
        }
        Ok(found)
    }
}

impl Loader<PayloadOf> for StoreLoader {
    type Value = Result<FrozenPayload, TooMuchText>;
    type Error = StoreError;

    async fn load(&self, keys: &[PayloadOf]) -> Result<HashMap<PayloadOf, Self::Value>, StoreError> {
        let (mut found, mut room) = (HashMap::with_capacity(keys.len()), LoadRoom::of(&self.text));
        let mut ids: Vec<DeliveryId> = keys.iter().map(|key| key.0).collect();
        ids.sort_unstable_by_key(|id| Reverse(*id));
        for ids in ids.chunks(TEXT_BATCH_DELIVERIES_MAX) {
            if room.is_full {
                found.extend(ids.iter().map(|id| (PayloadOf(*id), Err(TooMuchText::Answer))));
                continue;
            }
            let mut read: HashMap<_, _> = self.store.payloads(ids).await?.into_iter().collect();
            for id in ids {
                if let Some(payload) = read.remove(id) {
                    let bytes = payload.json.len();
                    found.insert(PayloadOf(*id), room.fitting(payload, bytes));
                }
            }
        }
        Ok(found)
    }
}

impl Loader<RenderedAtOf> for StoreLoader {
    type Value = Timestamp;
    type Error = StoreError;

    async fn load(&self, keys: &[RenderedAtOf]) -> Result<HashMap<RenderedAtOf, Timestamp>, StoreError> {
        let mut found = HashMap::with_capacity(keys.len());
        for keys in keys.chunks(TEXT_BATCH_DELIVERIES_MAX) {
            let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
            let payloads = self.store.payloads(&ids).await?;
            found.extend(payloads.into_iter().map(|(id, payload)| (RenderedAtOf(id), payload.rendered_at)));
        }
        Ok(found)
    }
}

impl Loader<SkipsOf> for StoreLoader {
    type Value = Vec<EventSkip>;
    type Error = StoreError;

    async fn load(&self, keys: &[SkipsOf]) -> Result<HashMap<SkipsOf, Vec<EventSkip>>, StoreError> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for skip in self.store.event_skips(&ids).await? {
            found.entry(SkipsOf(skip.event_id)).or_default().push(skip);
        }
        Ok(found)
    }
}

impl Loader<WebhooksOfType> for StoreLoader {
    type Value = Vec<Arc<Webhook>>;
    type Error = StoreError;

    async fn load(&self, keys: &[WebhooksOfType]) -> Result<HashMap<WebhooksOfType, Vec<Arc<Webhook>>>, StoreError> {
        // One statement per type that the page shows: there are few, and each reads a bounded index range.
        let mut found = HashMap::new();
        for key in keys {
            let webhooks = self.store.webhook_page(&WebhookQuery::of_type(self.tenant_id, &key.0)).await?;
            found.insert(key.clone(), webhooks.into_iter().map(Arc::new).collect());
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ANSWER_BYTES_MAX;
    use hookgraph_testkit::MemoryStore;
    use uuid::Uuid;

    #[test]
    fn a_load_reads_what_fits_and_tells_of_the_others_that_they_are_too_much() {
        let text = AnswerText::default();
        text.count(ANSWER_BYTES_MAX - 10).unwrap();
        let mut room = LoadRoom::of(&text);
        assert_eq!((room.fitting('a', 6), room.is_full), (Ok('a'), false));
        assert_eq!((room.fitting('b', 5), room.is_full), (Err(TooMuchText::Answer), true));
        assert_eq!((room.fitting('c', 4), room.fitting('d', 0)), (Ok('c'), Ok('d')));
        assert_eq!(room.fitting('e', 1), Err(TooMuchText::Answer));
        // What is refused takes nothing from what fits.
        assert_eq!(
            (text.count(11), text.count(10), text.count(1)),
            (Err(TooMuchText::Answer), Ok(()), Err(TooMuchText::Answer))
        );
    }

    #[test]
    fn what_is_held_counts_as_shown_once_it_is() {
        let text = AnswerText::default();
        assert_eq!((text.hold(ANSWER_BYTES_MAX), text.hold(1)), (Ok(()), Err(TooMuchText::Answer)));
        assert_eq!((text.count(ANSWER_BYTES_MAX), text.hold(0)), (Ok(()), Ok(())));
        let full = AnswerText::default();
        full.count(ANSWER_BYTES_MAX).unwrap();
        assert_eq!(full.hold(1), Err(TooMuchText::Answer));
    }

    #[tokio::test]
    async fn an_answer_that_has_no_room_reads_all_else() {
        let text = Arc::new(AnswerText::default());
        let loaders = Loaders::new(TenantId(Uuid::nil()), Arc::new(MemoryStore::default()), text.clone());
        let (id, bodies) = (DeliveryId(Uuid::nil()), Bodies { request: true, response: false });
        text.count(ANSWER_BYTES_MAX).unwrap();
        assert!(matches!(loaders.payload(id).await, Ok(None)));
        assert!(matches!(loaders.attempts(id, bodies).await, Ok(attempts) if attempts.is_empty()));
        assert_eq!(text.require_room(1), Err(TooMuchText::Answer));
        assert_eq!(text.count(1), Err(TooMuchText::Answer));
        assert!(matches!(loaders.attempts(id, Bodies::NONE).await, Ok(attempts) if attempts.is_empty()));
        assert!(matches!(loaders.rendered_at(id).await, Ok(None)));
    }
}
