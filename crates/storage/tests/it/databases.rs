//! One case on both databases, and a way around the store to either.

use sea_orm::sqlx::{self, Connection, PgConnection, SqliteConnection};

/// Runs statements on the database with that URL.
pub async fn run(url: &str, sql: &str) {
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
}

/// Tests of cases that get the URL of a new database.
macro_rules! on_both_databases {
    ($($fact:ident: $on_sqlite:ident, $on_postgresql:ident;)*) => {$(
        #[tokio::test]
        async fn $on_sqlite() {
            let directory = tempfile::tempdir().unwrap();
            $fact(format!("sqlite://{}?mode=rwc", directory.path().join("hookgraph.db").display())).await;
        }

        #[tokio::test]
        async fn $on_postgresql() {
            hookgraph_testkit::postgres::with_postgres(|url| async move { $fact(url).await }).await;
        }
    )*};
}
