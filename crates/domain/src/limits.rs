//! Every bound of the domain, by name, with its unit as the last word and its reason.

/// Webhooks of one tenant on one event type: what one event's fan out can cost.
pub const WEBHOOKS_PER_EVENT_TYPE_MAX: u32 = 100;
/// A webhook's name, in characters.
pub const WEBHOOK_NAME_CHARS_MAX: usize = 200;
/// A webhook's URL after normalising, in bytes: what receivers and proxies commonly accept.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// Headers of one webhook.
pub const HEADERS_MAX: usize = 50;
/// A header's name, in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 128;
/// A header's value, in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 4 * 1024;
/// Names and values of a webhook's headers together, in bytes: what receivers commonly accept.
pub const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// The shortest value of a secret header that is looked for in answers, in bytes: shorter ones are part of other text too.
pub const SECRET_ECHO_BYTES_MIN: usize = 8;
/// A certificate chain, a key, or the authorities of a webhook's TLS settings, in bytes of PEM: room for a chain of a few.
pub const TLS_PEM_BYTES_MAX: usize = 16 * 1024;
/// A payload query's text, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 32 * 1024;
/// A rendered payload, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// The time that one render may take, in milliseconds.
pub const RENDER_MS_MAX: u64 = 5_000;
/// The default deadline of an attempt, in milliseconds.
pub const TIMEOUT_MS_DEFAULT: u32 = 15_000;
/// The shortest deadline of an attempt that can be asked for, in milliseconds.
pub const TIMEOUT_MS_MIN: u32 = 500;
/// The longest deadline of an attempt that can be asked for, in milliseconds.
pub const TIMEOUT_MS_MAX: u32 = 30_000;
/// Waits in a retry schedule.
pub const RETRY_DELAYS_MAX: usize = 20;
/// The shortest wait of a retry schedule, in seconds: without one a failing receiver would be called in a tight loop.
pub const RETRY_DELAY_S_MIN: u32 = 1;
/// The longest wait of a retry schedule, in seconds: three days.
pub const RETRY_DELAY_S_MAX: u32 = 3 * 24 * 3600;
/// The longest `Retry-After` that is honoured, in milliseconds: a day.
pub const RETRY_AFTER_MS_MAX: u64 = 24 * 3600 * 1000;
/// What is still due after this long ends as `EXPIRED`, in milliseconds: thirty days.
pub const DELIVERY_DUE_MS_MAX: u64 = 30 * 24 * 3600 * 1000;
/// How long a delivery that ended is shown at least, where history is kept so long, in milliseconds: a week.
pub const ENDED_KEPT_MS_MIN: u64 = 7 * 24 * 3600 * 1000;
/// How long what cannot be read waits before it is looked at again, in milliseconds: a key file may be put back meanwhile.
pub const SET_ASIDE_MS: u64 = 10 * 60_000;
/// Nothing but failure for this long disables a webhook, in milliseconds: five days.
pub const FAILING_MS_MAX: u64 = 5 * 24 * 3600 * 1000;
/// The wait after a fault of ours, in milliseconds.
pub const SERVER_FAULT_DELAY_MS: u64 = 5_000;
/// What is kept of an answer's body, in bytes.
pub const RESPONSE_BODY_BYTES_MAX: usize = 16 * 1024;
/// What is kept of an answer's headers, in bytes.
pub const RESPONSE_HEADERS_BYTES_MAX: usize = 8 * 1024;
/// How often the last use of a token is written down at most, in seconds.
pub const TOKEN_USED_EVERY_S: u32 = 60;
/// How long the secret before still signs after a rotation, where nothing is said, in seconds: a day.
pub const SECRET_OVERLAP_S_DEFAULT: u32 = 86_400;
/// The longest such overlap, in seconds: a week.
pub const SECRET_OVERLAP_S_MAX: u32 = 604_800;
/// Secrets, and keys, that were replaced and sign on beside the one that does, at a time: one a day over the longest overlap, and
/// room for one more. Each makes `webhook-signature` longer.
pub const OVERLAPS_MAX: usize = 8;
/// How long a signature is valid, in seconds.
pub const SIGNATURE_VALID_S: u64 = 60;
/// The size of a page where the caller names none.
pub const PAGE_SIZE_DEFAULT: u32 = 20;
/// The largest page.
pub const PAGE_SIZE_MAX: u32 = 100;
/// Top-level writes of one change, in rows: a cascade over more is refused.
pub const CHANGE_ROWS_MAX: usize = 10_000;
/// Events that one call may publish: with [`WEBHOOKS_PER_EVENT_TYPE_MAX`], what one transaction can be made to write.
pub const EVENTS_PER_PUBLISH_MAX: usize = 1_000;
/// The value of an event's variable, in bytes: an id, a name or a short text, never a document.
pub const EVENT_VARIABLE_BYTES_MAX: usize = 1024;
/// The changed fields that an event may name.
pub const CHANGED_FIELDS_MAX: usize = 100;
/// The name of a changed field, in bytes.
pub const CHANGED_FIELD_BYTES_MAX: usize = 200;
/// Problems of one refusal: an answer must not grow with what an input gets wrong.
pub const PROBLEMS_MAX: usize = 100;
/// An idempotency key, in bytes: room for any id that a platform makes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 200;
/// How long the answer of an idempotency key is kept, in milliseconds: a day, longer than anyone retries one call.
pub const IDEMPOTENCY_KEPT_MS: u64 = 24 * 3600 * 1000;
/// Arrays and objects within each other in a JSON text: what a parser can do on a worker's stack.
pub const JSON_DEPTH_MAX: usize = 128;
/// The default of a webhook's concurrency: requests to one receiver at once, over all processes.
pub const CONCURRENCY_DEFAULT: u32 = 50;
/// The least concurrency that can be asked for.
pub const CONCURRENCY_MIN: u32 = 1;
/// The largest concurrency that can be asked for: below what one process has in flight altogether.
pub const CONCURRENCY_MAX: u32 = 500;
/// Webhooks without room that a claim names: where there are more, whoever claims waits for any slot.
pub const WITHOUT_ROOM_MAX: usize = 256;
/// The lowest rate of a webhook that can be asked for, in requests per second.
pub const RATE_PER_SECOND_MIN: u32 = 1;
/// The highest rate of a webhook that can be asked for, in requests per second: beyond it, ask for none.
pub const RATE_PER_SECOND_MAX: u32 = 1_000;
/// What a webhook's bucket of tokens holds, in milliseconds of its rate: what may go out at once after a pause.
pub const RATE_BURST_MS: u64 = 250;
/// What the breaker looks back on, in milliseconds.
pub const BREAKER_WINDOW_MS: i64 = 60_000;
/// The parts by which that window moves on.
pub const BREAKER_BUCKETS: usize = 12;
/// Attempts within the window below which the breaker stays closed: a handful says nothing.
pub const BREAKER_ATTEMPTS_MIN: u32 = 20;
/// The failing share of the window at which the breaker opens, in percent.
pub const BREAKER_FAILING_PERCENT_MIN: u32 = 50;
/// The wait from the breaker's opening to its first probe, in milliseconds; it doubles with each probe that fails.
pub const PROBE_WAIT_MS_MIN: u64 = 10_000;
/// The longest wait between two probes, in milliseconds: what a receiver that is back waits at most.
pub const PROBE_WAIT_MS_MAX: u64 = 15 * 60_000;
/// After this long a probe that did not come back makes way for another, in milliseconds: longer than a lease.
pub const PROBE_LOST_MS: u64 = 120_000;
/// The pace at which a drain begins, in deliveries per second.
pub const DRAIN_PER_S_MIN: u32 = 10;
/// The pace that a drain comes to, in deliveries per second.
pub const DRAIN_PER_S_MAX: u32 = 1_000;
/// How long a drain takes to double its pace, in milliseconds.
pub const DRAIN_DOUBLES_MS: u64 = 5_000;
/// The time between two batches of a drain, in milliseconds.
pub const DRAIN_BATCH_MS: u64 = 500;
/// The default rate of a replay, in deliveries per second.
pub const REPLAY_RATE_PER_SECOND_DEFAULT: u32 = 50;
/// The lowest rate of a replay that can be asked for, in deliveries per second.
pub const REPLAY_RATE_PER_SECOND_MIN: u32 = 1;
/// The highest rate of a replay that can be asked for, in deliveries per second: one transaction per second writes as many.
pub const REPLAY_RATE_PER_SECOND_MAX: u32 = 200;
/// The time between two batches of a replay, in milliseconds.
pub const REPLAY_BATCH_MS: u64 = 1_000;
/// How long a replay waits before it looks again whether its webhook sends, in milliseconds.
pub const REPLAY_WAIT_MS: u64 = 10_000;
/// The longest range of time of one replay, in milliseconds: ninety days.
pub const REPLAY_RANGE_MS_MAX: u64 = 90 * 24 * 3600 * 1000;
/// Replays of one tenant that run at once.
pub const REPLAYS_RUNNING_MAX: usize = 10;
/// How many times as long a transaction waits for more to share it where other processes have a part of the load: with smaller
/// ones all of them together would pay for more.
pub const GATHER_SHARED_TIMES: u64 = 2;
/// Deliveries that one transaction holds or cancels as their webhook stops: of a longer backlog the rest follows, as many at a time.
pub const STOPPED_AT_ONCE_MAX: u32 = 2_000;
/// Deliveries that `retryMany` and `cancelMany` look at in one call.
pub const DELIVERIES_AT_ONCE_MAX: u32 = 500;
