//! A web server over a scripted schema and one valid token, for the tests of the routes.

pub mod socket;

use async_graphql::parser::types::OperationType;
use async_graphql::{Context, Object, Request, Response, Schema, Subscription};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use hookgraph_domain::change::{Change, CommitError, Committed, Write};
use hookgraph_domain::ids::{TenantId, TokenId, WebhookId};
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::{StoreError, TokenReader, UnitOfWork};
use hookgraph_domain::signing::{PublicKey, SigningKey};
use hookgraph_domain::token::AccessToken;
use hookgraph_pim::Caller;
use hookgraph_server::auth::Authenticator;
use hookgraph_server::config::{Config, Layers};
use hookgraph_server::documents::Documents;
use hookgraph_server::endpoint::Endpoint;
use hookgraph_server::http::jwks::PublishedKeys;
use hookgraph_server::http::listening;
use hookgraph_server::http::operations::{NotReady, Readiness};
use hookgraph_server::http::{Endpoints, LargeRequests, RequestIds, WebState, router};
use hookgraph_server::metrics::Metrics;
use hookgraph_server::shares::Shares;
use hookgraph_server::surroundings::{OsEntropy, SystemClock};
use hookgraph_testkit::{ManualClock, sample};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub const TOKEN: &str = "hgt_a-token-that-the-rig-knows";

/// How long a test waits for something that must happen before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The output of the future. Panics where it takes too long, and says what was waited for.
pub async fn within<F: Future>(patience: Duration, what: &str, future: F) -> F::Output {
    match tokio::time::timeout(patience, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {patience:?} for {what}"),
    }
}

/// Waits until the condition holds.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let so = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, what, so).await;
}

/// Knows [`TOKEN`], until it is revoked.
#[derive(Default)]
pub struct OneToken {
    pub is_revoked: AtomicBool,
    /// When the token expires, in microseconds since 1970; 0 for never.
    pub expires_at_us: AtomicI64,
    /// How often a last use of the token was written.
    pub uses: AtomicU64,
    /// Whether a look-up of the token takes for ever.
    pub is_hanging: AtomicBool,
    /// Whether look-ups of the token fail.
    pub is_failing: AtomicBool,
    /// How often the token was looked up.
    pub lookups: AtomicU64,
}

#[async_trait]
impl UnitOfWork for OneToken {
    async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        let is_use = |write: &Write| matches!(write, Write::MarkTokenUsed(_));
        self.uses.fetch_add(change.writes.iter().filter(|write| is_use(write)).count() as u64, Ordering::SeqCst);
        Ok(Committed::default())
    }
}

#[async_trait]
impl TokenReader for OneToken {
    async fn token_by_sha256(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        if self.is_hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.is_failing.load(Ordering::SeqCst) {
            return Err(StoreError::Busy("planned by the test".to_owned()));
        }
        let is_known =
            secret_sha256 == hookgraph_server::auth::sha256(TOKEN) && !self.is_revoked.load(Ordering::SeqCst);
        Ok(is_known.then(|| AccessToken {
            id: TokenId(uuid::Uuid::nil()),
            tenant_id: TenantId(uuid::Uuid::nil()),
            name: "rig".into(),
            secret_sha256,
            permissions: PermissionSet::all(),
            created_at: chrono::DateTime::UNIX_EPOCH,
            expires_at: match self.expires_at_us.load(Ordering::SeqCst) {
                0 => None,
                at_us => chrono::DateTime::from_timestamp_micros(at_us),
            },
            last_used_at: None,
            revoked_at: None,
        }))
    }

    async fn tokens(&self, _: Option<TenantId>) -> Result<Vec<AccessToken>, StoreError> {
        Ok(Vec::new())
    }

    async fn token(&self, _: TokenId) -> Result<Option<AccessToken>, StoreError> {
        Ok(None)
    }
}

/// A server that is ready, unless a test says otherwise.
#[derive(Default)]
pub struct Ready {
    pub not: parking_lot::Mutex<Option<NotReady>>,
}

#[async_trait]
impl Readiness for Ready {
    async fn check(&self) -> Result<(), NotReady> {
        self.not.lock().map_or(Ok(()), Err)
    }
}

/// Knows the key pair of sevens: of the nil tenant, and of each of its webhooks.
pub struct OneKey;

#[async_trait]
impl PublishedKeys for OneKey {
    async fn keys(&self, id: TenantId, _: Option<WebhookId>) -> Result<Option<Vec<PublicKey>>, StoreError> {
        Ok((id == TenantId(uuid::Uuid::nil())).then(|| vec![SigningKey::from_bytes(&[7; 32]).public()]))
    }
}

pub struct Query;

#[Object]
impl Query {
    async fn hello(&self, name: Option<String>) -> String {
        format!("hello {}", name.as_deref().unwrap_or("you"))
    }

    async fn fails(&self) -> async_graphql::Result<i32> {
        Err("it fails".into())
    }

    async fn panics(&self) -> i32 {
        std::hint::black_box(None).expect("as planned")
    }

    async fn never(&self) -> i32 {
        std::future::pending().await
    }
}

pub struct Mutation;

#[Object]
impl Mutation {
    async fn shout(&self, word: String) -> String {
        word
    }
}

pub struct Ticks;

#[Subscription]
impl Ticks {
    /// Counts up to `to`, or for ever. [`Rig::produced`] holds how far the stream was read.
    async fn count(&self, ctx: &Context<'_>, to: Option<i32>) -> impl futures::Stream<Item = i32> + use<> {
        let produced = ctx.data_unchecked::<Arc<AtomicU64>>().clone();
        futures::stream::iter(1..=to.unwrap_or(i32::MAX)).inspect(move |_| {
            produced.fetch_add(1, Ordering::SeqCst);
        })
    }

    async fn quiet(&self) -> impl futures::Stream<Item = i32> + use<> {
        futures::stream::pending()
    }

    async fn panics(&self) -> impl futures::Stream<Item = i32> + use<> {
        futures::stream::once(async { std::hint::black_box(None).expect("as planned") })
    }

    /// Big answers, so that a client that does not read is soon felt.
    async fn big(&self, ctx: &Context<'_>) -> impl futures::Stream<Item = String> + use<> {
        let produced = ctx.data_unchecked::<Arc<AtomicU64>>().clone();
        futures::stream::repeat_with(move || {
            produced.fetch_add(1, Ordering::SeqCst);
            "x".repeat(1 << 20)
        })
    }
}

pub struct Scripted {
    pub schema: Schema<Query, Mutation, Ticks>,
}

#[async_trait]
impl Endpoint for Scripted {
    fn operation_type(&self, request: &Request) -> Option<OperationType> {
        let document = async_graphql::parser::parse_query(&request.query).ok()?;
        document.operations.iter().next().map(|(_, operation)| operation.node.ty)
    }

    fn is_known(&self, _request: &Request) -> bool {
        false
    }

    async fn execute(&self, _caller: Caller, request: Request) -> Response {
        self.schema.execute(request).await
    }

    fn stream(&self, _caller: Caller, request: Request) -> BoxStream<'static, Response> {
        self.schema.execute_stream(request).boxed()
    }
}

pub struct Rig {
    pub state: Arc<WebState>,
    pub ready: Arc<Ready>,
    pub address: SocketAddr,
    pub tokens: Arc<OneToken>,
    pub produced: Arc<AtomicU64>,
    pub stopping: CancellationToken,
    /// The clock of the tokens, and of the limits of each token.
    pub clock: ManualClock,
}

/// A server on a free port with those keys set.
pub async fn start(keys: &[(&str, &str)]) -> Rig {
    let mut layers = Layers::defaults().unwrap();
    for (name, text) in keys {
        layers.lay_flag("test", name, text).unwrap();
    }
    let config = Config::from_layers(&layers);
    let produced = Arc::new(AtomicU64::new(0));
    let schema = Schema::build(Query, Mutation, Ticks).data(produced.clone()).finish();
    let scripted = Arc::new(Scripted { schema });
    let (tokens, stopping) = (Arc::new(OneToken::default()), CancellationToken::new());
    let ready = Arc::new(Ready::default());
    let manual = ManualClock::at(sample::now());
    let clock = Arc::new(manual.clone());
    let state = WebState {
        auth: Authenticator::new(tokens.clone(), tokens.clone(), clock.clone(), config.web.token_recheck),
        readiness: ready.clone(),
        scrape: None,
        metrics: Some(Arc::new(Metrics::new().unwrap())),
        endpoints: Endpoints {
            management: scripted.clone(),
            payload: scripted,
            management_sdl: "type Query".into(),
            payload_sdl: "type Query".into(),
        },
        graphiql: config.graphiql,
        introspection: config.introspection,
        shares: Arc::new(Shares::new(&config.web, clock.clone())),
        documents: Documents::new(&config.documents).unwrap(),
        requests: Arc::new(Semaphore::new(config.web.http_requests_max)),
        large_requests: LargeRequests::default(),
        connections: Arc::new(Semaphore::new(config.web.websocket_connections_max)),
        unacknowledged: Arc::new(Semaphore::new(config.web.websocket_unacknowledged_max)),
        published_keys: Arc::new(OneKey),
        limits: config.web,
        stopping: stopping.clone(),
        request_ids: RequestIds { clock: Arc::new(SystemClock::default()), entropy: Arc::new(OsEntropy::default()) },
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = state.limits.connections;
    let state = Arc::new(state);
    tokio::spawn(listening::serve(listener, router(state.clone()), connections, stopping.clone()));
    Rig { state, ready, address, tokens, produced, stopping, clock: manual }
}

impl Rig {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
