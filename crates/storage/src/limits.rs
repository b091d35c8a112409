//! Every bound of this adapter, by name, with its unit as the last word and its reason.

/// The most connections that read SQLite beside the one that writes.
pub const SQLITE_READERS_MAX: u32 = 8;
/// The size of a page of SQLite, in bytes: its own default, named because the bound on a file's size counts in pages.
pub const SQLITE_PAGE_BYTES: u64 = 4_096;
/// The most rows that SQLite reads ahead of the caller: all rows of a claim or a page, so that neither side waits for
/// the other.
pub const SQLITE_ROWS_BUFFERED_MAX: usize = PAGE_ROWS_MAX as usize;
/// How long SQLite's log becomes before a commit also copies it into the file, in pages of [`SQLITE_PAGE_BYTES`]: 31
/// MiB. That commit, and the writers behind it, wait for the copy and the disk. A longer log saves copies: a page that
/// changed many times is copied once.
pub const SQLITE_CHECKPOINT_PAGES: u64 = 8_000;
/// How long SQLite waits for another process's lock, in milliseconds.
pub const SQLITE_BUSY_MS_MAX: u64 = 5_000;
/// Connections to PostgreSQL of one process, where the options name no other number.
pub const POSTGRES_CONNECTIONS_DEFAULT: u32 = 16;
/// How many of a process's connections belong to the road alone: one each for recording, claiming, freezing and
/// settling. The road goes on while changes and pages use all other connections.
pub const POSTGRES_ROAD_CONNECTIONS: u32 = 4;
/// How long PostgreSQL may take to answer as the store is opened, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 5_000;

/// The sizes of the pool of everything else and of the road's pool. With fewer than twice the road's connections all
/// share one pool.
pub const fn postgres_pools(connections_max: u32) -> (u32, u32) {
    if connections_max < 2 * POSTGRES_ROAD_CONNECTIONS {
        return (if connections_max == 0 { 1 } else { connections_max }, 0);
    }
    (connections_max - POSTGRES_ROAD_CONNECTIONS, POSTGRES_ROAD_CONNECTIONS)
}

/// How long a caller waits for a connection, in milliseconds.
pub const ACQUIRE_MS_MAX: u64 = 10_000;
/// How long a statement waits for a lock of PostgreSQL, in milliseconds.
pub const POSTGRES_LOCK_MS_MAX: u64 = 5_000;
/// How long a batch of a stopping webhook waits for the webhook's lock, in milliseconds: other webhooks wait for their
/// turn meanwhile.
pub const STOP_LOCK_MS_MAX: u64 = 500;
/// The most rows that one transaction removes where each may have a body of a MiB: a deleted tenant's due deliveries,
/// ended deliveries with their payloads, and attempts. Removing them takes well under
/// [`POSTGRES_ROAD_STATEMENT_MS_MAX`], or they would never be removed.
pub const REMOVED_WITH_BODIES_MAX: u32 = 100;
/// How long a statement of PostgreSQL may run, in milliseconds: below [`POSTGRES_CALL_MS_MAX`], so that the database
/// says so itself.
pub const POSTGRES_STATEMENT_MS_MAX: u64 = 12_000;
/// How long a statement of the road may run, in milliseconds: below [`POSTGRES_ROAD_CALL_MS_MAX`].
pub const POSTGRES_ROAD_STATEMENT_MS_MAX: u64 = 8_000;
/// How long a call waits for PostgreSQL to answer, in milliseconds: half of the default of `http_request_ms_max`, so
/// that a client is told to try again before its request ends.
pub const POSTGRES_CALL_MS_MAX: u64 = 15_000;
/// How long a call of the road waits, where the road has connections of its own, in milliseconds: below a lease, so
/// that a call whose answer the network lost is tried again before another worker takes the delivery over.
pub const POSTGRES_ROAD_CALL_MS_MAX: u64 = 10_000;
/// How long a call waits for SQLite, in milliseconds: no network is in between, but a disk may hang. It is below the
/// default of `http_request_ms_max`.
pub const SQLITE_CALL_MS_MAX: u64 = 25_000;
/// How long one statement of a migration may take, in milliseconds: an hour, since it may read all of a history.
pub const MIGRATE_CALL_MS_MAX: u64 = 3_600_000;
/// How long an idle connection of PostgreSQL may take to answer a ping, in milliseconds; then it is closed.
pub const POSTGRES_PING_MS_MAX: u64 = 2_000;
/// How long after its last answer a connection of PostgreSQL is used without a ping, in milliseconds.
pub const POSTGRES_IDLE_TRUSTED_MS: u64 = 10;
/// How long a connection to PostgreSQL may be idle before it is closed, in milliseconds.
pub const CONNECTION_IDLE_MS_MAX: u64 = 600_000;
/// How old a connection to PostgreSQL may become, in milliseconds: the memory that the database keeps for each grows.
pub const CONNECTION_LIFETIME_MS_MAX: u64 = 1_800_000;
/// How long a transaction of a process that stopped may hold its locks, in milliseconds.
pub const POSTGRES_IDLE_IN_TRANSACTION_MS_MAX: u64 = 10_000;
/// How long a connection may be silent before PostgreSQL probes it with a TCP keepalive, in seconds. Without probes,
/// connections that the network forgot would stay open for hours, until the database has none left.
pub const POSTGRES_KEEPALIVE_IDLE_S: u32 = 15;
/// The time between two keepalive probes, in seconds.
pub const POSTGRES_KEEPALIVE_INTERVAL_S: u32 = 5;
/// The number of unanswered keepalive probes after which PostgreSQL closes the connection.
pub const POSTGRES_KEEPALIVE_COUNT: u32 = 3;
/// The number of dead rows in PostgreSQL's queue from which on it is swept; below it, skipping them costs less than a
/// sweep.
pub const QUEUE_DEAD_ROWS_MIN: i64 = 20_000;
/// The most live rows per dead row with which the queue is swept: a sweep reads the index entries of all rows.
pub const QUEUE_LIVE_ROWS_PER_DEAD_MAX: i64 = 5;
/// The number of rows in the queue from which on PostgreSQL's planner needs an estimate of it.
pub const PLANNED_ROWS_MIN: i64 = 1_000;
/// How many times as long as at its last count the queue may become before it is analysed.
pub const PLANNED_ROWS_TIMES_MAX: i64 = 10;
/// The time between two checks whether the queue needs a sweep, in milliseconds: 10,000 deliveries a second leave
/// 20,000 dead rows.
pub const SWEEP_WAIT_MS: u64 = 2_000;
/// The longest time between two checks, where sweeps free little or fail, in milliseconds: ten rounds of autovacuum.
pub const SWEEP_WAIT_MS_MAX: u64 = 600_000;
/// How long a sweep may take, in milliseconds. No caller waits for it; a longer sweep is left to autovacuum, which has
/// no limit.
pub const SWEEP_MS_MAX: u64 = 60_000;
/// The statistics target of a sweep, which samples 300 times as many rows: few, because the rows of the queue are
/// alike.
pub const SWEEP_STATISTICS_TARGET: u32 = 10;
/// The most rows of one `INSERT`: with the columns of the widest table they stay below SQLite's 32,766 parameters.
pub const INSERT_ROWS_MAX: usize = 500;
/// The numbers of rows for which SQLite's `INSERT` of a batch has a text. The smallest number that is enough is taken,
/// so that few texts are prepared for any number of rows.
pub const SQLITE_INSERT_ROWS: [usize; 11] = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, SQLITE_INSERT_ROWS_MAX];
/// The largest of those numbers, in rows: its prepared statement for the widest table takes 300 KB.
pub const SQLITE_INSERT_ROWS_MAX: usize = 128;
/// The number of statements that a connection to SQLite keeps prepared: enough for the inserts of every size, together
/// with the statements in the same text, and for all other statements of the road.
pub const SQLITE_STATEMENTS_KEPT_MAX: usize = 256;
/// The most keys of one `IN` list: below SQLite's 32,766 parameters too.
pub const IN_LIST_MAX: usize = 5_000;
/// The most entries of one stored batch of the feed: they stay below the 2 KB from which on PostgreSQL stores a value
/// apart.
pub const FEED_BATCH_ENTRIES_MAX: usize = 30;
/// The most batches of its tenant that one feed page reads, which bounds the cost of a filter that matches little.
pub const FEED_SCAN_BATCHES_MAX: u64 = 300;
/// The rows at the head of a webhook's due work that a claim looks at beyond the webhook's slots: rows in flight are
/// there, behind at most the rows that came later with an earlier time.
pub const CLAIM_HEAD_ROWS_SPARE: i64 = 64;
/// The most deliveries behind others of their record that a claim passes over among those rows, where the webhook keeps
/// order. With more of them the claim takes none of that webhook until they are out of the way.
pub const CLAIM_LINED_ROWS_MAX: i64 = 256;
/// The most retries of a webhook that a claim passes over in its look for first attempts, where it may take no more
/// retries.
pub const CLAIM_RETRIES_PASSED_MAX: i64 = 256;
/// The most rows of a webhook that one statement looks at to take deliveries behind others out of the way of claims.
pub const LINED_UP_ROWS_MAX: i64 = 2_000;
/// The time after which a delivery taken out of the way of claims is due again, in milliseconds. It becomes due as the
/// delivery before it ends; the time counts only where that went unnoticed.
pub const LINED_UP_MS: u64 = 3_600_000;
/// The most held deliveries of a webhook, oldest first, among which one is looked for to probe with.
pub const PROBE_ROWS_LOOKED_AT_MAX: i64 = 1_000;
/// The most crowded webhooks that one claim names.
pub const CROWDED_MAX: usize = 16;
/// The most decrypted webhooks, and the most decrypted signers, that a process caches.
pub const OPENED_ENTRIES_MAX: u64 = 4_096;
/// The most further reads for one page, to fill it up where rows of it cannot be read.
pub const PAGE_REFILLS_MAX: usize = 10;
/// The most unreadable rows that a process remembers, so that it logs each once.
pub const UNREADABLE_TOLD_MAX: u64 = 10_000;
/// The most expired answers that a new answer removes: more than one, so that they become fewer.
pub const STALE_ANSWERS_PER_WRITE_MAX: u64 = 2;
/// The most rows of one page or claim, whatever the caller asks for.
pub const PAGE_ROWS_MAX: u32 = 1_000;
/// The most keys of a key file: the newest, and those of rotations before that were not removed yet.
pub const KEYS_MAX: usize = 8;
/// The most rows that one transaction seals anew.
pub const RESEAL_ROWS: u64 = 100;
/// The most rows that one gauge counts: a longer backlog reads as this number.
pub const GAUGE_ROWS_MAX: u64 = 100_000;
/// The rows at the head of each webhook's due work among which deliveries in flight are looked for: as many as may be
/// in flight, and some more.
pub const DUE_HEAD_ROWS: i64 =
    hookgraph_domain::limits::CONCURRENCY_MAX as i64 + CLAIM_HEAD_ROWS_SPARE + CLAIM_LINED_ROWS_MAX;
/// How long the link for wake-ups may take to connect or to answer, in milliseconds.
pub const LINK_MS_MAX: u64 = 5_000;
/// How long a listening connection may be silent before it is checked, in milliseconds.
pub const LINK_CHECK_MS: u64 = 15_000;
/// The most rows of a day that move when its partition is dropped; a day of which more rows are needed stays.
pub const DAY_ROWS_MOVED_MAX: usize = 10_000;
/// The most bytes of those rows: a slow disk copies them well within [`DROP_STATEMENT_MS_MAX`].
pub const DAY_BYTES_MOVED_MAX: i64 = 32 * 1024 * 1024;
/// How long a partition whose dropping took too long is left alone, in milliseconds: each try locks the table
/// meanwhile.
pub const DAY_CUT_OFF_MS: i64 = 3_600_000;
/// How long dropping a partition waits for a lock, in milliseconds: transactions behind it wait as long.
pub const DROP_LOCK_MS_MAX: u64 = 200;
/// How long one statement of dropping a partition may run, in milliseconds: the table is locked meanwhile.
pub const DROP_STATEMENT_MS_MAX: u64 = 2_000;
/// How far the clocks of processes may be apart, in milliseconds. An attempt's id may be this much older than its
/// delivery's, so attempts are looked for from there on.
pub const CLOCKS_APART_MS_MAX: u64 = 24 * 3_600_000;
/// How far an id's time may be behind the time of its row, in milliseconds: the id is made first, and the clock may be
/// set in between.
pub const ID_BEHIND_MS_MAX: u64 = 3_600_000;
/// How far an id's time may be ahead of the time of its row, in milliseconds: a process whose clock is set back goes on
/// with ids of the time before until the clock has caught up.
pub const ID_AHEAD_MS_MAX: u64 = 24 * 3_600_000;
/// The most owners without old rows that one step of retention passes.
pub const PRUNE_OWNERS_MAX: usize = 64;
/// The most events of all callers that wait to be recorded; a change beyond it is refused as busy.
pub const RECORD_QUEUE_EVENTS_MAX: usize = 20_000;
/// The most bytes of those events; their requests occupy several times as much. A single change always has room.
pub const RECORD_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a change waits for its turn to be recorded, in milliseconds; then it is refused as busy.
pub const RECORD_WAIT_MS_MAX: u64 = 10_000;
/// The most deliveries with which a recording on PostgreSQL claims along. If it makes more due, or another transaction
/// is claiming, a separate claim follows.
pub const CLAIMED_ALONG_MAX: usize = 16;
/// How long recordings claim nothing along after a claim along failed, in milliseconds.
pub const CLAIM_ALONG_PAUSE_MS: u64 = 1_000;
/// The number of events in a group commit from which on the next group waits [`RECORD_GATHER_MS`] for more. Under load
/// more events share the cost of a transaction, and claims and settlements have the processors, or SQLite's one writer,
/// meanwhile. Below this number no group waits.
pub const RECORD_GATHER_EVENTS_MIN: usize = 16;
/// How long a group waits for more events, in milliseconds; twice as long where other processes are active.
pub const RECORD_GATHER_MS: u64 = 2;
/// How long another process counts as active after its last wake-up, in milliseconds: several times as long as the
/// pause between two wake-ups of a process that commits all the time.
pub const NEIGHBOUR_MS: u64 = 250;
/// The most events of one group commit, unless a single change has more.
pub const RECORD_GROUP_EVENTS_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pools_keep_to_the_connections_allowed() {
        assert_eq!(postgres_pools(POSTGRES_CONNECTIONS_DEFAULT), (12, 4));
        assert_eq!([0, 1, 7, 8].map(postgres_pools), [(1, 0), (1, 0), (7, 0), (4, 4)]);
    }
}
