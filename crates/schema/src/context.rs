//! What resolvers of the management API find: the process's services, and who asks with what loaders.

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

/// What the schemas need of the process.
#[derive(Clone)]
pub struct Services {
    /// The ports that resolvers use.
    pub ports: PimServices,
    /// Where subscriptions learn that their tenant's feed has moved: somebody has to watch it and say so.
    pub feed: Arc<FeedSignals>,
    /// Which addresses a webhook's URL may name.
    pub address_rules: AddressRules,
    /// Judges TLS settings of webhooks.
    pub tls: Arc<dyn TlsJudge>,
    /// Whether who sends a wrong document, or saves one, is told the names of the schema that are like what it asks for. Those of
    /// the event catalogue are told to everyone.
    pub suggests: bool,
}

/// What every request shares.
pub(crate) struct Core {
    pub services: Services,
    pub documents: Arc<DocumentChecker>,
    pub renderer: Arc<Renderer>,
    /// What all requests together hold of what they read.
    pub room: Arc<ByteRoom>,
}

/// The text of payloads and attempts that an answer shows, counted against [`ANSWER_BYTES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct AnswerText {
    /// What is shown.
    bytes: AtomicUsize,
    /// What lists keep that were read to be shown: the lists of many webhooks are read side by side, before anything is.
    held_bytes: AtomicUsize,
    /// What both take of the room that all requests share.
    drawn: Drawn,
}

/// Why a text is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMuchText {
    /// The answer would show more than [`ANSWER_BYTES_MAX`].
    #[error(
        "this answer shows more than {} MiB of payloads and attempts: ask for fewer of them in a page, or for fewer of their fields",
        ANSWER_BYTES_MAX / (1024 * 1024)
    )]
    Answer,
    /// All requests together hold as much as they may.
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
    /// Of an answer that shows and holds nothing yet, and takes of that room.
    pub fn within(room: RoomShare) -> Self {
        Self { drawn: Drawn::of(Some(room)), ..Self::default() }
    }

    /// Counts what is shown, once for each time. What is refused is not shown, and does not count.
    pub fn count(&self, bytes: usize) -> Result<(), TooMuchText> {
        self.add_within(&self.bytes, bytes)
    }

    /// Refuses what was read to be shown where there is no room for it, alone or with all else that is held. It counts as shown
    /// once it is.
    pub fn hold(&self, bytes: usize) -> Result<(), TooMuchText> {
        self.require_room(bytes)?;
        self.add_within(&self.held_bytes, bytes)
    }

    /// Begins an answer that shows and holds nothing yet.
    fn begin_anew(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.held_bytes.store(0, Ordering::Relaxed);
        self.drawn.begin_anew();
    }

    /// Refuses what is being read to be shown, and is more already than there is room for. Counts nothing.
    pub fn require_room(&self, bytes: usize) -> Result<(), TooMuchText> {
        let shown = self.bytes.load(Ordering::Relaxed);
        if shown.saturating_add(bytes) > ANSWER_BYTES_MAX { Err(TooMuchText::Answer) } else { Ok(()) }
    }

    /// Adds to one of the counts, and takes of the room that all share.
    fn add_within(&self, count: &AtomicUsize, bytes: usize) -> Result<(), TooMuchText> {
        add_within(count, bytes)?;
        self.drawn.add(bytes).inspect_err(|_| {
            count.fetch_sub(bytes, Ordering::Relaxed);
        })?;
        Ok(())
    }
}

/// Adds to a count that stays within [`ANSWER_BYTES_MAX`].
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

/// One request of the management API: who asks, and its loaders.
pub(crate) struct Asked {
    pub caller: Caller,
    pub core: Arc<Core>,
    /// What it may hold of the room that all requests share.
    pub room: RoomShare,
    loaders: Loaders,
    text: Arc<AnswerText>,
    /// Its fields that previewed a payload until now.
    previews: AtomicUsize,
}

impl Asked {
    pub fn new(caller: Caller, core: Arc<Core>, room: RoomShare) -> Self {
        let text = Arc::new(AnswerText::within(room.clone()));
        let loaders = Loaders::new(caller.tenant_id, core.services.ports.store.clone(), text.clone());
        Self { caller, core, room, loaders, text, previews: AtomicUsize::new(0) }
    }

    /// The request's own.
    ///
    /// # Errors
    /// When the request was built without one: a fault of ours.
    pub fn of<'a>(ctx: &Context<'a>) -> async_graphql::Result<&'a Arc<Asked>> {
        ctx.data::<Arc<Asked>>()
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

    /// Begins the next answer of a subscription: what the one before showed counts no more.
    pub fn next_answer(&self) {
        self.text.begin_anew();
    }

    /// The text of payloads and attempts that the answer shows.
    pub fn text(&self) -> &AnswerText {
        &self.text
    }

    /// A text of a payload or an attempt, to be shown: counted each time, before anything is made of it.
    pub fn shown<'a>(&self, text: &'a str) -> Result<&'a str, TooMuchText> {
        self.text.count(text.len())?;
        Ok(text)
    }

    /// Refuses one more preview than a request may ask for.
    pub fn require_preview_left(&self) -> Result<(), Refusal> {
        if self.previews.fetch_add(1, Ordering::Relaxed) < PREVIEWS_PER_REQUEST_MAX {
            return Ok(());
        }
        let message =
            format!("one request may preview {PREVIEWS_PER_REQUEST_MAX} payloads: ask for more in another one");
        Err(Refusal::new(RefusalCode::LimitExceeded, message))
    }

    /// Refuses a tenant that is named and is not the caller's.
    pub fn require_own_tenant(&self, named: Option<&str>) -> Result<(), Refusal> {
        match named {
            Some(id) if id.parse() != Ok(self.caller.tenant_id) => Err(Refusal::not_found("tenant", id)),
            _ => Ok(()),
        }
    }
}
