//! The context that resolvers of the management API find in a request: the caller, the loaders, and the process's
//! services.

use crate::access::{May, Needed};
use crate::document::DocumentChecker;
use crate::limits::{ANSWER_BYTES_MAX, PREVIEWS_PER_REQUEST_MAX};
use crate::loaders::Loaders;
use crate::render::Renderer;
use crate::subscription::FeedSignals;
use async_graphql::Context;
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::TlsJudge;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;
use hookgraph_pim::{ByteRoom, Caller, Drawn, NoRoom, NotPermitted, PimServices, RoomShare};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

/// The services of the process that the schemas need.
#[derive(Clone)]
pub struct Services {
    /// The ports that resolvers use.
    pub ports: PimServices,
    /// The signals by which subscriptions learn that their tenant's feed has moved. A loop of the process has to watch
    /// the feed and raise them.
    pub feed: Arc<FeedSignals>,
    /// The rules for the addresses that a webhook's URL may name.
    pub address_rules: AddressRules,
    /// The judge of webhooks' TLS settings.
    pub tls: Arc<dyn TlsJudge>,
    /// Whether the problems of a wrong document name similar names of the schema. Names of the event catalogue are
    /// suggested to everyone.
    pub suggests: bool,
}

/// The parts that every request shares.
pub(crate) struct Core {
    pub services: Services,
    pub documents: Arc<DocumentChecker>,
    pub renderer: Arc<Renderer>,
    /// The room for the bytes that all requests together hold.
    pub room: Arc<ByteRoom>,
}

/// The text of payloads and attempts in one answer, counted against [`ANSWER_BYTES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct AnswerText {
    /// Bytes that fields of the answer show.
    bytes: AtomicUsize,
    /// Bytes of lists that are read but not shown yet: the lists of many webhooks are read side by side.
    held_bytes: AtomicUsize,
    /// The bytes of both, taken of the room that all requests share.
    drawn: Drawn,
}

/// Why a text is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMuchText {
    /// The answer would show more than [`ANSWER_BYTES_MAX`].
    #[error(
        "this answer shows more than {} MiB of payloads and attempts: ask for fewer of them in a page, or for fewer of \
         their fields",
        ANSWER_BYTES_MAX / (1024 * 1024)
    )]
    Answer,
    /// The room that all requests share has no bytes left for this one.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

impl From<TooMuchText> for Refusal {
    fn from(error: TooMuchText) -> Self {
        match error {
            TooMuchText::Answer => Refusal::new(RefusalCode::LimitExceeded, error.to_string()),
            TooMuchText::NoRoom(error) => error.into(),
        }
    }
}

impl AnswerText {
    /// The text of an answer that shows and holds nothing yet, and takes its bytes of `room`.
    pub fn within(room: RoomShare) -> Self {
        Self { drawn: Drawn::of(Some(room)), ..Self::default() }
    }

    /// Counts the bytes of a text that is shown, each time that it is. A text that is refused is not shown, and does
    /// not count.
    pub fn count(&self, bytes: usize) -> Result<(), TooMuchText> {
        self.add_within(&self.bytes, bytes)
    }

    /// Counts the bytes of a text that was read to be shown later, by [`Self::count`]. Refuses them where the answer
    /// has no room for them, or none beside the other bytes that are held.
    pub fn hold(&self, bytes: usize) -> Result<(), TooMuchText> {
        self.require_room(bytes)?;
        self.add_within(&self.held_bytes, bytes)
    }

    /// Begins the next answer, which shows and holds nothing yet.
    fn begin_anew(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.held_bytes.store(0, Ordering::Relaxed);
        self.drawn.begin_anew();
    }

    /// Refuses bytes that are being read to be shown, where the answer has no room for them. Counts nothing.
    pub fn require_room(&self, bytes: usize) -> Result<(), TooMuchText> {
        let shown = self.bytes.load(Ordering::Relaxed);
        if shown.saturating_add(bytes) > ANSWER_BYTES_MAX { Err(TooMuchText::Answer) } else { Ok(()) }
    }

    /// Adds bytes to one of the counts, and takes them of the room that all requests share.
    fn add_within(&self, count: &AtomicUsize, bytes: usize) -> Result<(), TooMuchText> {
        add_within(count, bytes)?;
        self.drawn.add(bytes).inspect_err(|_| {
            count.fetch_sub(bytes, Ordering::Relaxed);
        })?;
        Ok(())
    }
}

/// Adds bytes to a count, and refuses them beyond [`ANSWER_BYTES_MAX`].
fn add_within(count: &AtomicUsize, bytes: usize) -> Result<(), TooMuchText> {
    let mut before = count.load(Ordering::Relaxed);
    loop {
        let after = before.saturating_add(bytes);
        if after > ANSWER_BYTES_MAX {
            return Err(TooMuchText::Answer);
        }
        match count.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(now) => before = now,
        }
    }
}

/// The context of one request of the management API: its caller, its loaders, and the bytes that it may still read.
pub(crate) struct ApiContext {
    pub caller: Caller,
    pub core: Arc<Core>,
    /// The caller's share of the room that all requests share.
    pub room: RoomShare,
    loaders: Loaders,
    text: Arc<AnswerText>,
    /// How many payloads the request has previewed.
    previews: AtomicUsize,
}

impl ApiContext {
    pub fn new(caller: Caller, core: Arc<Core>, room: RoomShare) -> Self {
        let text = Arc::new(AnswerText::within(room.clone()));
        let loaders = Loaders::new(caller.tenant_id, core.services.ports.store.clone(), text.clone());
        Self { caller, core, room, loaders, text, previews: AtomicUsize::new(0) }
    }

    /// The context that the request carries.
    ///
    /// # Errors
    /// When the request was built without one: a fault of ours.
    pub fn of<'a>(ctx: &Context<'a>) -> async_graphql::Result<&'a Arc<ApiContext>> {
        ctx.data::<Arc<ApiContext>>()
    }

    /// The proof of a permission, which is the only way to data: see [`crate::access`].
    pub fn may<P: Needed>(&self) -> Result<May<'_, P>, NotPermitted> {
        May::by(self, &self.loaders)
    }

    pub fn now(&self) -> Timestamp {
        self.core.services.ports.clock.now()
    }

    pub fn new_id(&self) -> Uuid {
        self.core.services.ports.entropy.uuid(self.now())
    }

    pub fn tenant_id(&self) -> TenantId {
        self.caller.tenant_id
    }

    /// Begins the next answer of a subscription: the text of the one before counts no more.
    pub fn next_answer(&self) {
        self.text.begin_anew();
    }

    /// The text of payloads and attempts that the answer shows.
    pub fn text(&self) -> &AnswerText {
        &self.text
    }

    /// Counts a text of a payload or an attempt that a field shows, before the field builds anything from it.
    pub fn shown<'a>(&self, text: &'a str) -> Result<&'a str, TooMuchText> {
        self.text.count(text.len())?;
        Ok(text)
    }

    /// Counts a preview, and refuses it beyond [`PREVIEWS_PER_REQUEST_MAX`].
    pub fn require_preview_left(&self) -> Result<(), Refusal> {
        if self.previews.fetch_add(1, Ordering::Relaxed) < PREVIEWS_PER_REQUEST_MAX {
            return Ok(());
        }
        let message =
            format!("one request may preview {PREVIEWS_PER_REQUEST_MAX} payloads: ask for more in another one");
        Err(Refusal::new(RefusalCode::LimitExceeded, message))
    }

    /// Refuses an argument that names another tenant than the caller's.
    pub fn require_own_tenant(&self, named: Option<&str>) -> Result<(), Refusal> {
        match named {
            Some(id) if id.parse() != Ok(self.caller.tenant_id) => Err(Refusal::not_found("tenant", id)),
            _ => Ok(()),
        }
    }
}
