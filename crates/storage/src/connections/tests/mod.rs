//! The pool: which caller gets a connection, when a connection is closed, and what becomes of one whose call was given
//! up.

mod road;
mod sqlite;

use super::*;
use crate::limits::{
    CONNECTION_IDLE_MS_MAX, CONNECTION_LIFETIME_MS_MAX, POSTGRES_IDLE_TRUSTED_MS, POSTGRES_PING_MS_MAX,
};
use hookgraph_testkit::postgres::with_postgres;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{ConnectOptions, Database};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
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
        refused.commit_with("INSERT INTO kept VALUES (3); COMMIT").await.unwrap_err();
        // The call is broken off while it waits for a row of another transaction; then it would succeed, or be refused.
        for ends_well in [true, false] {
            let holder = outside.begin().await.unwrap();
            holder.execute_unprepared("INSERT INTO kept VALUES (4)").await.unwrap();
            let broken_off = pool.begin().await.unwrap();
            let mut waits = Box::pin(broken_off.execute_unprepared("INSERT INTO kept VALUES (4)"));
            while number(&holder, "SELECT count(*) FROM pg_locks WHERE NOT granted").await == 0 {
                assert!(futures::poll!(&mut waits).is_pending());
            }
            drop(waits);
            drop(broken_off);
            if ends_well { holder.rollback().await.unwrap() } else { holder.commit().await.unwrap() }
        }

        let again = pool.begin_locked(7).await.unwrap();
        assert_eq!(number(&again, BACKEND).await, first, "the same connection");
        again.commit_with("INSERT INTO kept VALUES (5); COMMIT").await.unwrap();
        assert_eq!(number(&outside, "SELECT sum(id)::bigint FROM kept").await, 9, "4 of the holder, and 5");
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

#[tokio::test]
async fn a_transaction_of_which_a_statement_failed_is_not_committed() {
    with_postgres(|url| async move {
        let pool = pool(&url, 1).await;
        let failed = pool.begin().await.unwrap();
        failed.execute_unprepared("SELECT 1 / 0").await.unwrap_err();
        let error = failed.commit().await.unwrap_err();
        assert!(error.to_string().contains("not committed"), "{error}");
        pool.begin().await.unwrap().commit().await.unwrap();
        pool.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_transaction_of_which_a_statement_took_too_long_is_not_committed() {
    with_postgres(|url| async move {
        let pool = pool(&url, 2).await;
        let (holder, waiter) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
        holder.execute_unprepared("SELECT pg_advisory_xact_lock(1)").await.unwrap();
        // The paused clock advances by itself once every task waits.
        tokio::time::pause();
        let error = waiter.execute_unprepared("SELECT pg_advisory_xact_lock(1)").await.unwrap_err();
        tokio::time::resume();
        assert!(store_error(error).is_retryable());
        holder.commit().await.unwrap();
        waiter.execute_unprepared("SELECT 1").await.unwrap();
        let error = waiter.commit().await.unwrap_err();
        assert!(error.to_string().contains("not committed"), "{error}");
    })
    .await;
}

/// A proxy to PostgreSQL that can stop forwarding, so that no call is answered any more.
struct Way {
    url: String,
    swallows: watch::Sender<bool>,
}

impl Way {
    async fn to(url: &str) -> Self {
        let target: PgConnectOptions = url.parse().unwrap();
        let address = format!("{}:{}", target.get_host(), target.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = url.replace(&address, &listener.local_addr().unwrap().to_string());
        let (swallows, forgotten) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (address, mut forgotten) = (address.clone(), forgotten.clone());
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(address).await.unwrap();
                    let forgets = async { forgotten.wait_for(|swallows| *swallows).await.map(|_| ()) };
                    tokio::select! {
                        biased;
                        _ = forgets => std::future::pending().await,
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                    }
                });
            }
        });
        Self { url: own, swallows }
    }
}

#[tokio::test]
async fn whoever_leaves_while_a_connection_is_asked_leaves_no_dead_one_to_the_next() {
    with_postgres(|url| async move {
        let way = Way::to(&url).await;
        let pool = pool(&way.url, 3).await;
        let open = [pool.begin().await.unwrap(), pool.begin().await.unwrap()];
        for transaction in open {
            transaction.commit().await.unwrap();
        }
        passes(POSTGRES_IDLE_TRUSTED_MS).await;
        way.swallows.send(true).unwrap();
        for _ in 0..2 {
            let mut asks = Box::pin(pool.execute_unprepared("SELECT 1"));
            assert!(futures::poll!(&mut asks).is_pending());
        }
        assert_eq!(pool.idle_count(), 0, "neither is trusted before it answered");
    })
    .await;
}

#[tokio::test]
async fn silence_is_found_once_and_a_call_ends_within_its_limit() {
    with_postgres(|url| async move {
        let way = Way::to(&url).await;
        // More connections than could be pinged one after the other within the limit of a call.
        let idle_count = (CALL_MS_MAX / POSTGRES_PING_MS_MAX) as usize + 1;
        let pool = pool(&way.url, 8).await;
        let mut open = Vec::new();
        for _ in 0..idle_count {
            open.push(pool.begin().await.unwrap());
        }
        for transaction in open {
            transaction.commit().await.unwrap();
        }
        assert_eq!(pool.idle_count(), idle_count);
        passes(POSTGRES_IDLE_TRUSTED_MS).await;
        way.swallows.send(true).unwrap();
        // From here on nothing answers, so the paused clock advances by itself.
        tokio::time::pause();
        let begun_at = Instant::now();
        let error = pool.begin().await.err().unwrap();
        // The clock's resolution is a millisecond.
        let took = begun_at.elapsed().as_millis();
        assert!((u128::from(CALL_MS_MAX)..=u128::from(CALL_MS_MAX) + 1).contains(&took), "{took}");
        assert!(store_error(error).is_retryable());
        assert_eq!(pool.idle_count(), 0, "those that were idle meanwhile are gone, unasked");
        tokio::time::resume();
    })
    .await;
}

#[tokio::test]
async fn a_database_in_memory_survives_what_is_given_up() {
    let pool = Pool::new(Database::connect(in_memory()).await.unwrap(), CALL_MS_MAX);
    pool.execute_unprepared("CREATE TABLE kept (id INTEGER PRIMARY KEY)").await.unwrap();
    let inserts =
        |id: i64| Statement::from_sql_and_values(DbBackend::Sqlite, "INSERT INTO kept VALUES ($1)", [id.into()]);
    for id in 1..=20 {
        // The call is broken off at any point.
        let broken_off = pool.begin().await.unwrap();
        let mut call = Box::pin(broken_off.execute_raw(inserts(id)));
        let _ = futures::poll!(&mut call);
        drop(call);
        drop(broken_off);
        let refused = pool.begin().await.unwrap();
        refused.execute_raw(inserts(0)).await.unwrap();
        // The text is the same each time, so it is prepared once; its second statement fails.
        let sql = "INSERT INTO kept VALUES ($1); INSERT INTO kept VALUES ($2); COMMIT";
        let twice =
            |one: i64, other: i64| Statement::from_sql_and_values(DbBackend::Sqlite, sql, [one.into(), other.into()]);
        refused.commit_with_values(twice(id, 0)).await.unwrap_err();
        pool.begin().await.unwrap().commit_with_values(twice(100 + id, 200 + id)).await.unwrap();
    }
    assert_eq!(number(&pool, "SELECT count(*) FROM kept").await, 40);
    assert_eq!(number(&pool, "SELECT min(id) FROM kept").await, 101, "nothing of what was given up");
    pool.close().await.unwrap();
}

#[test]
fn a_connection_that_goes_back_where_no_runtime_is_stays() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pool = runtime.block_on(async { Pool::new(Database::connect(in_memory()).await.unwrap(), CALL_MS_MAX) });
    runtime.block_on(pool.execute_unprepared("CREATE TABLE kept (id INTEGER)")).unwrap();
    let connection = runtime.block_on(pool.kept.take()).unwrap();
    drop(connection);
    assert_eq!(runtime.block_on(number(&pool, "SELECT count(*) FROM kept")), 0);
}

fn in_memory() -> ConnectOptions {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).min_connections(0).sqlx_logging(false);
    options.idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
    options.map_sqlx_sqlite_pool_opts(opens_only);
    options
}
