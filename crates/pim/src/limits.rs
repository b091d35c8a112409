//! The bounds of the resolver tree, by name, with their unit as the last word and their reason.

/// How often one mutation is decided again because its commit met a conflict.
pub const CONFLICT_RETRIES_MAX: u32 = 8;
/// Items of a list that is not paged (`getMany` of items, `relatingItems` …).
pub const LIST_MAX: u32 = 1_000;
/// A text of an input, in characters.
pub const TEXT_CHARS_MAX: usize = 20_000;
/// An identifier of an input, in characters.
pub const IDENTIFIER_CHARS_MAX: usize = 200;
/// Stages of one pipeline: they are one record.
pub const STAGES_MAX: usize = 100;
/// A tenant's identifier, in characters: as long as a label of a host name may be.
pub const TENANT_IDENTIFIER_CHARS_MAX: usize = 63;
/// Records of one batch of a tenant copy: each batch is one transaction.
pub const COPY_BATCH_ROWS: u32 = 100;
/// Copies of one tenant that run at the same time.
pub const COPY_TASKS_RUNNING_MAX: usize = 4;
/// Copies that one round of the runner advances: the oldest first.
pub const COPY_TASKS_AT_ONCE_MAX: u32 = 8;
/// How long the runner waits after a round that found no copy or failed, in milliseconds.
pub const COPY_POLL_MS: u64 = 1_000;
/// Records of a list that one statement reads. Each may have [`RECORD_BYTES_MAX`], and all of a statement's are in
/// memory before their bytes are counted.
pub const READ_BATCH_ROWS: u32 = 100;
/// A language code, in characters: the length that BCP 47 recommends to allow.
pub const LANGUAGE_CHARS_MAX: usize = 35;
/// A part of a path that is made from a name, in characters.
pub const SLUG_CHARS_MAX: usize = 99;
/// How many numbered forms of a slug are tried before an id is appended.
pub const SLUG_TRIES_MAX: usize = 64;
/// Items or topics above each other: a path reads each of them.
pub const TREE_DEPTH_MAX: usize = 32;
/// Components of one item or variant.
pub const COMPONENTS_MAX: usize = 200;
/// Variants of one product.
pub const VARIANTS_MAX: usize = 500;
/// Elements of any other list of an input (topics, prices, images …).
pub const INPUT_LIST_MAX: usize = 1_000;
/// One rich text, in bytes of its JSON or HTML.
pub const RICH_TEXT_BYTES_MAX: usize = 256 * 1024;
/// Elements within each other in a rich text.
pub const RICH_TEXT_DEPTH_MAX: usize = 64;
/// Records that one request or render may read; a record that is read twice counts twice. Lists within lists multiply.
pub const RECORDS_READ_MAX: usize = 50_000;
/// The bodies of the records that one request or render may read, in bytes of their JSON: [`LIST_MAX`] items of 64 KiB.
/// A parsed body takes a multiple of its JSON in memory. Reads of a deciding mutation are bounded by the rows of a
/// change instead.
pub const RECORD_BYTES_READ_MAX: usize = 64 * 1024 * 1024;
/// The records, payloads and attempts that all requests of a process hold at one time, in bytes of their JSON. The
/// requests of one token hold at most half, which is two requests that each read as much as one may; beyond it,
/// requests are refused as unavailable. Renders for delivery are not counted: no reader may hold up deliveries.
pub const READ_BYTES_AT_ONCE_MAX: usize = 256 * 1024 * 1024;
/// The part of a byte room ([`crate::ByteRoom`]) that one tenant may hold, in percent: the rest is left to other
/// tenants.
pub const ROOM_OF_TENANT_PERCENT_MAX: usize = 75;
/// How many times the bytes that it leaves free one token may hold, both of a byte room and of its tenant's part: a
/// token that holds none may take two thirds of the free bytes, which is half of the room while nobody else holds any.
pub const ROOM_OF_HOLDER_TIMES_MAX: usize = 2;
/// The step in which a request takes bytes of a byte room. The first step is free: `http_requests_max` requests at once
/// hold 64 MiB in free steps.
pub const ROOM_STEP_BYTES: usize = 64 * 1024;
/// A record's body, in bytes of its JSON: each of its versions, its tombstone and every read carry the whole body.
pub const RECORD_BYTES_MAX: usize = 2 * 1024 * 1024;
