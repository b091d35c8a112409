use super::*;
use crate::limits::{CONNECTION_IDLE_MS_MAX, CONNECTION_LIFETIME_MS_MAX, POSTGRES_IDLE_TRUSTED_MS};
use hookgraph_testkit::postgres::with_postgres;
use sea_orm::{ConnectOptions, Database};
use tokio::time::Instant;

const CALL_MS_MAX: u64 = 10_000;

async fn pool(url: &str, connections_max: u32) -> Pool {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections_max).min_connections(0).sqlx_logging(false);
    options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
    options.map_sqlx_postgres_pool_opts(opens_only);
    Pool::new(Database::connect(options).await.unwrap(), CALL_MS_MAX)
}

async fn number(connection: &impl ConnectionTrait, sql: &str) -> i64 {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

const BACKEND: &str = "SELECT pg_backend_pid()::bigint";

/// Moves the clock without waiting.
async fn passes(ms: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(ms)).await;
    tokio::time::resume();
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_as_busy() {
    let call = std::future::pending::<Result<(), sqlx::Error>>();
    let begun_at = Instant::now();
    let error = own_in_time(10_000, call).await.expect_err("no answer");
    assert_eq!(begun_at.elapsed(), Duration::from_secs(10));
    assert!(matches!(&error, StoreError::Busy(text) if text.contains("no answer in 10000 ms")), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_connection_goes_from_hand_to_hand_until_it_is_old() {
    with_postgres(|url| async move {
        let pool = pool(&url, 4).await;
        let first = number(&pool, BACKEND).await;
        let transaction = pool.begin().await.unwrap();
        assert_eq!(number(&transaction, BACKEND).await, first);
        transaction.commit().await.unwrap();
        passes(POSTGRES_IDLE_TRUSTED_MS).await;
        assert_eq!((number(&pool, BACKEND).await, pool.idle_count()), (first, 1), "asked, and used again");

        passes(CONNECTION_LIFETIME_MS_MAX).await;
        assert_eq!((number(&pool, BACKEND).await, pool.idle_count()), (first, 0), "closed after its last use");
        assert_ne!(number(&pool, BACKEND).await, first);
        pool.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn one_that_nobody_uses_is_closed_after_a_while() {
    with_postgres(|url| async move {
        let pool = pool(&url, 4).await;
        let (one, other) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
        one.commit().await.unwrap();
        other.commit().await.unwrap();
        assert_eq!(pool.idle_count(), 2);
        passes(CONNECTION_IDLE_MS_MAX).await;
        pool.begin().await.unwrap().commit().await.unwrap();
        assert_eq!(pool.idle_count(), 1);
        pool.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn those_that_ended_while_nobody_used_them_are_no_error() {
    with_postgres(|url| async move {
        let (pool, outside) = (pool(&url, 4).await, pool(&url, 1).await);
        let end_all = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for reads in [false, true] {
            let open = [pool.begin().await.unwrap(), pool.begin().await.unwrap(), pool.begin().await.unwrap()];
            for transaction in open {
                transaction.commit().await.unwrap();
            }
            assert_eq!((pool.idle_count(), number(&outside, end_all).await), (3, 3));
            passes(POSTGRES_IDLE_TRUSTED_MS).await;
            if reads {
                number(&pool, BACKEND).await;
            } else {
                pool.begin_locked(1).await.unwrap().commit().await.unwrap();
            }
            assert_eq!(pool.idle_count(), 1, "the dead ones are gone");
            pool.begin().await.unwrap().commit().await.unwrap();
        }
        pool.close().await.unwrap();
        outside.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_given_up_is_undone_before_the_connection_is_used_again() {
    with_postgres(|url| async move {
        let (pool, outside) = (pool(&url, 1).await, pool(&url, 1).await);
        outside.execute_unprepared("CREATE TABLE kept (id BIGINT PRIMARY KEY)").await.unwrap();
        let first = number(&pool, BACKEND).await;
        let dropped = pool.begin().await.unwrap();
        dropped.execute_unprepared("INSERT INTO kept VALUES (1)").await.unwrap();
        drop(dropped);
        let refused = pool.begin_locked(7).await.unwrap();
        refused.execute_unprepared("INSERT INTO kept VALUES (2)").await.unwrap();
        refused.execute_unprepared("INSERT INTO kept VALUES (2)").await.unwrap_err();
        refused.end_with("INSERT INTO kept VALUES (3); COMMIT").await.unwrap_err();
        // Broken off in the middle of a call that waits for another's row.
        let holder = outside.begin().await.unwrap();
        holder.execute_unprepared("INSERT INTO kept VALUES (4)").await.unwrap();
        let broken_off = pool.begin().await.unwrap();
        let mut waits = Box::pin(broken_off.execute_unprepared("INSERT INTO kept VALUES (4)"));
        assert!(futures::poll!(&mut waits).is_pending());
        drop(waits);
        drop(broken_off);
        holder.rollback().await.unwrap();

        let again = pool.begin_locked(7).await.unwrap();
        assert_eq!(number(&again, BACKEND).await, first, "the same connection");
        again.end_with("INSERT INTO kept VALUES (5); COMMIT").await.unwrap();
        assert_eq!(number(&outside, "SELECT sum(id)::bigint FROM kept").await, 5);
        pool.close().await.unwrap();
        outside.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_closed_pool_gives_out_nothing_and_waits_for_what_it_gave() {
    with_postgres(|url| async move {
        let pool = pool(&url, 2).await;
        let open = pool.begin().await.unwrap();
        let mut closing = Box::pin(pool.close());
        assert!(futures::poll!(&mut closing).is_pending());
        assert!(matches!(pool.begin().await, Err(DbErr::ConnectionAcquire(_))));
        open.commit().await.unwrap();
        closing.await.unwrap();
    })
    .await;
}
