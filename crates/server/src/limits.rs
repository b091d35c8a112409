//! Bounds of the server that no operator sets; those that an operator sets are in [`crate::config::keys`].

/// A request id that a caller sends, in bytes: longer ones are replaced by ours.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// A token in an `authorization` header, in bytes: ours are 47.
pub const TOKEN_BYTES_MAX: usize = 512;
/// A token that an operator chooses, in bytes: shorter ones can be guessed.
pub const TOKEN_BYTES_MIN: usize = 24;
/// Errors in one answer: a document of nothing but mistakes does not multiply.
pub const ERRORS_MAX: usize = 100;
/// An operation's id on a WebSocket connection, in bytes: clients send UUIDs.
pub const OPERATION_ID_BYTES_MAX: usize = 256;
/// Messages that wait for a slow WebSocket client; its subscriptions are not read further meanwhile.
pub const OUTGOING_MESSAGES_MAX: usize = 16;
/// How long one WebSocket message may take to be written, in milliseconds: then the connection ends.
pub const WEBSOCKET_WRITE_MS_MAX: u64 = 30_000;
/// Pings without an answer before a WebSocket connection is given up.
pub const UNANSWERED_PINGS_MAX: u32 = 2;
/// How long a browser may remember what an origin may ask, in seconds.
pub const CORS_MAX_AGE_S: u64 = 3_600;
/// A close reason, in bytes: RFC 6455 leaves 123 in a control frame.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;
/// How far an unknown key may be from a known one, as a Jaro-Winkler similarity, to be named as meant.
pub const NEAREST_KEY_SIMILARITY_MIN: f64 = 0.7;
/// The wait before stored payload queries are checked again when the database failed, in milliseconds.
pub const RECHECK_RETRY_MS: u64 = 1_000;
