//! Every bound of the dispatcher: its name ends with its unit, and its comment gives its reason.

use hookgraph_domain::limits::{RENDER_MS_MAX, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN};

/// The most deliveries of this process between claim and settlement, in slots: a crash may send this many twice, and
/// memory holds their payloads.
pub const IN_FLIGHT_MAX: u32 = 1_024;
/// The payload that one slot stands for, in bytes. A larger payload takes a slot for each part of this size, so all
/// slots together are 64 MiB of payloads; payloads that were rendered before their size was known come on top.
pub const SLOT_BYTES: usize = 64 * 1024;
/// The payloads that are rendered together, in bytes, as far as the webhooks' recent payloads tell: one transaction
/// freezes them ([`WRITE_BYTES_MAX`]).
pub const RENDER_BYTES_AIM: usize = WRITE_BYTES_MAX;
/// The most payloads that are rendered together, however small the recent ones were: only the render shows how large
/// they are.
pub const RENDER_COUNT_MAX: usize = 64;
/// How long the size of a webhook's recent payloads counts while none of its deliveries is in flight, in
/// milliseconds: a minute.
pub const PAYLOADS_KNOWN_MS: u64 = 60_000;
/// The guessed size of a webhook's first payloads, in bytes each: sixteen of them are rendered together.
pub const PAYLOAD_BYTES_GUESS: usize = 512 * 1024;
/// The most deliveries of one webhook in flight over all processes, whatever its own concurrency is: one slow
/// receiver occupies no more. Of one process it occupies no more than it leaves free ([`crate::worker`]).
pub const IN_FLIGHT_PER_WEBHOOK_MAX: u32 = hookgraph_domain::limits::CONCURRENCY_MAX;
/// The share of [`IN_FLIGHT_MAX`] that retries leave to first attempts, in percent.
pub const FIRST_ATTEMPTS_PERCENT: u32 = 25;
/// The webhooks whose shares a process remembers before it forgets those at rest.
pub const FLOW_WEBHOOKS_MAX: usize = 10_000;
/// The shortest wait for the tokens of a webhook with a rate, in milliseconds: within it a few tokens come, and share
/// the cost of one claim.
pub const RATE_LOOK_MS: u64 = 50;
/// How often the flow loop looks for probes, drains and replays, in milliseconds.
pub const FLOW_POLL_MS: u64 = 250;
/// The most webhooks to probe, webhooks to drain, and replays, each, in one round of the flow loop.
pub const FLOW_ROUND_MAX: u32 = 32;
/// The deliveries that a replay leaves out in one round because their events are gone. Each costs as many refused
/// commits as its batch can be halved, and probes, drains and other replays wait meanwhile.
pub const REPLAY_LEFT_OUT_MAX: u32 = 8;
/// The stopping webhooks that have a turn in one round of the flow loop. A turn takes tens of milliseconds, or half a
/// second where another transaction holds the webhook, and probes, drains and replays wait for all turns of a round.
pub const STOPS_ROUND_MAX: u32 = 4;
/// The turns after which the webhooks whose turns were in vain are tried again, though others still go on: any number
/// may fail without end, and none of them keeps another from its turn. Each round passes their ids to the store, 16
/// bytes each.
pub const STOPS_TURNS_MAX: usize = 1_000;
/// The wait before the next round of the flow loop while a webhook is stopping, in milliseconds: recordings and
/// settlements of the webhook wait during each round.
pub const STOP_PAUSE_MS: u64 = 50;
/// The held deliveries that take turns as probes: with one alone, a delivery that can never be sent would keep the
/// webhook suspended.
pub const PROBE_CANDIDATES_MAX: u32 = 20;
/// How often retention looks for history that is too old, in milliseconds: ten minutes.
pub const RETENTION_POLL_MS: u64 = 10 * 60_000;
/// The wait before retention goes on with the rest of an unfinished round, in milliseconds.
pub const RETENTION_AGAIN_MS: u64 = 5_000;
/// How often retention looks for deleted tenants between two rounds, in milliseconds: the look at an index that is
/// nearly always empty.
pub const RETENTION_TENANTS_MS: u64 = 60_000;
/// How long retention works on one deleted tenant before the others have their turn, in milliseconds: six tenants
/// have one in a round.
pub const RETENTION_TENANT_MS_MAX: u64 = 5_000;
/// The rows that one step of retention looks at: a transaction of a few milliseconds, behind which a recording may
/// wait.
pub const RETENTION_STEP_ROWS: u32 = 500;
/// How long one round of retention may take, in milliseconds: the next round does the rest.
pub const RETENTION_ROUND_MS_MAX: u64 = 30_000;
/// The most days that one round removes for lack of room.
pub const RETENTION_DAYS_FOR_ROOM_MAX: u32 = 30;
/// The most deliveries of one claim: enough of them to share a transaction, the loaders, and the look at the head of
/// every webhook's queue; few enough to spread over processes.
pub const CLAIM_BATCH_MAX: u32 = 256;
/// The most settlements of one transaction.
pub const SETTLE_BATCH_MAX: usize = 256;
/// The settlements or payloads that one transaction writes, in bytes, unless a single one is larger: a statement of a
/// few seconds even where the database is slow. It takes several times as much memory.
pub const WRITE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The deliveries of one claim, or the settlements of one transaction, from which on the next one waits [`GATHER_MS`]
/// to grow: under load more of them share the cost of a transaction. After a smaller one nothing waits.
pub const GATHER_MIN: usize = 16;
/// How long a claim or a settlement waits to grow, in milliseconds; twice as long where other processes are active.
pub const GATHER_MS: u64 = 4;
/// The least time to the next look for deliveries that fall due, after a claim that took some or left some without
/// room, in milliseconds: deliveries that fall due one after the other would each cost a claim.
pub const LOOK_MS_MIN: u64 = 50;
/// How long the loop waits for a wake-up before it looks by itself, in milliseconds: a wake-up may be lost.
pub const POLL_MS: u64 = 1_000;
/// The time that the renders of one tenant's share of a claim may take together, in milliseconds.
pub const RENDER_BATCH_MS_MAX: u64 = 4 * RENDER_MS_MAX;
/// How long a lease holds, in milliseconds. The deliveries of a dead process wait no longer, and a live process may
/// be cut off from the store for as long before another one sends its requests too.
pub const LEASE_MS: u64 = 15_000;
/// How often the leases of deliveries in flight are extended, in milliseconds: a fifth of a lease, so that several
/// beats may fail.
pub const BEAT_MS: u64 = 3_000;
/// The rest of a lease that a request needs to start, in milliseconds: a beat comes before the lease ends.
pub const SEND_MARGIN_MS: u64 = BEAT_MS;
/// How long nothing is claimed once the store answers again after a long outage, in milliseconds. Leases may have
/// ended meanwhile, so the settlements that the outage delayed are written first, by every process: each asks the
/// store again within [`STORE_BACKOFF_MS_MAX`].
pub const SETTLE_FIRST_MS: u64 = 3_000;
/// How long failing settlements may keep the loop from claiming while the store answers, in milliseconds: one that
/// can never be written must not hold up the rest.
pub const SETTLE_FIRST_MS_MAX: u64 = 10 * SETTLE_FIRST_MS;
/// The least time between two writes that the worker remembers, in milliseconds: it looks back over
/// [`SETTLE_FIRST_MS`], and nine of them cover it.
pub const WRITES_APART_MS: u64 = SETTLE_FIRST_MS / 8;
/// How long the store must answer without a failure before an outage is past in which nothing was left to write, in
/// milliseconds: the wait of [`SETTLE_FIRST_MS`], and as long again.
pub const OUTAGE_PAST_MS: u64 = 2 * SETTLE_FIRST_MS;
/// How long requests in flight may go on after a shutdown began, in milliseconds: process managers commonly grant 30
/// s. Deliveries that have not ended by then are released.
pub const DRAIN_MS: u64 = 20_000;
/// How long the last settlements and releases may take after the drain, in milliseconds.
pub const FLUSH_MS: u64 = 5_000;
/// The first wait after a failure of the store, in milliseconds; it doubles up to [`STORE_BACKOFF_MS_MAX`].
pub const STORE_BACKOFF_MS_MIN: u64 = 50;
/// The longest wait between two calls of a failing store, in milliseconds.
pub const STORE_BACKOFF_MS_MAX: u64 = 2_000;
/// The longest wait before a suspect settlement, which fails while others are written, is tried again, in
/// milliseconds: the others wait while it fails, for up to the time limit of a statement.
pub const SUSPECT_MS_MAX: u64 = 30_000;
/// The failures of a suspect settlement that are borne: after one more it is written without the texts of its attempt.
pub const SUSPECT_FAILURES_MAX: u32 = 5;

/// How long the making of a connection may take, look-up and handshakes included, in milliseconds: a second longer
/// than the longest deadline of an attempt, so that every attempt ends by its own deadline. Only a connection that no
/// attempt waits for any more is given up by this one: a dial goes on by itself where another connection came free
/// for its request.
pub const CONNECT_MS_MAX: u64 = TIMEOUT_MS_MAX as u64 + 1_000;
/// The most names that are looked up at once: one claim brings this many ([`CLAIM_BATCH_MAX`]). Each look-up holds a
/// thread of the 512 that the runtime has for blocking work; together with [`SLOW_LOOK_UPS_MAX`] they leave a third
/// of the threads free.
pub const LOOK_UPS_MAX: usize = 256;
/// The most names that are looked up at once, beside [`LOOK_UPS_MAX`], after they were slow the last time: enough for
/// receivers whose name servers are merely slow, and few among the threads.
pub const SLOW_LOOK_UPS_MAX: usize = 64;
/// The time from which on a look-up is slow, in milliseconds: a look-up that is answered takes a fraction of it.
pub const LOOK_UP_SLOW_MS: u64 = 1_000;
/// How long a name counts as slow, in milliseconds, unless it answers quickly before: one lost question must not keep
/// it among the names that never answer.
pub const SLOW_NAME_MS: u64 = 60_000;
/// The most slow names that are remembered: a few hundred bytes each.
pub const SLOW_NAMES_MAX: u64 = 10_000;
/// How long a look-up waits for a place, in milliseconds: half of the shortest deadline of an attempt. So no attempt
/// ends by its own deadline, which counts against its receiver, while it waits for others.
pub const LOOK_UP_WAIT_MS_MAX: u64 = TIMEOUT_MS_MIN as u64 / 2;
/// How long an idle connection is kept, in milliseconds: shorter than the 5 s after which common servers (Node) close
/// theirs, so that a request rarely meets a connection that is being closed.
pub const POOL_IDLE_MS: u64 = 4_000;
/// The most idle connections kept for one receiver: one for each request that may be under way at once, so that a
/// burst is not spent on handshakes.
pub const POOL_IDLE_PER_HOST_MAX: usize = IN_FLIGHT_PER_WEBHOOK_MAX as usize;
/// The most clients kept for webhooks with TLS settings of their own: a client that was dropped is made again.
pub const TLS_CLIENTS_MAX: u64 = 200;
/// The most certificates in a client's chain, and the most authorities of a webhook.
pub const TLS_CERTIFICATES_MAX: usize = 10;
/// The most headers of an answer that are kept.
pub const RESPONSE_HEADERS_MAX: usize = 100;
/// The largest header block of an answer over HTTP/2 that is read, in bytes; a larger one is refused with its stream.
pub const HTTP2_HEADERS_BYTES_MAX: u32 = 64 * 1024;
/// The longest text that says why an exchange failed, in bytes.
pub const DETAIL_BYTES_MAX: usize = 500;
