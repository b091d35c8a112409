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
/// Records read at once where all of a list are needed.
pub const READ_BATCH_ROWS: u32 = 500;
