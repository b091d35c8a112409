//! Every bound of the domain: its name ends with its unit, and its comment gives its reason.

/// The most webhooks of one tenant on one event type: one event fans out to no more.
pub const WEBHOOKS_PER_EVENT_TYPE_MAX: u32 = 100;
/// The longest name of a webhook, in characters.
pub const WEBHOOK_NAME_CHARS_MAX: usize = 200;
/// The longest URL of a webhook after normalising, in bytes: receivers and proxies commonly accept this much.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// The most headers of one webhook.
pub const HEADERS_MAX: usize = 50;
/// The longest name of a header, in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 128;
/// The longest value of a header, in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 4 * 1024;
/// The most that names and values of a webhook's headers take together, in bytes: receivers commonly accept this
/// much.
pub const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// The shortest value of a secret header that is looked for in answers, in bytes: a shorter one is part of other text
/// too.
pub const SECRET_ECHO_BYTES_MIN: usize = 8;
/// The longest certificate chain, key, or list of authorities in a webhook's TLS settings, in bytes of PEM: room for
/// a chain of a few certificates.
pub const TLS_PEM_BYTES_MAX: usize = 16 * 1024;
/// The longest text of a payload query, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 32 * 1024;
/// The largest rendered payload, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// The time that one render may take, in milliseconds.
pub const RENDER_MS_MAX: u64 = 5_000;
/// The default deadline of an attempt, in milliseconds.
pub const TIMEOUT_MS_DEFAULT: u32 = 15_000;
/// The shortest deadline of an attempt that can be asked for, in milliseconds.
pub const TIMEOUT_MS_MIN: u32 = 500;
/// The longest deadline of an attempt that can be asked for, in milliseconds.
pub const TIMEOUT_MS_MAX: u32 = 30_000;
/// The most waits in a retry schedule.
pub const RETRY_DELAYS_MAX: usize = 20;
/// The shortest wait of a retry schedule, in seconds: without one, a failing receiver would be called in a tight
/// loop.
pub const RETRY_DELAY_S_MIN: u32 = 1;
/// The longest wait of a retry schedule, in seconds: three days.
pub const RETRY_DELAY_S_MAX: u32 = 3 * 24 * 3600;
/// The longest `Retry-After` that is honoured, in milliseconds: a day.
pub const RETRY_AFTER_MS_MAX: u64 = 24 * 3600 * 1000;
/// How long a delivery may be owed, in milliseconds: after thirty days it ends as `EXPIRED`.
pub const DELIVERY_DUE_MS_MAX: u64 = 30 * 24 * 3600 * 1000;
/// How long a delivery that ended is shown at least, where history is kept that long, in milliseconds: a week.
pub const ENDED_KEPT_MS_MIN: u64 = 7 * 24 * 3600 * 1000;
/// How long a stored row that cannot be read waits before it is looked at again, in milliseconds: a key file may be
/// put back meanwhile.
pub const SET_ASIDE_MS: u64 = 10 * 60_000;
/// How long a webhook may have nothing but failures before it is disabled, in milliseconds: five days.
pub const FAILING_MS_MAX: u64 = 5 * 24 * 3600 * 1000;
/// The wait after a fault of ours, in milliseconds.
pub const SERVER_FAULT_DELAY_MS: u64 = 5_000;
/// The part of an answer's body that is kept, in bytes.
pub const RESPONSE_BODY_BYTES_MAX: usize = 16 * 1024;
/// The part of an answer's headers that is kept, in bytes.
pub const RESPONSE_HEADERS_BYTES_MAX: usize = 8 * 1024;
/// The shortest time between two notes of a token's last use, in seconds.
pub const TOKEN_USED_EVERY_S: u32 = 60;
/// How long a replaced secret still signs after a rotation that names no overlap, in seconds: a day.
pub const SECRET_OVERLAP_S_DEFAULT: u32 = 86_400;
/// The longest overlap of a rotation, in seconds: a week.
pub const SECRET_OVERLAP_S_MAX: u32 = 604_800;
/// The most replaced secrets, or replaced keys, that still sign beside the current one: one for each day of the
/// longest overlap, and one more. Each of them makes `webhook-signature` longer.
pub const OVERLAPS_MAX: usize = 8;
/// How long a signature is valid, in seconds.
pub const SIGNATURE_VALID_S: u64 = 60;
/// The size of a page where the caller names none.
pub const PAGE_SIZE_DEFAULT: u32 = 20;
/// The largest page.
pub const PAGE_SIZE_MAX: u32 = 100;
/// The most top-level writes of one change, in rows: a cascade over more is refused.
pub const CHANGE_ROWS_MAX: usize = 10_000;
/// The most events that one call may publish: together with [`WEBHOOKS_PER_EVENT_TYPE_MAX`] it bounds the rows of one
/// transaction.
pub const EVENTS_PER_PUBLISH_MAX: usize = 1_000;
/// The longest value of an event's variable, in bytes: room for an id, a name or a short text, and none for a
/// document.
pub const EVENT_VARIABLE_BYTES_MAX: usize = 1024;
/// The most changed fields that an event may name.
pub const CHANGED_FIELDS_MAX: usize = 100;
/// The longest name of a changed field, in bytes.
pub const CHANGED_FIELD_BYTES_MAX: usize = 200;
/// The most problems of one refusal: an answer must not grow with the mistakes of an input.
pub const PROBLEMS_MAX: usize = 100;
/// The longest idempotency key, in bytes: room for any id that a platform makes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 200;
/// How long the answer of an idempotency key is kept, in milliseconds: a day, longer than anyone retries one call.
pub const IDEMPOTENCY_KEPT_MS: u64 = 24 * 3600 * 1000;
/// How deep arrays and objects of a JSON text may be nested: a parser can follow this far on a worker's stack.
pub const JSON_DEPTH_MAX: usize = 128;
/// The default of a webhook's concurrency: its requests under way at once, over all processes.
pub const CONCURRENCY_DEFAULT: u32 = 50;
/// The least concurrency that can be asked for.
pub const CONCURRENCY_MIN: u32 = 1;
/// The largest concurrency that can be asked for: one process has more deliveries than this in flight altogether.
pub const CONCURRENCY_MAX: u32 = 500;
/// The most webhooks without room that a claim names. Where there are more, the claiming worker waits for any slot.
pub const WITHOUT_ROOM_MAX: usize = 256;
/// The lowest rate of a webhook that can be asked for, in requests per second.
pub const RATE_PER_SECOND_MIN: u32 = 1;
/// The highest rate of a webhook that can be asked for, in requests per second: a webhook that needs more has no rate.
pub const RATE_PER_SECOND_MAX: u32 = 1_000;
/// The size of a webhook's token bucket, in milliseconds of its rate: after a pause this much may go out at once.
pub const RATE_BURST_MS: u64 = 250;
/// How far the breaker looks back, in milliseconds.
pub const BREAKER_WINDOW_MS: i64 = 60_000;
/// The number of equal parts by which the breaker's window moves on.
pub const BREAKER_BUCKETS: usize = 12;
/// The attempts within the window below which the breaker stays closed: a handful proves nothing.
pub const BREAKER_ATTEMPTS_MIN: u32 = 20;
/// The failing share of the window at which the breaker opens, in percent.
pub const BREAKER_FAILING_PERCENT_MIN: u32 = 50;
/// The wait from the breaker's opening to its first probe, in milliseconds; it doubles with each probe that fails.
pub const PROBE_WAIT_MS_MIN: u64 = 10_000;
/// The longest wait between two probes, in milliseconds: a receiver that is back waits no longer than this.
pub const PROBE_WAIT_MS_MAX: u64 = 15 * 60_000;
/// How long a probe may stay away before another one is sent in its place, in milliseconds: longer than a lease.
pub const PROBE_LOST_MS: u64 = 120_000;
/// The pace at which a drain begins, in deliveries per second.
pub const DRAIN_PER_S_MIN: u32 = 10;
/// The highest pace of a drain, in deliveries per second.
pub const DRAIN_PER_S_MAX: u32 = 1_000;
/// How long a drain takes to double its pace, in milliseconds.
pub const DRAIN_DOUBLES_MS: u64 = 5_000;
/// The time between two batches of a drain, in milliseconds.
pub const DRAIN_BATCH_MS: u64 = 500;
/// The default rate of a replay, in deliveries per second.
pub const REPLAY_RATE_PER_SECOND_DEFAULT: u32 = 50;
/// The lowest rate of a replay that can be asked for, in deliveries per second.
pub const REPLAY_RATE_PER_SECOND_MIN: u32 = 1;
/// The highest rate of a replay that can be asked for, in deliveries per second: one transaction writes a whole
/// second of it.
pub const REPLAY_RATE_PER_SECOND_MAX: u32 = 200;
/// The time between two batches of a replay, in milliseconds.
pub const REPLAY_BATCH_MS: u64 = 1_000;
/// How long a replay waits before it looks again whether its webhook sends, in milliseconds.
pub const REPLAY_WAIT_MS: u64 = 10_000;
/// The longest range of time of one replay, in milliseconds: ninety days.
pub const REPLAY_RANGE_MS_MAX: u64 = 90 * 24 * 3600 * 1000;
/// The most replays of one tenant that run at once.
pub const REPLAYS_RUNNING_MAX: usize = 10;
/// The factor by which a transaction waits longer to grow where other processes have a part of the load. Each process
/// then has smaller transactions, and without the longer wait all of them together would pay for more.
pub const GATHER_SHARED_TIMES: u64 = 2;
/// The most deliveries that one transaction holds or cancels when their webhook stops, or puts in order when its
/// ordering changes. The rest of a longer backlog follows in transactions of the same size.
pub const STOPPED_AT_ONCE_MAX: u32 = 2_000;
/// The most deliveries that `retryMany` and `cancelMany` look at in one call.
pub const DELIVERIES_AT_ONCE_MAX: u32 = 500;
