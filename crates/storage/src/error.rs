//! From what a database says to what a caller can do about it.

use hookgraph_domain::ports::StoreError;
use sea_orm::sqlx;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// A row that cannot be read.
pub fn corrupt(what: &str, detail: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {detail}"))
}

/// Sorts a database's failure: worth another try, out of room, or broken.
pub fn store_error(error: DbErr) -> StoreError {
    match &error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => StoreError::Busy(error.to_string()),
        // A call that this crate gave up: see `connections`.
        DbErr::Conn(RuntimeErr::Internal(text)) => StoreError::Busy(text.clone()),
        DbErr::Conn(RuntimeErr::SqlxError(inner))
        | DbErr::Exec(RuntimeErr::SqlxError(inner))
        | DbErr::Query(RuntimeErr::SqlxError(inner)) => of_sqlx(inner),
        DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}

fn of_sqlx(error: &sqlx::Error) -> StoreError {
    let text = error.to_string();
    match error {
        // Nobody knows what the connection's thread did before it ended.
        sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => StoreError::Busy(text),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            StoreError::Corrupt(text)
        }
        sqlx::Error::Database(inner) => {
            let code = inner.code().unwrap_or_default();
            if inner.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                of_sqlite(&code, text)
            } else {
                of_postgres(&code, text)
            }
        }
        _ => StoreError::Failed(text),
    }
}

/// Result codes of <https://sqlite.org/rescode.html>: the low byte is the primary one.
fn of_sqlite(code: &str, text: String) -> StoreError {
    match code.parse::<u32>().map(|code| code & 0xff) {
        // BUSY, LOCKED
        Ok(5 | 6) => StoreError::Busy(text),
        // READONLY, FULL
        Ok(8 | 13) => StoreError::Full(text),
        // CORRUPT, NOTADB
        Ok(11 | 26) => StoreError::Corrupt(text),
        // TOOBIG, CONSTRAINT, MISMATCH: the statement itself. The same one never goes through.
        Ok(18..=20) => StoreError::Rejected(text),
        _ => StoreError::Failed(text),
    }
}

/// SQLSTATEs of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn of_postgres(code: &str, text: String) -> StoreError {
    match code {
        // lock_not_available: what takes too long itself is busy, and is told apart from what someone else holds.
        "55P03" => StoreError::Locked(text),
        // serialization_failure, deadlock_detected, query_canceled (by a timeout of ours),
        // idle_in_transaction_session_timeout
        "40001" | "40P01" | "57014" | "25P03" => StoreError::Busy(text),
        // too_many_connections, admin_shutdown, crash_shutdown, cannot_connect_now
        "53300" | "57P01" | "57P02" | "57P03" => StoreError::Busy(text),
        // disk_full, read_only_sql_transaction
        "53100" | "25006" => StoreError::Full(text),
        // data_corrupted, index_corrupted
        "XX001" | "XX002" => StoreError::Corrupt(text),
        // The statement itself: a text it cannot hold, a bound of its own. The same one never goes through.
        code if code.starts_with("22") || code.starts_with("23") || code.starts_with("54") => {
            StoreError::Rejected(text)
        }
        _ => StoreError::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_database_is_busy_and_a_full_one_is_full() {
        assert!(matches!(of_sqlite("5", String::new()), StoreError::Busy(_)));
        assert!(matches!(of_sqlite("517", String::new()), StoreError::Busy(_)));
        assert!(matches!(of_sqlite("13", String::new()), StoreError::Full(_)));
        assert!(matches!(of_sqlite("778", String::new()), StoreError::Failed(_)));
        assert!(matches!(of_sqlite("1555", String::new()), StoreError::Rejected(_)), "a key that is taken");
        assert!(matches!(of_postgres("40P01", String::new()), StoreError::Busy(_)));
        assert!(matches!(of_postgres("57014", String::new()), StoreError::Busy(_)), "cut off by its own time");
        let held = of_postgres("55P03", String::new());
        assert!(matches!(held, StoreError::Locked(_)) && held.is_retryable());
        assert!(matches!(of_postgres("53100", String::new()), StoreError::Full(_)));
        for code in ["22021", "23514", "54000"] {
            let error = of_postgres(code, String::new());
            assert!(matches!(error, StoreError::Rejected(_)) && !error.is_retryable(), "{code}");
        }
    }
}
