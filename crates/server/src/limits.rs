//! Bounds of the server that no operator sets; those that an operator sets are in [`crate::config::keys`].

use std::time::Duration;

/// A request id that a caller sends, in bytes: longer ones are replaced by ours.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// A token in an `authorization` header, in bytes: ours are 47.
pub const TOKEN_BYTES_MAX: usize = 512;
/// A JWT of an issuer in an `authorization` header, in bytes: those with many claims have a few thousand.
pub const JWT_BYTES_MAX: usize = 8 * 1024;
/// How far an issuer's clock may be from ours, in seconds.
pub const OIDC_LEEWAY_S: i64 = 30;
/// How long an issuer's keys are kept, in seconds; twice as long when they cannot be read again.
pub const OIDC_KEYS_KEPT_S: i64 = 600;
/// How long after an issuer's keys were read, or could not be, they are not read again, in seconds: tokens may name
/// unknown ones.
pub const OIDC_REFETCH_S_MIN: i64 = 10;
/// How long an issuer may take to answer, in milliseconds.
pub const OIDC_FETCH_MS_MAX: u64 = 5_000;
/// What an issuer may answer, in bytes.
pub const OIDC_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// A token that an operator chooses, in bytes: shorter ones can be guessed.
pub const TOKEN_BYTES_MIN: usize = 24;
/// Values in the JSON of one request, or of one message on a WebSocket connection: numbers by the million cost more to
/// read than their bytes tell.
pub const REQUEST_VALUES_MAX: usize = 100_000;
/// Values within each other in the JSON of one request: what serde_json reads.
pub const JSON_DEPTH_MAX: usize = 127;
/// What part of a document that is known counts as large: it is neither parsed nor proven again, but copied to be
/// executed.
pub const KNOWN_DOCUMENT_PART: usize = 4;
/// The size from which on a request is large, in bytes, over any transport: some dozens of events.
pub const LARGE_REQUEST_BYTES_MIN: usize = 8 * 1024;
/// Bytes of large requests that are read and executed at a time: each becomes some fifty, and in the worst case a
/// hundred.
pub const LARGE_BYTES_AT_ONCE_MAX: usize = 128 * 1024;
/// What one of them counts for at most, in bytes, however large it is: four go on side by side, so that one that takes
/// long keeps nobody out.
pub const LARGE_REQUEST_SHARE_BYTES_MAX: usize = LARGE_BYTES_AT_ONCE_MAX / 4;
/// What of them is one holder's at most: half of the turns are the others'.
pub const LARGE_BYTES_OF_ONE_AT_ONCE_MAX: usize = LARGE_BYTES_AT_ONCE_MAX / 2;
/// Bytes of large requests that are executed or wait for it; more are refused as unavailable.
pub const LARGE_BYTES_KEPT_MAX: usize = 32 * 1024 * 1024;
/// What of them is one holder's at most. A request that is larger counts for as many.
pub const LARGE_BYTES_OF_ONE_KEPT_MAX: usize = LARGE_BYTES_KEPT_MAX / 4;
/// How long a large request waits for its turn, in milliseconds; then it is refused as unavailable.
pub const LARGE_REQUEST_WAIT_MS_MAX: u64 = 5_000;
/// How long a client may take no byte of what is written to it, in milliseconds: then its connection is closed. Over
/// HTTP/2, how long it may grant no window for a next part of an answer: then that answer is given up, and the
/// connection ended where nothing else is under way. A kernel with much room says late that some was taken: a second or
/// two is too little.
pub const UNTAKEN_MS_MAX: u64 = 60_000;
/// A part of an answer over HTTP/2, in bytes: what a client is to take in that time.
pub const ANSWER_PART_BYTES_MAX: usize = 16 * 1024;
/// Requests under way at a time on one connection over HTTP/2: RFC 9113 recommends to allow no fewer (section 6.5.2).
pub const HTTP2_STREAMS_MAX: u32 = 100;
/// How long a connection over HTTP/2 without a request lives on when its client was told that it ends, in milliseconds:
/// requests that were sent before may still come.
pub const GOING_AWAY_MS_MAX: u64 = 5_000;
/// Connections at a time on the address that metrics have of their own: those of probes and scrapers.
pub const OPERATIONS_CONNECTIONS_MAX: usize = 64;
/// Descriptors that connections of clients leave to others: one to each delivery in flight, the rest to the database,
/// to files and to [`OPERATIONS_CONNECTIONS_MAX`].
pub const DESCRIPTORS_RESERVED: u64 = hookgraph_dispatcher::limits::IN_FLIGHT_MAX as u64 + 256;
/// Descriptors that a process asks the system for, where it is given fewer at first: what connections, deliveries, the
/// database and files may take together, several times over.
pub const DESCRIPTORS_WANTED: u64 = 65_536;
/// What is read of a request's body after its answer, in bytes: a client that writes on when its connection is closed
/// may lose the answer.
pub const UNREAD_BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long the rest of such a body is waited for, in milliseconds.
pub const UNREAD_BODY_MS_MAX: u64 = 5_000;
/// An answer, or a message of one, that needs no room of what all answers share, in bytes: as many connections and
/// queued messages as there may be hold some of these at most.
pub const ANSWER_SMALL_BYTES_MAX: usize = 16 * 1024;
/// Larger answers that are held until their clients have taken them, in bytes, over any transport; one token's are half
/// of it at most (`hookgraph_pim::limits::ROOM_OF_HOLDER_TIMES_MAX`). Others are refused as unavailable, but for those
/// of mutations. One that is larger counts for as many.
pub const ANSWER_BYTES_HELD_MAX: usize = 256 * 1024 * 1024;
/// Errors in one answer: a document of nothing but mistakes does not multiply.
pub const ERRORS_MAX: usize = 100;
/// WebSocket connections that are not acknowledged yet, as a part of `websocket_connections_max`: one in so many.
/// Strangers can open these alone, so that three quarters are left to clients.
pub const WEBSOCKETS_UNACKNOWLEDGED_SHARE: usize = 4;
/// How many WebSocket connections that are not acknowledged yet there may be where that part is smaller: clients may
/// begin at once.
pub const WEBSOCKETS_UNACKNOWLEDGED_MIN: usize = 16;
/// A message on a WebSocket connection that is not acknowledged yet, in bytes: a token has [`JWT_BYTES_MAX`] at most.
pub const UNACKNOWLEDGED_MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// An operation's id on a WebSocket connection, in bytes: clients send UUIDs.
pub const OPERATION_ID_BYTES_MAX: usize = 256;
/// Messages that wait for a slow WebSocket client; its subscriptions are not read further meanwhile.
pub const OUTGOING_MESSAGES_MAX: usize = 16;
/// How long one WebSocket message may take to be written, in milliseconds: then the connection ends.
pub const WEBSOCKET_WRITE_MS_MAX: u64 = 30_000;
/// Pings without an answer before a WebSocket connection is given up.
pub const UNANSWERED_PINGS_MAX: u32 = 2;
/// Tokens whose last use this process remembers to have written down. Where more are in use within a minute, the uses
/// of the others are not written down.
pub const TOKEN_USES_NOTED_MAX: usize = 10_000;
/// How often tokens that were not used of late are looked for when there are so many, in milliseconds.
pub const TOKEN_USES_SWEEP_MS: i64 = 1_000;
/// How long a browser may remember what an origin may ask, in seconds.
pub const CORS_MAX_AGE_S: u64 = 3_600;
/// How long a published key set may be kept, in seconds: far below an overlap, so that a receiver knows a new key in
/// time.
pub const JWKS_MAX_AGE_S: u32 = 300;
/// Published key sets that are read from the database at a time: anybody may ask, and the database has few readers.
pub const JWKS_READS_MAX: usize = 2;
/// How long a key set waits for its turn to be read, in milliseconds; then it is refused as unavailable.
pub const JWKS_READ_WAIT_MS_MAX: u64 = 1_000;
/// How long it is told again that there is no such key set, or that the database could not read it, in milliseconds.
pub const JWKS_KEPT_MS: u64 = 1_000;
/// Key sets, there or not, whose last reading is kept at a time.
pub const JWKS_KEPT_MAX: u64 = 1_000;
/// A close reason, in bytes: RFC 6455 leaves 123 in a control frame.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;
/// Days after today that have their partitions already: a server that can make none for three days loses nothing.
pub const PARTITION_DAYS_AHEAD: u32 = 3;
/// How often partitions are looked for, in milliseconds: every six hours.
pub const PARTITION_CHECK_MS: u64 = 6 * 3600 * 1000;
/// How far an unknown key may be from a known one, as a Jaro-Winkler similarity, to be named as meant.
pub const NEAREST_KEY_SIMILARITY_MIN: f64 = 0.7;
/// The wait before stored payload queries are checked again when the database failed, in milliseconds.
pub const RECHECK_RETRY_MS: u64 = 1_000;
/// How long a token that was looked up is believed, in milliseconds: so long may one that was revoked still be let in.
pub const TOKEN_CACHE_MS: u64 = 1_000;
/// Tokens that are believed at a time.
pub const TOKENS_CACHED_MAX: u64 = 10_000;
/// Tokens of which this process knows nothing that are looked up at a time: anybody may show one, and the database has
/// few readers.
pub const TOKEN_LOOK_UPS_MAX: usize = 2;
/// How long such a token waits for its turn, in milliseconds; then it is refused as unavailable. A WebSocket connection
/// may take longer until it is acknowledged.
pub const TOKEN_LOOK_UP_WAIT_MS_MAX: u64 = 2_000;
/// Such tokens that wait for their turn at a time; more are refused at once. All of them have their turn in time where a
/// look-up takes 4 ms.
pub const TOKEN_LOOK_UPS_WAITING_MAX: usize = 1_000;
/// How long the look-up of such a token may take, in milliseconds: less than a call to the database, so that connections
/// that are dead keep the others out for no longer.
pub const TOKEN_LOOK_UP_MS_MAX: u64 = 5_000;
/// How long a connection or an event stream goes on while its token cannot be looked up again, in seconds: as long as
/// an issuer's keys hold that cannot be read again.
pub const UNCHECKED_SESSION_S_MAX: u64 = 2 * OIDC_KEYS_KEPT_S as u64;
/// Tokens whose share of the server is counted at a time: more are let through uncounted. A share is some 64 bytes.
pub const SHARES_KEPT_MAX: usize = 20_000;
/// How often idle tokens are looked for when there are so many, in milliseconds.
pub const SHARES_SWEEP_MS: u64 = 1_000;
/// When it is worth to ask again for a place that others hold: a connection, an operation, a request at a time.
pub const PLACE_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Texts that are remembered by their hash for clients that send the hash alone, in bytes.
pub const PERSISTED_TEXT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// A document that is remembered or trusted, in bytes: what the schema takes.
pub const PERSISTED_DOCUMENT_BYTES_MAX: usize = 128 * 1024;
/// Trusted documents of one server.
pub const TRUSTED_DOCUMENTS_MAX: usize = 20_000;
/// A file of trusted documents, in bytes.
pub const TRUSTED_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The identifier of a document, in bytes: a SHA-256 in hexadecimal has 64, with its prefix 71.
pub const DOCUMENT_ID_BYTES_MAX: usize = 256;
/// How often other processes are woken at most, in milliseconds: each time costs the database a small transaction, and
/// live status that lags by as much is still live.
pub const WAKE_UP_DEBOUNCE_MS: u64 = 50;
/// How long the watch over the feed waits for a wake-up before it looks by itself, in milliseconds: wake-ups may be
/// lost. So long too where it could not look.
pub const FEED_POLL_MS: u64 = 1_000;
/// How long it pauses after each look, in milliseconds: however much is committed, it looks no more than 200 times a
/// second. What moves after a quiet time is told at once.
pub const FEED_WATCH_PAUSE_MS: u64 = 5;
/// Batches of the feed that one look goes through; where there are more the next look follows at once. There are as
/// many in a pause at 100,000 transactions a second.
pub const FEED_MOVES_BATCHES_MAX: u32 = 500;
/// The first wait before the link to other processes is made again, in milliseconds; it doubles.
pub const LINK_BACKOFF_MS_MIN: u64 = 100;
/// The longest wait before the link to other processes is made again, in milliseconds.
pub const LINK_BACKOFF_MS_MAX: u64 = 5_000;
/// How long a scrape of the metrics is answered again, in milliseconds.
pub const SCRAPE_CACHE_MS: u64 = 1_000;
/// How long a scrape may wait for the database, in milliseconds.
pub const SCRAPE_DATABASE_MS_MAX: u64 = 2_000;
/// How often counted durations are sorted into their buckets when nobody scrapes, in milliseconds.
pub const METRICS_UPKEEP_MS: u64 = 5_000;
/// How long `/readyz` may wait for the database, in milliseconds.
pub const READY_MS_MAX: u64 = 2_000;
/// How long what the database said is told again by `/readyz`, in milliseconds: anybody may ask.
pub const READY_KEPT_MS: u64 = 500;
/// How long the server waits when it cannot accept connections, e.g. for want of descriptors, in milliseconds.
pub const ACCEPT_PAUSE_MS: u64 = 500;
/// How long the loops beside the routes may take to stop beyond `shutdown_ms_max`, in milliseconds: meanwhile the
/// dispatcher writes down what it gives back.
pub const WORKERS_STOP_SLACK_MS: u64 = hookgraph_dispatcher::limits::FLUSH_MS + 1_000;
/// How long the database may take to be closed at the end, in milliseconds: SQLite writes what it has beside its file
/// into it.
pub const STORE_CLOSE_MS_MAX: u64 = 1_000;
/// How long threads that block are waited for when a command has ended, in milliseconds: a look-up of a name may take
/// minutes.
pub const BLOCKED_THREADS_MS_MAX: u64 = 1_000;
/// How often a connection is looked at that has sent a part of HTTP/2's first words, in milliseconds.
pub const PREFACE_POLL_MS: u64 = 20;
/// How long one batch of spans may take to be sent, in milliseconds.
pub const TRACES_EXPORT_MS_MAX: u64 = 10_000;
/// How long the last spans may take to be sent when the server has stopped, in milliseconds.
pub const TRACES_FLUSH_MS_MAX: u64 = 3_000;
/// After how long a caller may ask again that was refused as `UNAVAILABLE` (`Retry-After`), in seconds: a queue that is
/// full or a database that is locked mostly has room a second later.
pub const RETRY_AFTER_S: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Layers};
    use hookgraph_pim::ByteRoom;
    use hookgraph_pim::limits::{
        READ_BYTES_AT_ONCE_MAX, ROOM_OF_HOLDER_TIMES_MAX, ROOM_OF_TENANT_PERCENT_MAX, ROOM_STEP_BYTES,
    };

    #[test]
    fn the_documentation_tells_what_is_held_in_memory() {
        let text = include_str!("../../../docs/operating.md");
        let (kib, mib) = (1024, 1024 * 1024);
        for told in [
            format!(
                "| {} MiB | a tenant's requests: {ROOM_OF_TENANT_PERCENT_MAX} %, a token's: {} MiB | \
                 the first {} KiB of each request |",
                READ_BYTES_AT_ONCE_MAX / mib,
                ByteRoom::new(READ_BYTES_AT_ONCE_MAX).of_one_bytes_max() / mib,
                ROOM_STEP_BYTES / kib
            ),
            format!(
                "| {} MiB | a tenant's answers: {ROOM_OF_TENANT_PERCENT_MAX} %, a token's: {} MiB; \
                 a larger one counts for as many | {} KiB each |",
                ANSWER_BYTES_HELD_MAX / mib,
                ByteRoom::new(ANSWER_BYTES_HELD_MAX).of_one_bytes_max() / mib,
                ANSWER_SMALL_BYTES_MAX / kib
            ),
            format!(
                "| {} MiB | a token's: a quarter | {} KiB each |",
                LARGE_BYTES_KEPT_MAX / mib,
                LARGE_REQUEST_BYTES_MIN / kib
            ),
            format!(
                "at most {} KiB counted for each | {} KiB | a token's: half |",
                LARGE_REQUEST_SHARE_BYTES_MAX / kib,
                LARGE_BYTES_AT_ONCE_MAX / kib
            ),
        ] {
            assert!(text.contains(&told), "{told}");
        }
        assert_eq!(ROOM_OF_HOLDER_TIMES_MAX, 2, "twice what it leaves free");
        assert!(text.contains("at most twice what it leaves free"));
        assert_eq!(LARGE_BYTES_OF_ONE_KEPT_MAX, LARGE_BYTES_KEPT_MAX / 4);
        assert_eq!(LARGE_BYTES_OF_ONE_AT_ONCE_MAX, LARGE_BYTES_AT_ONCE_MAX / 2);
    }

    #[test]
    fn the_documentation_tells_what_is_read_for_strangers_and_how_long_a_token_may_go_unchecked() {
        let text = include_str!("../../../docs/errors.md");
        for told in [
            format!(
                "| tokens that a process does not know and looks up at a time | {TOKEN_LOOK_UPS_MAX}; \
                 1,000 more wait for {} s, and a look-up takes {} s at most |",
                TOKEN_LOOK_UP_WAIT_MS_MAX / 1_000,
                TOKEN_LOOK_UP_MS_MAX / 1_000
            ),
            format!(
                "| published key sets that are read at a time | {JWKS_READS_MAX}; more wait for {} s, and what is not \
                 there is told again for {} s |",
                JWKS_READ_WAIT_MS_MAX / 1_000,
                JWKS_KEPT_MS / 1_000
            ),
            format!(
                "while its token cannot be looked up again | {} minutes, and no longer than it is valid |",
                UNCHECKED_SESSION_S_MAX / 60
            ),
        ] {
            assert!(text.contains(&told), "{told}");
        }
        assert_eq!(TOKEN_LOOK_UPS_WAITING_MAX, 1_000, "as it is told");
    }

    #[test]
    fn the_look_up_of_an_unknown_token_ends_before_a_call_to_any_database_does() {
        use hookgraph_storage::limits::{POSTGRES_CALL_MS_MAX, SQLITE_CALL_MS_MAX};
        let calls_ms_max = [POSTGRES_CALL_MS_MAX, SQLITE_CALL_MS_MAX];
        assert!(calls_ms_max.iter().all(|call_ms_max| TOKEN_LOOK_UP_MS_MAX < *call_ms_max));
    }

    #[test]
    fn a_token_waits_less_for_its_turn_than_a_connection_may_take_to_begin() {
        let web = Config::from_layers(&Layers::defaults().unwrap()).web;
        assert!(Duration::from_millis(TOKEN_LOOK_UP_WAIT_MS_MAX) < web.websocket_init_max);
    }
}
