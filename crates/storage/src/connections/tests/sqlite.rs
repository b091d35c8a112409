//! Statements that are sent ahead of another one of SQLite, and what becomes of the connection where any of them fails.

use super::*;
use sea_orm::sea_query::Value;

/// A pool of one connection that does not wait for a lock.
async fn sqlite_pool(url: &str) -> Pool {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).min_connections(0).sqlx_logging(false);
    options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
    options.map_sqlx_sqlite_opts(|options| options.busy_timeout(Duration::ZERO));
    options.map_sqlx_sqlite_pool_opts(opens_only);
    Pool::new(Database::connect(options).await.unwrap(), CALL_MS_MAX)
}

/// A database in memory, which is gone with its connection: a row that is found later shows that the connection is the
/// same.
async fn pool_in_memory() -> Pool {
    let pool = sqlite_pool("sqlite::memory:").await;
    pool.execute_unprepared("CREATE TABLE kept (id INTEGER PRIMARY KEY)").await.unwrap();
    pool
}

fn statement(sql: &str, values: &[i64]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, values.iter().map(|value| Value::from(*value)))
}

fn insert(id: i64) -> Statement {
    statement("INSERT INTO kept VALUES (?)", &[id])
}

const SUM: &str = "SELECT coalesce(sum(id), 0) FROM kept";

#[tokio::test]
async fn what_goes_ahead_goes_with_the_next_statement() {
    let pool = pool_in_memory().await;
    let before = pool.sent_count();
    let sent = || pool.sent_count() - before;
    let transaction = pool.begin().await.unwrap();
    transaction.execute_ahead(insert(1)).await.unwrap();
    transaction.execute_ahead(insert(2)).await.unwrap();
    assert_eq!(sent(), 0);
    assert_eq!((number(&transaction, SUM).await, sent()), (3, 1), "in its order, and seen");

    transaction.execute_ahead(insert(3)).await.unwrap();
    let raise = statement("UPDATE kept SET id = id + $2 WHERE id >= $1", &[2, 10]);
    transaction.execute_ahead(raise).await.unwrap();
    let removed = transaction.execute_raw(statement("DELETE FROM kept WHERE id = $1", &[13])).await.unwrap();
    assert_eq!((removed.rows_affected(), sent()), (1, 2), "what the last one touched");
    assert_eq!((number(&transaction, SUM).await, sent()), (13, 3));

    transaction.execute_ahead(statement("DELETE FROM kept WHERE id = $1", &[1])).await.unwrap();
    transaction.execute_ahead(insert(20)).await.unwrap();
    assert_eq!(sent(), 4, "what is numbered goes ahead of nothing that is not");
    transaction.commit().await.unwrap();
    assert_eq!((sent(), number(&pool, SUM).await), (5, 32));
}

#[tokio::test]
async fn what_was_never_sent_costs_nothing() {
    let pool = pool_in_memory().await;
    let before = pool.sent_count();
    for undoes in [true, false] {
        let transaction = pool.begin().await.unwrap();
        transaction.execute_ahead(insert(1)).await.unwrap();
        if undoes { transaction.rollback().await.unwrap() } else { drop(transaction) }
    }
    assert_eq!((pool.sent_count(), pool.idle_count()), (before, 1));
    assert_eq!(number(&pool, SUM).await, 0);
}

#[tokio::test]
async fn a_text_of_which_a_statement_fails_is_undone_as_a_whole() {
    let pool = pool_in_memory().await;
    for undoes in [true, false] {
        let failed = pool.begin().await.unwrap();
        failed.execute_raw(insert(1)).await.unwrap();
        failed.execute_ahead(insert(2)).await.unwrap();
        failed.execute_ahead(insert(2)).await.unwrap();
        let error = store_error(failed.execute_raw(insert(3)).await.unwrap_err());
        assert!(matches!(error, StoreError::Rejected(_)), "{error}");
        failed.execute_raw(insert(4)).await.unwrap_err();
        failed.execute_ahead(insert(4)).await.unwrap_err();
        failed.execute_unprepared("INSERT INTO kept VALUES (4)").await.unwrap_err();
        if undoes {
            failed.rollback().await.unwrap();
        } else {
            let error = failed.commit().await.unwrap_err();
            assert!(error.to_string().contains("not committed"), "{error}");
        }
        assert_eq!(number(&pool, SUM).await, 0);
    }
    // The commit fails more than once, so the prepared statement can be used again after a failure.
    for _ in 0..2 {
        let failed = pool.begin().await.unwrap();
        failed.execute_ahead(insert(1)).await.unwrap();
        failed.execute_ahead(insert(1)).await.unwrap();
        failed.commit().await.unwrap_err();
        assert_eq!(number(&pool, SUM).await, 0);
    }
    let kept = pool.begin().await.unwrap();
    kept.execute_ahead(insert(1)).await.unwrap();
    kept.execute_ahead(insert(4)).await.unwrap();
    kept.commit().await.unwrap();
    assert_eq!(number(&pool, SUM).await, 5);
}

#[tokio::test]
async fn a_transaction_that_sqlite_undid_is_undone_without_an_error() {
    let pool = pool_in_memory().await;
    let undone = pool.begin().await.unwrap();
    undone.execute_raw(insert(1)).await.unwrap();
    undone.execute_unprepared("ROLLBACK").await.unwrap();
    undone.rollback().await.unwrap();
    assert_eq!((pool.idle_count(), number(&pool, SUM).await), (1, 0));
}

#[tokio::test]
async fn a_beginning_that_finds_the_database_taken_leaves_its_connection_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("h.db").display());
    let (holder, waiter) = (sqlite_pool(&url).await, sqlite_pool(&url).await);
    holder.execute_unprepared("CREATE TABLE kept (id INTEGER PRIMARY KEY)").await.unwrap();
    let held = holder.begin().await.unwrap();
    held.execute_raw(insert(1)).await.unwrap();
    for undoes in [true, false] {
        let refused = waiter.begin().await.unwrap();
        refused.execute_ahead(insert(2)).await.unwrap();
        let error = store_error(refused.execute_raw(insert(3)).await.unwrap_err());
        assert!(matches!(error, StoreError::Busy(_)), "{error}");
        // The statement would run in no transaction.
        refused.execute_raw(insert(3)).await.unwrap_err();
        if undoes { refused.rollback().await.unwrap() } else { drop(refused) }
    }
    held.commit().await.unwrap();
    let begun = waiter.begin().await.unwrap();
    begun.execute_ahead(insert(4)).await.unwrap();
    begun.commit().await.unwrap();
    assert_eq!(number(&holder, SUM).await, 5);
    holder.close().await.unwrap();
    waiter.close().await.unwrap();
}

#[tokio::test]
async fn what_is_broken_off_in_the_middle_of_a_text_is_undone() {
    let pool = pool_in_memory().await;
    for id in 1..=20 {
        let broken_off = pool.begin().await.unwrap();
        broken_off.execute_ahead(insert(id)).await.unwrap();
        broken_off.execute_ahead(insert(id + 100)).await.unwrap();
        let mut inserts = Box::pin(broken_off.execute_raw(insert(id + 200)));
        // The poll may have run any number of the statements.
        let _ = futures::poll!(&mut inserts);
        drop(inserts);
        drop(broken_off);
    }
    let kept = pool.begin().await.unwrap();
    assert_eq!(number(&kept, SUM).await, 0);
    kept.execute_ahead(insert(7)).await.unwrap();
    kept.commit().await.unwrap();
    assert_eq!(number(&pool, SUM).await, 7);
}
