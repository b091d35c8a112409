//! The bounds of the resolver tree, by name, with their unit as the last word and their reason.

/// How often a mutation is decided again when what it read changed meanwhile.
pub const CONFLICT_RETRIES_MAX: u32 = 8;
/// Items of a list that is not paged (`getMany` of items, `relatingItems` …).
pub const LIST_MAX: u32 = 1_000;
/// A text of an input, in characters.
pub const TEXT_CHARS_MAX: usize = 20_000;
/// An identifier of an input, in characters.
pub const IDENTIFIER_CHARS_MAX: usize = 200;
/// Stages of one pipeline: they are one record.
pub const STAGES_MAX: usize = 100;
/// A tenant's identifier, in characters: what a label of a host name may have.
pub const TENANT_IDENTIFIER_CHARS_MAX: usize = 63;
/// Records of one batch of a tenant copy: what one of its transactions writes.
pub const COPY_BATCH_ROWS: u32 = 100;
/// Copies of one tenant that run at the same time.
pub const COPY_TASKS_RUNNING_MAX: usize = 4;
/// Copies that one round advances: the oldest first.
pub const COPY_TASKS_AT_ONCE_MAX: u32 = 8;
/// How often the runner looks for copies when there were none, in milliseconds.
pub const COPY_POLL_MS: u64 = 1_000;
/// Records of a list that are read at once: each may have [`RECORD_BYTES_MAX`], and so many are in memory before it shows that
/// they are too many.
pub const READ_BATCH_ROWS: u32 = 100;
/// A language code, in characters: what BCP 47 recommends to allow.
pub const LANGUAGE_CHARS_MAX: usize = 35;
/// A part of a path that is made from a name, in characters.
pub const SLUG_CHARS_MAX: usize = 99;
/// How many numbered forms of a slug are tried before an id is appended.
pub const SLUG_TRIES_MAX: usize = 64;
/// Items or topics above each other: what a path can cost.
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
/// Records that one request or render may read, those read again counted again: lists within lists multiply.
pub const RECORDS_READ_MAX: usize = 50_000;
/// The bodies of those records, in bytes of their JSON: read, one takes some times as much memory. Room for [`LIST_MAX`] items
/// of 64 KiB. What a mutation reads to decide is bounded by the rows of a change instead.
pub const RECORD_BYTES_READ_MAX: usize = 64 * 1024 * 1024;
/// What all requests of a process hold at a time of the records, payloads and attempts that they read, in bytes of their JSON; one
/// token's hold half of it at most, two requests that read as much as one may. More are refused as unavailable. Payloads that
/// are rendered to be delivered are outside of it: no reader may hold up deliveries.
pub const READ_BYTES_AT_ONCE_MAX: usize = 256 * 1024 * 1024;
/// What of such room one tenant has at most, in percent: the rest is other tenants'.
pub const ROOM_OF_TENANT_PERCENT_MAX: usize = 75;
/// How many times what it leaves free one token may hold of such room, of all and of what its tenant may have: half of all while
/// nobody else holds any, and two thirds of what is free where others do.
pub const ROOM_OF_HOLDER_TIMES_MAX: usize = 2;
/// What a request takes of such room at a time, in bytes; the first so many are free: with `http_requests_max` requests at once,
/// 64 MiB.
pub const ROOM_STEP_BYTES: usize = 64 * 1024;
/// A record's body, in bytes of its JSON: every version of it, its tombstone and all that read it carry it whole.
pub const RECORD_BYTES_MAX: usize = 2 * 1024 * 1024;
