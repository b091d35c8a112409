//! The databases on which the features are shown: SQLite in a file, and a new database on the throw-away PostgreSQL.

use super::Installation;
use anyhow::Context;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// A file in the installation's directory.
    Sqlite,
    /// A new database on the instance that `HOOKGRAPH_TEST_POSTGRES` names.
    Postgres,
}

/// Runs a test on an installation on an empty database of that kind.
///
/// # Errors
/// The test's.
pub async fn on<F>(database: Database, test: F) -> anyhow::Result<()>
where
    F: AsyncFn(Installation) -> anyhow::Result<()>,
{
    match database {
        Database::Sqlite => test(Installation::on_sqlite()?).await,
        Database::Postgres => {
            hookgraph_testkit::postgres::with_postgres(async |url| test(Installation::on_postgres(url)?).await).await
        }
    }
    .with_context(|| format!("on {database:?}"))
}

/// Runs a test on both kinds of database.
///
/// # Errors
/// The test's.
pub async fn on_both<F>(test: F) -> anyhow::Result<()>
where
    F: AsyncFn(Installation) -> anyhow::Result<()>,
{
    on(Database::Sqlite, &test).await?;
    on(Database::Postgres, &test).await
}
