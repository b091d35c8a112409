//! Migrations: plain SQL, forward only, embedded. `schema_migration` keeps which were applied, with a hash of their
//! text: a history that differs from this binary's, or that is newer, is refused rather than guessed at.

use crate::connections::DatabaseTransaction;
use crate::error::store_error;
use crate::locks::{MIGRATE_LOCK, lock_sql};
use hookgraph_domain::ports::StoreError;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use sha2::{Digest, Sha256};

struct Migration {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

const SQLITE: &[Migration] =
    &[Migration { version: 1, name: "0001_initial", sql: include_str!("../../../migrations/sqlite/0001_initial.sql") }];

const POSTGRES: &[Migration] = &[Migration {
    version: 1,
    name: "0001_initial",
    sql: include_str!("../../../migrations/postgres/0001_initial.sql"),
}];

/// Why the schema was not brought up to date. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database was made by a newer version of hookgraph.
    #[error("the database has migration {version}, this version of hookgraph knows up to {known}: run a newer version")]
    Newer {
        /// The version found.
        version: i64,
        /// The newest version known.
        known: i64,
    },
    /// What was applied is not what this version has under that number.
    #[error("migration {name} was applied with another text than this version of hookgraph has")]
    Changed {
        /// Its name.
        name: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn known(backend: DbBackend) -> &'static [Migration] {
    if backend == DbBackend::Postgres { POSTGRES } else { SQLITE }
}

fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names of the migrations that are not applied yet, oldest first.
pub async fn pending<C: ConnectionTrait>(connection: &C) -> Result<Vec<String>, MigrateError> {
    let applied = if table_exists(connection).await? { applied(connection).await? } else { Vec::new() };
    let pending = check(connection.get_database_backend(), &applied)?;
    Ok(pending.iter().map(|migration| migration.name.to_owned()).collect())
}

/// Applies what is pending and names it; all of it or nothing. Several processes may do so at once.
pub async fn apply(transaction: &DatabaseTransaction) -> Result<Vec<String>, MigrateError> {
    let backend = transaction.get_database_backend();
    if backend == DbBackend::Postgres {
        let unhurried = format!("SET LOCAL statement_timeout = {}", crate::limits::MIGRATE_CALL_MS_MAX);
        transaction.execute_unprepared(&unhurried).await.map_err(store_error)?;
        transaction.execute_unprepared(&lock_sql(MIGRATE_LOCK)).await.map_err(store_error)?;
    }
    if !table_exists(transaction).await? {
        transaction.execute_unprepared(SCHEMA_MIGRATION).await.map_err(store_error)?;
    }
    let applied = applied(transaction).await?;
    let pending = check(backend, &applied)?;
    for migration in pending {
        transaction.execute_unprepared(migration.sql).await.map_err(store_error)?;
        let insert = format!(
            "INSERT INTO schema_migration (version, name, sha256) VALUES ({}, '{}', '{}')",
            migration.version,
            migration.name,
            sha256_hex(migration.sql)
        );
        transaction.execute_unprepared(&insert).await.map_err(store_error)?;
    }
    Ok(pending.iter().map(|migration| migration.name.to_owned()).collect())
}

const SCHEMA_MIGRATION: &str = "CREATE TABLE schema_migration (
    version BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL
)";

async fn table_exists<C: ConnectionTrait>(connection: &C) -> Result<bool, StoreError> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "SELECT 1 WHERE to_regclass('schema_migration') IS NOT NULL",
        _ => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migration'",
    };
    let found = connection.query_one_raw(Statement::from_string(backend, sql)).await.map_err(store_error)?;
    Ok(found.is_some())
}

async fn applied<C: ConnectionTrait>(connection: &C) -> Result<Vec<(i64, String, String)>, StoreError> {
    let sql = "SELECT version, name, sha256 FROM schema_migration ORDER BY version";
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.map_err(store_error)?;
    rows.iter()
        .map(|row| Ok((row.try_get_by(0)?, row.try_get_by(1)?, row.try_get_by(2)?)))
        .collect::<Result<_, sea_orm::DbErr>>()
        .map_err(store_error)
}

/// What is left to do after that history, if it is a beginning of ours.
fn check(backend: DbBackend, applied: &[(i64, String, String)]) -> Result<&'static [Migration], MigrateError> {
    let known = known(backend);
    for (index, (version, name, sha256)) in applied.iter().enumerate() {
        let Some(migration) = known.get(index) else {
            return Err(MigrateError::Newer { version: *version, known: known.last().map_or(0, |last| last.version) });
        };
        if migration.version != *version || sha256_hex(migration.sql) != *sha256 {
            return Err(MigrateError::Changed { name: name.clone() });
        }
    }
    Ok(&known[applied.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> Vec<(i64, String, String)> {
        SQLITE.iter().map(|one| (one.version, one.name.to_owned(), sha256_hex(one.sql))).collect()
    }

    #[test]
    fn a_newer_history_is_refused() {
        let mut history = history();
        history.push((999, "0999_later".to_owned(), String::new()));
        assert!(matches!(check(DbBackend::Sqlite, &history), Err(MigrateError::Newer { version: 999, .. })));
    }

    #[test]
    fn a_changed_history_is_refused() {
        let mut history = history();
        history[0].2 = "0".repeat(64);
        assert!(matches!(check(DbBackend::Sqlite, &history), Err(MigrateError::Changed { .. })));
    }

    #[test]
    fn both_databases_have_the_same_migrations() {
        let names = |all: &[Migration]| all.iter().map(|one| (one.version, one.name)).collect::<Vec<_>>();
        assert_eq!(names(SQLITE), names(POSTGRES));
    }
}
