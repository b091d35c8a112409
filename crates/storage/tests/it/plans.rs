//! Every statement of the loops finds its rows by an index, on both databases, however long the history is.

use hookgraph_storage::plans;
use hookgraph_testkit::postgres::with_postgres;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

async fn plan(connection: &DatabaseConnection, statement: Statement) -> String {
    let backend = connection.get_database_backend();
    let explain = if backend == DbBackend::Postgres { "EXPLAIN" } else { "EXPLAIN QUERY PLAN" };
    let sql = format!("{explain} {}", statement.sql);
    let values = statement.values.map(|values| values.0).unwrap_or_default();
    let rows = connection.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await.unwrap();
    let column = if backend == DbBackend::Postgres { 0 } else { 3 };
    let lines: Vec<String> = rows.iter().map(|row| row.try_get_by_index(column).unwrap()).collect();
    lines.join("\n")
}

#[tokio::test]
async fn hot_statements_use_their_indexes_on_sqlite() {
    let connection = Database::connect("sqlite::memory:").await.unwrap();
    connection.execute_unprepared(include_str!("../../../../migrations/sqlite/0001_initial.sql")).await.unwrap();
    for (statement, indexes) in plans::hot_statements(DbBackend::Sqlite) {
        let plan = plan(&connection, statement).await;
        for index in indexes {
            assert!(plan.contains(index), "{index} is not used:\n{plan}");
        }
        for table in [
            "due",
            "delivery",
            "head",
            "row",
            "next",
            "event",
            "attempt",
            "feed",
            "record",
            "old",
            "first",
            "payload",
            "event_skip",
            "tombstone",
            "audit_entry",
            "replay",
            "copy_task",
        ] {
            let scan = format!("SCAN {table}");
            let scans_all = plan.lines().any(|line| line.ends_with(&scan));
            assert!(!scans_all, "{table} is read as a whole:\n{plan}");
        }
    }
}

#[tokio::test]
async fn hot_statements_use_their_indexes_on_postgresql() {
    with_postgres(|url| async move {
        let mut options = sea_orm::ConnectOptions::new(url);
        options.max_connections(1);
        let connection = Database::connect(options).await.unwrap();
        connection.execute_unprepared(include_str!("../../../../migrations/postgres/0001_initial.sql")).await.unwrap();
        // On empty tables a scan is cheapest: the question is whether an index can serve the statement at all.
        connection.execute_unprepared("SET enable_seqscan = off").await.unwrap();
        for (statement, indexes) in plans::hot_statements(DbBackend::Postgres) {
            let plan = plan(&connection, statement).await;
            for index in indexes {
                assert!(plan.contains(index), "{index} is not used:\n{plan}");
            }
            assert!(!plan.contains("Seq Scan"), "{plan}");
        }
        connection.close().await.unwrap();
    })
    .await;
}
