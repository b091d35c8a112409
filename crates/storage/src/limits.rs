//! Every bound of this adapter, by name, with its unit as the last word and its reason.

/// Connections that read SQLite side by side with the one that writes.
pub const SQLITE_READERS_MAX: u32 = 8;
/// A page of SQLite, in bytes: its own default, named because the bound on a file's size counts in pages.
pub const SQLITE_PAGE_BYTES: u64 = 4_096;
/// Rows that SQLite may read ahead of whoever asked for them: all of a claim or a page, so that neither waits for the other.
pub const SQLITE_ROWS_BUFFERED_MAX: usize = PAGE_ROWS_MAX as usize;
/// How long SQLite's log becomes before a commit also copies it into the file, in pages of [`SQLITE_PAGE_BYTES`]: 31 MiB. That commit,
/// and whoever writes behind it, waits for the copy and for the disk; a page that changed many times meanwhile is copied once.
pub const SQLITE_CHECKPOINT_PAGES: u64 = 8_000;
/// How long SQLite waits for another process's lock, in milliseconds.
pub const SQLITE_BUSY_MS_MAX: u64 = 5_000;
/// Connections to PostgreSQL of one process, where the options name no other number.
pub const POSTGRES_CONNECTIONS_DEFAULT: u32 = 16;
/// Of those, connections that record, claim, freeze and settle have for themselves: one for each of them. Changes and pages that
/// hold all others leave the road going.
pub const POSTGRES_ROAD_CONNECTIONS: u32 = 4;
/// How long PostgreSQL may take to answer as the store is opened, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 5_000;

/// The connections of everything else, and those of the road; with fewer than twice the road's all share one pool.
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
/// How long a batch of what stops waits for its webhook, in milliseconds: other webhooks wait for their turn meanwhile.
pub const STOP_LOCK_MS_MAX: u64 = 500;
/// Rows that one transaction removes where each may take a body of a MiB with it: what is due for a deleted tenant, its deliveries
/// with their payloads, its attempts. So much goes well within [`POSTGRES_ROAD_STATEMENT_MS_MAX`], or it would never go.
pub const REMOVED_WITH_BODIES_MAX: u32 = 100;
/// How long a statement of PostgreSQL may run, in milliseconds: below [`POSTGRES_CALL_MS_MAX`], so that the database says so itself.
pub const POSTGRES_STATEMENT_MS_MAX: u64 = 12_000;
/// The same for a statement of the road, in milliseconds: below [`POSTGRES_ROAD_CALL_MS_MAX`].
pub const POSTGRES_ROAD_STATEMENT_MS_MAX: u64 = 8_000;
/// How long a call waits for PostgreSQL to answer, in milliseconds: half of the default of `http_request_ms_max`, so that whoever
/// asks is told to try again.
pub const POSTGRES_CALL_MS_MAX: u64 = 15_000;
/// The same for a call of the road, where it has connections of its own, in milliseconds: below a lease, so that what a silent
/// network swallowed is tried again before anyone else takes it over.
pub const POSTGRES_ROAD_CALL_MS_MAX: u64 = 10_000;
/// How long a call waits for SQLite, in milliseconds: no network is in between, but a disk may hang. Below the default of
/// `http_request_ms_max` too.
pub const SQLITE_CALL_MS_MAX: u64 = 25_000;
/// How long one statement of a migration may take, in milliseconds: an hour, since it may go through all of a history.
pub const MIGRATE_CALL_MS_MAX: u64 = 3_600_000;
/// How long a connection of PostgreSQL that nobody used for a while may take to say that it lives, in milliseconds; then it is
/// closed.
pub const POSTGRES_PING_MS_MAX: u64 = 2_000;
/// How long after its last answer a connection of PostgreSQL is used without being asked whether it lives, in milliseconds.
pub const POSTGRES_IDLE_TRUSTED_MS: u64 = 10;
/// How long a connection to PostgreSQL may be used by nobody before it is closed, in milliseconds.
pub const CONNECTION_IDLE_MS_MAX: u64 = 600_000;
/// How old a connection to PostgreSQL may become, in milliseconds: what the other end keeps for each grows.
pub const CONNECTION_LIFETIME_MS_MAX: u64 = 1_800_000;
/// How long a transaction of a process that stopped may hold its locks, in milliseconds.
pub const POSTGRES_IDLE_IN_TRANSACTION_MS_MAX: u64 = 10_000;
/// How long PostgreSQL hears nothing of a connection of ours before it asks whether the other end is there, in seconds. Else one
/// that the network forgot would stay with it for hours, until it has no more to give.
pub const POSTGRES_KEEPALIVE_IDLE_S: u32 = 15;
/// How often it asks again, in seconds.
pub const POSTGRES_KEEPALIVE_INTERVAL_S: u32 = 5;
/// How often nobody answers before the connection is closed.
pub const POSTGRES_KEEPALIVE_COUNT: u32 = 3;
/// Dead rows of PostgreSQL's queue from which on it is swept; below, to step over them costs less.
pub const QUEUE_DEAD_ROWS_MIN: i64 = 20_000;
/// How many rows may be owed for each dead one where it is swept: a sweep goes over the indexes of all that is owed.
pub const QUEUE_LIVE_ROWS_PER_DEAD_MAX: i64 = 5;
/// Rows of the queue from which on it matters how many PostgreSQL's planner knows of.
pub const PLANNED_ROWS_MIN: i64 = 1_000;
/// How many times as many rows the queue may have as were counted, before it is analysed.
pub const PLANNED_ROWS_TIMES_MAX: i64 = 10;
/// How often the queue is looked at for a sweep, in milliseconds: at 10,000 deliveries a second that is 20,000 dead rows.
pub const SWEEP_WAIT_MS: u64 = 2_000;
/// How seldom at most, where sweeping frees little or fails, in milliseconds: autovacuum has ten rounds in between.
pub const SWEEP_WAIT_MS_MAX: u64 = 600_000;
/// How long a sweep may take, in milliseconds. It has no caller; what takes longer is left to autovacuum, which has no limit.
pub const SWEEP_MS_MAX: u64 = 60_000;
/// How closely a sweep analyses: of 300 times as many rows. The queue's columns are all alike.
pub const SWEEP_STATISTICS_TARGET: u32 = 10;
/// Rows of one `INSERT`: times the widest table's columns it stays below SQLite's 32,766 parameters.
pub const INSERT_ROWS_MAX: usize = 500;
/// Rows that one `INSERT` of a batch on SQLite may have room for: the smallest room that is enough is taken, so that any number of rows
/// is one statement and few texts are prepared.
pub const SQLITE_INSERT_ROWS: [usize; 11] = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, SQLITE_INSERT_ROWS_MAX];
/// The most of those, in rows: times the widest table's columns a prepared one takes 300 KB.
pub const SQLITE_INSERT_ROWS_MAX: usize = 128;
/// Texts that a connection to SQLite keeps prepared: those that insert batches for each room, with what goes ahead of them and comes
/// behind, and whatever else runs all day.
pub const SQLITE_STATEMENTS_KEPT_MAX: usize = 256;
/// Keys of one `IN` list, for the same reason.
pub const IN_LIST_MAX: usize = 5_000;
/// Entries of one stored batch of the feed: below the 2 KB from which PostgreSQL would keep it apart.
pub const FEED_BATCH_ENTRIES_MAX: usize = 30;
/// How far one feed page looks, in batches of its tenant: what an unlucky filter can cost.
pub const FEED_SCAN_BATCHES_MAX: u64 = 300;
/// Rows at the head of a webhook's due work that a claim looks at beyond its slots: what is in flight sits there, behind at
/// most what came late with an earlier time.
pub const CLAIM_HEAD_ROWS_SPARE: i64 = 64;
/// Deliveries behind another of their record among those, of a webhook that keeps order, that a claim passes over; with more of
/// them it takes none of that webhook until they are out of the way.
pub const CLAIM_LINED_ROWS_MAX: i64 = 256;
/// Rows of a webhook that a claim looks at beyond the others for its first attempts, where retries stand before them that it may not
/// take: what it may pass over of each.
pub const CLAIM_RETRIES_PASSED_MAX: i64 = 256;
/// Deliveries behind another of their record that are taken out of the way of claims by one statement.
pub const LINED_UP_ROWS_MAX: i64 = 2_000;
/// When what was taken out of the way of claims is looked at again, in milliseconds, should the one before it have ended
/// unnoticed; it becomes due as that one ends.
pub const LINED_UP_MS: u64 = 3_600_000;
/// Of a webhook's held deliveries, how many of the oldest are looked at for one to probe with.
pub const PROBE_ROWS_LOOKED_AT_MAX: i64 = 1_000;
/// Webhooks of which a claim says at once that too much stands behind others.
pub const CROWDED_MAX: usize = 16;
/// Webhooks, and signers of tenants, that this process keeps opened.
pub const OPENED_ENTRIES_MAX: u64 = 4_096;
/// How often a page is read on where rows of it cannot be read.
pub const PAGE_REFILLS_MAX: usize = 10;
/// Rows that cannot be read of which this process remembers that it told.
pub const UNREADABLE_TOLD_MAX: u64 = 10_000;
/// Answers past their time that a new one takes out with it: more than one, so that they become fewer.
pub const STALE_ANSWERS_PER_WRITE_MAX: u64 = 2;
/// Rows of one page or claim, whatever the caller asks for.
pub const PAGE_ROWS_MAX: u32 = 1_000;
/// Keys of a key file: rotations whose old keys were not taken out yet.
pub const KEYS_MAX: usize = 8;
/// Rows that are sealed anew in one transaction.
pub const RESEAL_ROWS: u64 = 100;
/// Rows that one gauge counts: a backlog beyond it reads as that many.
pub const GAUGE_ROWS_MAX: u64 = 100_000;
/// Rows at the head of each webhook's due work that are looked at for what is in flight: what may be, and a few more.
pub const DUE_HEAD_ROWS: i64 =
    hookgraph_domain::limits::CONCURRENCY_MAX as i64 + CLAIM_HEAD_ROWS_SPARE + CLAIM_LINED_ROWS_MAX;
/// How long the link for wake-ups may take to connect or to answer, in milliseconds.
pub const LINK_MS_MAX: u64 = 5_000;
/// How often a listening connection on which nothing comes is checked, in milliseconds.
pub const LINK_CHECK_MS: u64 = 15_000;
/// Rows of a day that are moved when its partition is dropped; a day of which more are needed stays as it is.
pub const DAY_ROWS_MOVED_MAX: usize = 10_000;
/// What those rows may occupy, in bytes: what a slow disk copies well within [`DROP_STATEMENT_MS_MAX`].
pub const DAY_BYTES_MOVED_MAX: i64 = 32 * 1024 * 1024;
/// How long a partition whose dropping took too long is left alone, in milliseconds: its table was locked all the while.
pub const DAY_CUT_OFF_MS: i64 = 3_600_000;
/// How long dropping a partition waits for a lock, in milliseconds: whoever comes after it waits as long.
pub const DROP_LOCK_MS_MAX: u64 = 200;
/// How long one statement of dropping a partition may run, in milliseconds: it holds its table meanwhile.
pub const DROP_STATEMENT_MS_MAX: u64 = 2_000;
/// How far the clocks of processes may be apart, in milliseconds: attempts are looked for among those whose ids are that much older
/// than their delivery's and newer.
pub const CLOCKS_APART_MS_MAX: u64 = 24 * 3_600_000;
/// How far an id's time may be behind that of its row, in milliseconds: it is made first, and a clock may be set between the two.
pub const ID_BEHIND_MS_MAX: u64 = 3_600_000;
/// How far it may be ahead, in milliseconds: a process whose clock is set back goes on with ids of the time that it had until the
/// clock has come there again.
pub const ID_AHEAD_MS_MAX: u64 = 24 * 3_600_000;
/// Owners without anything old that one step of retention passes by.
pub const PRUNE_OWNERS_MAX: usize = 64;
/// Events that wait to be recorded, of all callers; beyond it a change is refused as busy.
pub const RECORD_QUEUE_EVENTS_MAX: usize = 20_000;
/// What they may occupy, in bytes; the requests that they came with occupy several times as much. One change alone always has
/// room.
pub const RECORD_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a change waits for its turn to be recorded, in milliseconds; then it is taken back and refused as busy.
pub const RECORD_WAIT_MS_MAX: u64 = 10_000;
/// Deliveries that a recording on PostgreSQL claims along at most; where it makes more due, or someone else is claiming, a claim
/// of its own follows.
pub const CLAIMED_ALONG_MAX: usize = 16;
/// How long recordings claim nothing along after such a claim failed, in milliseconds.
pub const CLAIM_ALONG_PAUSE_MS: u64 = 1_000;
/// Events of a group commit from which on the next one waits [`RECORD_GATHER_MS`] for more: under load more share what a
/// transaction costs, and claims and settlements have the processors, or SQLite's one writer, meanwhile. Below it nobody waits.
pub const RECORD_GATHER_EVENTS_MIN: usize = 16;
/// How long a group waits for more, in milliseconds; twice as long where other processes are active.
pub const RECORD_GATHER_MS: u64 = 2;
/// How long another process counts as active after it was heard of, in milliseconds: several times as long as one that commits
/// all the time is silent between two wake-ups.
pub const NEIGHBOUR_MS: u64 = 250;
/// Events of one group commit, unless one change alone has more.
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
