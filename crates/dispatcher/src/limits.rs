//! Every bound of the dispatcher, by name, with its unit as the last word and its reason.

use hookgraph_domain::limits::{RENDER_MS_MAX, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN};

/// Deliveries between claim and settlement in this process: what a crash may send twice, and what memory holds.
pub const IN_FLIGHT_MAX: u32 = 1_024;
/// The payload that one slot is for, in bytes: a larger one takes as many as it has such parts. All slots together are 64 MiB of
/// payloads, and what was rendered before that was known comes on top.
pub const SLOT_BYTES: usize = 64 * 1024;
/// Payloads that are rendered together, in bytes, as far as that can be guessed by the last ones: [`WRITE_BYTES_MAX`], which they are
/// frozen in.
pub const RENDER_BYTES_AIM: usize = WRITE_BYTES_MAX;
/// Payloads that are rendered together at most, however small the last ones were: what they hold is known only afterwards.
pub const RENDER_COUNT_MAX: usize = 64;
/// For how long the size of a webhook's last payloads counts while none of its deliveries is in flight, in milliseconds: a minute.
pub const PAYLOADS_KNOWN_MS: u64 = 60_000;
/// What the first payloads of a webhook are guessed to be, in bytes each: sixteen of them are rendered together.
pub const PAYLOAD_BYTES_GUESS: usize = 512 * 1024;
/// Deliveries in flight to one webhook, over all processes, whatever its own concurrency is: what one slow receiver can
/// occupy. Of one process it occupies no more than it leaves free ([`crate::worker`]).
pub const IN_FLIGHT_PER_WEBHOOK_MAX: u32 = hookgraph_domain::limits::CONCURRENCY_MAX;
/// The share of [`IN_FLIGHT_MAX`] that retries leave to first attempts, in percent.
pub const FIRST_ATTEMPTS_PERCENT: u32 = 25;
/// Webhooks whose flow a process remembers before it forgets those at rest.
pub const FLOW_WEBHOOKS_MAX: usize = 10_000;
/// The shortest wait for the tokens of a webhook with a rate, in milliseconds: what a claim costs is shared by a few.
pub const RATE_LOOK_MS: u64 = 50;
/// How often the flow loop looks for probes, drains and replays, in milliseconds.
pub const FLOW_POLL_MS: u64 = 250;
/// Webhooks to probe, webhooks to drain, and replays of one round of the flow loop, of each.
pub const FLOW_ROUND_MAX: u32 = 32;
/// Webhooks that stop which have their turn in one round of the flow loop, whatever comes of it: each takes tens of milliseconds, or
/// waits for half a second where someone holds it. Probes, drains and replays wait for all of them.
pub const STOPS_ROUND_MAX: u32 = 4;
/// Turns of webhooks that stop after which those whose turns were in vain have theirs again, also while others go on: as many may fail
/// without end and keep no other from its own. The store is told of all of those in each round, 16 bytes each.
pub const STOPS_TURNS_MAX: usize = 1_000;
/// The wait before the next round of the flow loop while a webhook is stopping, in milliseconds: recordings for it and settlements of
/// it wait for each round.
pub const STOP_PAUSE_MS: u64 = 50;
/// Held deliveries among which probes go round, so that one that can never be delivered does not speak for all.
pub const PROBE_CANDIDATES_MAX: u32 = 20;
/// How often retention looks for what is too old, in milliseconds: ten minutes.
pub const RETENTION_POLL_MS: u64 = 10 * 60_000;
/// The wait before retention goes on with what one round did not come to, in milliseconds.
pub const RETENTION_AGAIN_MS: u64 = 5_000;
/// How often retention looks for deleted tenants between two rounds, in milliseconds: one look at an index that is
/// empty nearly always.
pub const RETENTION_TENANTS_MS: u64 = 60_000;
/// How long one deleted tenant is worked on before the others have their turn, in milliseconds: six of them in a round.
pub const RETENTION_TENANT_MS_MAX: u64 = 5_000;
/// Rows that one step of retention looks at: a transaction of a few milliseconds, behind which a recording may wait.
pub const RETENTION_STEP_ROWS: u32 = 500;
/// How long one round of retention may take, in milliseconds: then the next one goes on.
pub const RETENTION_ROUND_MS_MAX: u64 = 30_000;
/// Days that one round removes for lack of room.
pub const RETENTION_DAYS_FOR_ROOM_MAX: u32 = 30;
/// Deliveries of one claim: large enough to share a transaction and loaders, and the look at the head of every webhook's
/// queue; small enough to spread over processes.
pub const CLAIM_BATCH_MAX: u32 = 256;
/// Settlements of one transaction.
pub const SETTLE_BATCH_MAX: usize = 256;
/// What one transaction writes of settlements or of payloads, in bytes, unless a single one is larger: a statement of a few seconds
/// even where the database is slow, and what it takes in memory several times over.
pub const WRITE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Deliveries of one claim, or settlements of one transaction, from which on the next waits [`GATHER_MS`] for more: under
/// load what a transaction costs is shared by more. Below it nothing waits.
pub const GATHER_MIN: usize = 16;
/// How long a claim or a settlement waits for more, in milliseconds; twice as long where other processes are active.
pub const GATHER_MS: u64 = 4;
/// The least time to the next look for what falls due after a claim that took something or left something without room, in
/// milliseconds: where much falls due one after the other, each moment would cost a claim.
pub const LOOK_MS_MIN: u64 = 50;
/// How long the loop waits for a wake-up before it looks by itself, in milliseconds: a wake-up may be lost.
pub const POLL_MS: u64 = 1_000;
/// The time that the renders of one tenant's share of a claim may take together, in milliseconds.
pub const RENDER_BATCH_MS_MAX: u64 = 4 * RENDER_MS_MAX;
/// How long a lease holds, in milliseconds: what a dead process's deliveries wait at most, and what a live one can be cut
/// off from the store before its requests may be sent by another, too.
pub const LEASE_MS: u64 = 15_000;
/// How often the leases of what is still in flight are extended, in milliseconds: a fifth, so that several beats may fail.
pub const BEAT_MS: u64 = 3_000;
/// What must be left of a lease when a request starts, in milliseconds: a beat comes before it ends.
pub const SEND_MARGIN_MS: u64 = BEAT_MS;
/// How long nothing is claimed once the store answers again after an outage that some lease may not have outlived, in
/// milliseconds: what came of the requests meanwhile is written first, here and by other processes, which ask it again within
/// [`STORE_BACKOFF_MS_MAX`].
pub const SETTLE_FIRST_MS: u64 = 3_000;
/// How long a store that answers can keep the loop from claiming because something that is to be written first fails, in
/// milliseconds: what can never be written must not hold up the rest.
pub const SETTLE_FIRST_MS_MAX: u64 = 10 * SETTLE_FIRST_MS;
/// How long requests in flight may go on after a shutdown began, in milliseconds: what process managers commonly grant
/// is 30 s. What has not ended by then is released.
pub const DRAIN_MS: u64 = 20_000;
/// How long the last settlements and releases may take after that, in milliseconds.
pub const FLUSH_MS: u64 = 5_000;
/// The first wait after a failure of the store, in milliseconds; it doubles up to [`STORE_BACKOFF_MS_MAX`].
pub const STORE_BACKOFF_MS_MIN: u64 = 50;
/// The longest wait between two calls of a failing store, in milliseconds.
pub const STORE_BACKOFF_MS_MAX: u64 = 2_000;
/// The longest wait before a settlement that fails while others are written is tried again, in milliseconds: the others wait while it
/// fails, which may take as long as a statement may.
pub const SUSPECT_MS_MAX: u64 = 30_000;
/// How often such a settlement is tried whole before it is written without what was sent and answered.
pub const SUSPECT_FAILURES_MAX: u32 = 5;

/// How long the making of a connection may take, its look-up and its handshakes included, in milliseconds: a second longer than
/// the longest deadline of an attempt, so that every attempt ends by its own. What it ends is what no attempt waits for any
/// more: a dial goes on by itself where another connection came free for its request.
pub const CONNECT_MS_MAX: u64 = TIMEOUT_MS_MAX as u64 + 1_000;
/// Names that are looked up at once: as many as one claim brings ([`CLAIM_BATCH_MAX`]). Each holds a thread of the 512 that the
/// runtime has for what blocks; with [`SLOW_LOOK_UPS_MAX`], a third of them stays free for other work.
pub const LOOK_UPS_MAX: usize = 256;
/// Names that were slow when they were looked up last and are looked up at once, beside [`LOOK_UPS_MAX`]: enough for receivers
/// whose name servers are merely slow, and few among the threads.
pub const SLOW_LOOK_UPS_MAX: usize = 64;
/// A look-up that takes as long as this is slow, in milliseconds: those that are answered take a fraction of it.
pub const LOOK_UP_SLOW_MS: u64 = 1_000;
/// How long a name counts as slow, in milliseconds, unless it answers quickly before: one lost question must not keep it among those
/// that never answer.
pub const SLOW_NAME_MS: u64 = 60_000;
/// Slow names that are remembered: a few hundred bytes each.
pub const SLOW_NAMES_MAX: u64 = 10_000;
/// How long a look-up waits for a place, in milliseconds: half of the shortest deadline of an attempt, so that no attempt ends
/// by its own deadline, which counts against its receiver, while it waits for others.
pub const LOOK_UP_WAIT_MS_MAX: u64 = TIMEOUT_MS_MIN as u64 / 2;
/// How long an idle connection is kept, in milliseconds: below the 5 s after which common servers (Node) close theirs, so
/// that a request rarely meets a connection that is being closed.
pub const POOL_IDLE_MS: u64 = 4_000;
/// Idle connections kept for one receiver: as many as may be busy at once, so that a burst is not spent on handshakes.
pub const POOL_IDLE_PER_HOST_MAX: usize = IN_FLIGHT_PER_WEBHOOK_MAX as usize;
/// Clients kept for webhooks with TLS settings of their own: a client that went is made again.
pub const TLS_CLIENTS_MAX: u64 = 200;
/// Certificates in a client's chain, and authorities of a webhook.
pub const TLS_CERTIFICATES_MAX: usize = 10;
/// Headers of an answer that are kept.
pub const RESPONSE_HEADERS_MAX: usize = 100;
/// The header block of an answer over HTTP/2 that is read, in bytes; beyond it the stream is refused.
pub const HTTP2_HEADERS_BYTES_MAX: u32 = 64 * 1024;
/// The text that says why an exchange failed, in bytes.
pub const DETAIL_BYTES_MAX: usize = 500;
