//! A long history beside which a case runs: deliveries that ended over the last four weeks, written by SQL.

use crate::database::{Cluster, DatabaseKind};
use crate::monotonic;
use crate::server::Api;
use anyhow::{Context, ensure};
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many rows of each table one statement writes on SQLite.
const CHUNK: u64 = 100_000;
const DAY_MS: u64 = 24 * 3_600_000;
/// How many pages are read to measure one.
const PAGES: usize = 100;

/// The database to which a history is written.
pub struct HistoryTarget<'a> {
    /// The kind of the database.
    pub database: DatabaseKind,
    /// PostgreSQL, and the database's name there.
    pub cluster: Option<(&'a Cluster, &'a str)>,
    /// The directory of the SQLite file.
    pub directory: &'a Path,
}

/// Writes `rows` rows: a third each are events, deliveries and attempts of the one webhook that is there.
pub fn fill(target: &HistoryTarget<'_>, rows: u64) -> anyhow::Result<()> {
    let count = rows / 3;
    if count == 0 {
        return Ok(());
    }
    match (target.database, target.cluster) {
        (DatabaseKind::Postgres, Some((cluster, name))) => cluster.run_on(name, &postgres(count)),
        (DatabaseKind::Postgres, None) => anyhow::bail!("there is no PostgreSQL"),
        (DatabaseKind::Sqlite, _) => sqlite(&target.directory.join("hookgraph.db"), count),
    }
}

/// The median time of one page of the log, at its head and in its middle, in milliseconds.
pub async fn page_ms(api: &mut Api) -> anyhow::Result<(f64, f64)> {
    let text = "query ($after: String) { delivery { getMany(first: 50, after: $after) {
        nodes { id state event { id } attempts { id number } } pageInfo { endCursor } } } }";
    // An id (UUID v7) of two weeks ago: the middle of the history.
    let hex = format!("{:012x}", monotonic::wall_ms() - 14 * DAY_MS);
    let middle = format!("{}-{}-7000-8000-000000000000", &hex[..8], &hex[8..]);
    let mut times = Vec::new();
    for after in [serde_json::Value::Null, json!(middle)] {
        let mut each = Vec::with_capacity(PAGES);
        for _ in 0..PAGES {
            let begun_at_ns = monotonic::now_ns();
            api.ask(text, json!({ "after": after })).await?;
            each.push((monotonic::now_ns() - begun_at_ns) as f64 / 1e6);
        }
        each.sort_by(f64::total_cmp);
        times.push(each[PAGES / 2]);
    }
    Ok((times[0], times[1]))
}

/// The days get their partitions, as a server makes them ahead; then come the rows, and then the statistics of the
/// planner.
fn postgres(count: u64) -> String {
    let ms = format!("(first_ms + n * (28 * 86400000::bigint) / {count})");
    let id = format!("(lpad(to_hex({ms}), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid");
    let source = format!(
        "FROM generate_series(0, {count}::bigint - 1) AS n, \
         (SELECT (extract(epoch FROM now())::bigint - 29 * 86400) * 1000 AS first_ms) AS times, \
         (SELECT id AS tenant_id FROM tenant LIMIT 1) AS t, (SELECT id AS webhook_id FROM webhook LIMIT 1) AS w"
    );
    format!(
        "DO $$ DECLARE day date; low text; high text; tbl text; BEGIN
    FOR days IN 1..30 LOOP
        day := (now() AT TIME ZONE 'utc')::date - days;
        low := lpad(to_hex(extract(epoch FROM day)::bigint * 1000), 12, '0') || repeat('0', 20);
        high := lpad(to_hex(extract(epoch FROM day + 1)::bigint * 1000), 12, '0') || repeat('0', 20);
        FOREACH tbl IN ARRAY ARRAY['event', 'event_skip', 'tombstone', 'delivery', 'payload', 'attempt'] LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                tbl || '_' || to_char(day, 'YYYYMMDD'), tbl, low::uuid, high::uuid);
        END LOOP;
    END LOOP; END $$;
INSERT INTO event {EVENT} SELECT tenant_id, {id}, 'orders', 'update', '{{\"id\":\"' || n || '\",\"userId\":null}}',
    '[]', 'order:' || n, FALSE, {ms} * 1000 {source};
INSERT INTO delivery {DELIVERY} SELECT {id}, tenant_id, webhook_id, {id}, FALSE, TRUE, 'DELIVERED', {ms} * 1000, 1, 1,
    1, 'DEFAULT', {ms} * 1000, {ms} * 1000, {ms} * 1000 {source};
INSERT INTO attempt {ATTEMPT} SELECT webhook_id, {id}, {id}, 1, 'DELIVERED', 'POST', 'http://127.0.0.1/', '[]', '{{}}',
    200, '[]', '', FALSE, {ms} * 1000, {ms} * 1000 + 5000 {source};
ANALYZE event; ANALYZE delivery; ANALYZE attempt;"
    )
}

const EVENT: &str = "(tenant_id, id, concern, event, variables, changed_fields, record_label, is_test, recorded_at_us)";
const DELIVERY: &str = "(id, tenant_id, webhook_id, event_id, is_test, is_fan_out, state, due_since_us, \
     attempts_spent, attempt_count, fencing_token, payload_kind, default_frozen_at_us, created_at_us, updated_at_us)";
const ATTEMPT: &str = "(webhook_id, id, delivery_id, number, code, request_method, request_url, request_headers, \
     request_body, response_status, response_headers, response_body, response_truncated, started_at_us, ended_at_us)";

fn sqlite(file: &Path, count: u64) -> anyhow::Result<()> {
    let mut command = Command::new("sqlite3");
    command.arg(file).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().context("sqlite3 is not installed (on Debian: apt-get install sqlite3)")?;
    let mut input = child.stdin.take().context("its input is piped")?;
    input.write_all(b".bail on\n.timeout 60000\nPRAGMA synchronous = OFF;\n")?;
    let first_ms = monotonic::wall_ms() - 29 * DAY_MS;
    for from in (0..count).step_by(usize::try_from(CHUNK)?) {
        input.write_all(sqlite_chunk(from..count.min(from + CHUNK), count, first_ms).as_bytes())?;
    }
    input.write_all(b"PRAGMA wal_checkpoint(TRUNCATE);\n")?;
    drop(input);
    ensure!(child.wait()?.success(), "sqlite3 failed");
    Ok(())
}

/// A script that writes the rows of these numbers. Ids are written out, because no function of an older `sqlite3`
/// makes a blob of a number.
fn sqlite_chunk(numbers: Range<u64>, count: u64, first_ms: u64) -> String {
    let mut script = String::from("BEGIN IMMEDIATE;\nCREATE TEMP TABLE chunk (n INTEGER, ms INTEGER, id BLOB);\n");
    for n in numbers {
        let ms = first_ms + n * (28 * DAY_MS) / count;
        // Writing to a String cannot fail.
        let _ = writeln!(script, "INSERT INTO chunk VALUES ({n}, {ms}, x'{ms:012x}70008000{n:012x}');");
    }
    let source =
        "FROM chunk, (SELECT id AS tenant_id FROM tenant LIMIT 1), (SELECT id AS webhook_id FROM webhook LIMIT 1)";
    let _ = writeln!(
        script,
        "INSERT INTO event {EVENT} SELECT tenant_id, chunk.id, 'orders', 'update',
    '{{\"id\":\"' || n || '\",\"userId\":null}}', '[]', 'order:' || n, 0, ms * 1000 {source};
INSERT INTO delivery {DELIVERY} SELECT chunk.id, tenant_id, webhook_id, chunk.id, 0, 1, 'DELIVERED', ms * 1000, 1, 1, 1,
    'DEFAULT', ms * 1000, ms * 1000, ms * 1000 {source};
INSERT INTO attempt {ATTEMPT} SELECT webhook_id, chunk.id, chunk.id, 1, 'DELIVERED', 'POST', 'http://127.0.0.1/', '[]',
    '{{}}', 200, '[]', '', 0, ms * 1000, ms * 1000 + 5000 {source};
DROP TABLE chunk;
COMMIT;"
    );
    script
}
