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
