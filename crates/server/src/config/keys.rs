//! The configuration's keys, as data: parsing, `hookgraph config` and the documentation come from this one table.

/// How a key's text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// An IP address with a port.
    Address,
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number between the two bounds, which are included.
    Number(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// IP networks as CIDR, divided by commas (in the file, an array).
    Networks,
    /// Host names, divided by commas (in the file, an array); `*.name` is all names below it.
    Hosts,
    /// The URL of an HTTP proxy, or nothing.
    Proxy,
    /// Web origins (`https://host:port`), divided by commas (in the file, an array).
    Origins,
    /// `off`, `open`, or an address.
    Exposure,
    /// The URL of the database, which may hold a password.
    Database,
    /// The levels of the log, each alone or after a target, divided by commas.
    Log,
}

impl KeyKind {
    /// The kind in words, for `hookgraph config` and the documentation.
    pub fn describe(self) -> String {
        match self {
            KeyKind::Address => "address:port".into(),
            KeyKind::Text => "text".into(),
            KeyKind::Flag => "true or false".into(),
            KeyKind::Number(min, max) => format!("number from {min} to {max}"),
            KeyKind::Choice(words) => words.join(" or "),
            KeyKind::Networks => "list of CIDR networks".into(),
            KeyKind::Hosts => "list of host names".into(),
            KeyKind::Proxy => "URL of an HTTP proxy".into(),
            KeyKind::Origins => "list of origins".into(),
            KeyKind::Exposure => "off, open or address:port".into(),
            KeyKind::Database => "sqlite://PATH, sqlite::memory: or postgres://USER:PASSWORD@HOST/NAME".into(),
            KeyKind::Log => {
                "off, error, warn, info, debug or trace, alone or as target=level, divided by commas".into()
            }
        }
    }
}

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name in `hookgraph.toml` and `--set`; in upper case after `HOOKGRAPH_` in the environment.
    pub name: &'static str,
    /// How the text is read.
    pub kind: KeyKind,
    /// The unit of a number.
    pub unit: Option<&'static str>,
    /// The text that holds where no other is configured.
    pub default: &'static str,
    /// The meaning in words.
    pub meaning: &'static str,
    /// Whether the value is never printed.
    pub is_secret: bool,
}

const fn key(name: &'static str, kind: KeyKind, default: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, unit: None, default, meaning, is_secret: false }
}

const fn number(
    name: &'static str,
    range: (u64, u64),
    unit: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    Key { name, kind: KeyKind::Number(range.0, range.1), unit: Some(unit), default, meaning, is_secret: false }
}

const fn secret(name: &'static str, meaning: &'static str) -> Key {
    Key { name, kind: KeyKind::Text, unit: None, default: "", meaning, is_secret: true }
}

/// Every key, in the order in which they are printed.
pub const KEYS: &[Key] = &[
    key("listen", KeyKind::Address, "127.0.0.1:8080", "Where HTTP is served. Port 0 takes a free port and prints it."),
    key(
        "public_url",
        KeyKind::Text,
        "",
        "How others reach this server, for the addresses it prints. Empty: the address listened on.",
    ),
    key("database", KeyKind::Database, "sqlite://data/hookgraph.db", "Where everything is kept."),
    number(
        "database_connections_max",
        (1, 1000),
        "connections",
        "8",
        "Connections to the database that are open at a time.",
    ),
    number(
        "database_bytes_max",
        (0, 1 << 50),
        "bytes",
        "0",
        "The size that an SQLite database may reach; a full one refuses changes. 0: as the disk allows.",
    ),
    key(
        "key_file",
        KeyKind::Text,
        "data/hookgraph.key",
        "The key that secrets are encrypted with. Made with mode 0600 when missing; without it the stored secrets are \
         lost.",
    ),
    key(
        "refused_addresses",
        KeyKind::Networks,
        "",
        "Networks that webhooks may never call, whatever is allowed: public ones of your own, e.g. \
         198.51.100.0/24,2001:db8::/32.",
    ),
    key(
        "allowed_addresses",
        KeyKind::Networks,
        "",
        "Networks that webhooks may call although they are not globally routable, e.g. 127.0.0.0/8,::1/128.",
    ),
    key(
        "allowed_hosts",
        KeyKind::Hosts,
        "",
        "Names that webhooks may call at any address, e.g. receiver.lan,*.internal.example.",
    ),
    key(
        "egress_proxy",
        KeyKind::Proxy,
        "",
        "An HTTP proxy that all webhooks are called through, e.g. http://USER:PASSWORD@proxy.lan:3128. It then judges \
         names.",
    ),
    key(
        "trusted_certificates",
        KeyKind::Text,
        "",
        "A PEM file of certificates that receivers' certificates may be signed by, beside the system's.",
    ),
    key("log", KeyKind::Log, "info", "What is logged: a level, or directives such as info,hookgraph_dispatcher=debug."),
    key("log_format", KeyKind::Choice(&["text", "json"]), "text", "How log lines are written, to standard error."),
    key(
        "metrics",
        KeyKind::Exposure,
        "off",
        "Where /metrics is served: nowhere, open to everyone on the address listened on, or on an address of its own.",
    ),
    key(
        "otlp_endpoint",
        KeyKind::Text,
        "",
        "Where traces are sent by OTLP over HTTP, e.g. http://127.0.0.1:4318. Empty: nowhere.",
    ),
    number("otlp_sample_percent", (0, 100), "percent", "100", "How many of the traces are sent."),
    key(
        "production",
        KeyKind::Flag,
        "false",
        "Switches off what helps strangers: introspection, GraphiQL, suggestions in errors, and queries by GET.",
    ),
    key("graphiql", KeyKind::Flag, "true", "Whether browsers that open /graphql get GraphiQL."),
    key("introspection", KeyKind::Flag, "true", "Whether the schema can be asked for by introspection and as SDL."),
    key(
        "allowed_origins",
        KeyKind::Origins,
        "",
        "Origins of web pages that may call this server (CORS, WebSocket), beside its own.",
    ),
    number(
        "http_body_bytes_max",
        (1024, 64 * 1024 * 1024),
        "bytes",
        "2097152",
        "The largest body of a GraphQL request.",
    ),
    number("http_request_ms_max", (100, 600_000), "milliseconds", "30000", "How long one GraphQL request may take."),
    number(
        "http_requests_max",
        (1, 100_000),
        "requests",
        "1024",
        "GraphQL requests that are executed at a time; more are refused with 503.",
    ),
    number(
        "http_connections_max",
        (1, 1_000_000),
        "connections",
        "10000",
        "Connections at a time, whoever opens them; more are closed at once.",
    ),
    number(
        "http_idle_ms_max",
        (100, 3_600_000),
        "milliseconds",
        "75000",
        "How long a connection may be open without a request, or take for the head of one.",
    ),
    number(
        "websocket_connections_max",
        (1, 100_000),
        "connections",
        "1000",
        "WebSocket connections and event streams at a time; a quarter of them, or 16, may be connections without a \
         token yet.",
    ),
    number(
        "websocket_subscriptions_max",
        (1, 10_000),
        "subscriptions",
        "100",
        "Operations at a time on one WebSocket connection.",
    ),
    number(
        "token_requests_per_s_max",
        (0, 1_000_000),
        "requests per second",
        "10000",
        "GraphQL requests of one token, over HTTP and on its connections; more are refused with 429. 0: no limit.",
    ),
    number(
        "token_requests_burst_max",
        (1, 10_000_000),
        "requests",
        "20000",
        "How many requests a token that was quiet may send at once.",
    ),
    number(
        "token_connections_max",
        (1, 100_000),
        "connections",
        "500",
        "WebSocket connections and event streams of one token at a time.",
    ),
    number(
        "token_subscriptions_max",
        (1, 1_000_000),
        "subscriptions",
        "5000",
        "Operations of one token at a time, over all of its connections and event streams.",
    ),
    key(
        "trusted_documents",
        KeyKind::Text,
        "",
        "A JSON file of documents by identifier, as graphql-codegen and Apollo write them, or a directory of such \
         files.",
    ),
    key("trusted_documents_only", KeyKind::Flag, "false", "Whether other documents than the trusted ones are refused."),
    key(
        "automatic_persisted_queries",
        KeyKind::Flag,
        "true",
        "Whether clients may send the hash of a document that was sent before instead of its text.",
    ),
    number(
        "websocket_message_bytes_max",
        (1024, 64 * 1024 * 1024),
        "bytes",
        "262144",
        "The largest message that a WebSocket client may send.",
    ),
    number(
        "websocket_init_ms_max",
        (10, 60_000),
        "milliseconds",
        "3000",
        "How long a WebSocket connection may take until it is acknowledged, the look-up of its token too.",
    ),
    number(
        "websocket_ping_ms",
        (100, 3_600_000),
        "milliseconds",
        "15000",
        "How often a quiet WebSocket client is pinged.",
    ),
    number(
        "token_recheck_ms",
        (100, 3_600_000),
        "milliseconds",
        "30000",
        "How often the token of an open connection or event stream is looked up again: a revoked one ends it.",
    ),
    number(
        "deliveries_in_flight_max",
        (1, 100_000),
        "deliveries",
        "1024",
        "Requests to receivers that are under way at a time.",
    ),
    number(
        "deliveries_in_flight_per_webhook_max",
        (1, 10_000),
        "deliveries",
        "500",
        "Requests to one webhook over all processes, whatever its own concurrency is.",
    ),
    number("claim_batch_max", (1, 1000), "deliveries", "256", "Deliveries that one claim takes."),
    number("poll_ms", (10, 600_000), "milliseconds", "1000", "How often the queue is looked at when nothing wakes it."),
    number(
        "shutdown_ms_max",
        (0, 600_000),
        "milliseconds",
        "10000",
        "How long requests under way may take to end when the server stops.",
    ),
    number(
        "shutdown_delay_ms",
        (0, 600_000),
        "milliseconds",
        "0",
        "How long a server that stops goes on as before, /readyz answering 503, so that load balancers turn away \
         first.",
    ),
    number(
        "history_days",
        (1, 3650),
        "days",
        "30",
        "How long events, deliveries that ended, attempts, and replays and copies that ended are kept; history goes by \
         days of UTC.",
    ),
    number(
        "history_bytes_max",
        (0, 1 << 50),
        "bytes",
        "0",
        "What history may occupy: beyond it the oldest days go, never today. 0: as the days and the disk allow.",
    ),
    number(
        "feed_days",
        (1, 365),
        "days",
        "7",
        "How far back subscriptions can resume; no further than history is kept.",
    ),
    number(
        "due_days",
        (1, 30),
        "days",
        "30",
        "How long what is held stays due before it ends as EXPIRED. Nothing is sent after 30 days.",
    ),
    number("audit_days", (1, 3650), "days", "365", "How long entries of the audit log are kept."),
    key(
        "oidc_issuer",
        KeyKind::Text,
        "",
        "The URL of an OpenID Connect issuer whose JWTs let callers in, exactly as its tokens name it.",
    ),
    key("oidc_audience", KeyKind::Text, "", "Whom the issuer's tokens must be for; needed with oidc_issuer."),
    key("oidc_tenant_claim", KeyKind::Text, "tenant", "The claim with the tenant's identifier or id."),
    key("oidc_permissions_claim", KeyKind::Text, "permissions", "The claim with the names of permissions."),
    key(
        "bootstrap_tenant",
        KeyKind::Text,
        "",
        "The identifier of a tenant that is made at the start, unless it is there.",
    ),
    secret("bootstrap_token", "The text of an access token for that tenant, made at the start unless it is there."),
    secret(
        "bootstrap_signature_secret",
        "The signature secret (whsec_ and the base64 of 32 bytes) of that tenant, taken when it is made.",
    ),
];

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known key nearest to an unknown one, where one is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    let similarity = |key: &Key| strsim::jaro_winkler(key.name, name);
    KEYS.iter()
        .max_by(|left, right| similarity(left).total_cmp(&similarity(right)))
        .filter(|key| similarity(key) >= crate::limits::NEAREST_KEY_SIMILARITY_MIN)
        .map(|key| key.name)
}
