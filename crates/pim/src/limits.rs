//! The bounds of the resolver tree, by name, with their unit as the last word and their reason.

/// How often a mutation is decided again when what it read changed meanwhile.
pub const CONFLICT_RETRIES_MAX: u32 = 8;
/// Items of a list that is not paged (`getMany` of items, `relatingItems` …).
pub const LIST_MAX: u32 = 1_000;
/// A text of an input, in characters.
pub const TEXT_CHARS_MAX: usize = 20_000;
/// An identifier of an input, in characters.
pub const IDENTIFIER_CHARS_MAX: usize = 200;
