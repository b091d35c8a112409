//! A database for one test, on the throw-away PostgreSQL that `make test` starts.

use futures::FutureExt;
use sea_orm::{ConnectionTrait, Database};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The variable with the administrator's URL of an instance on which tests may make databases.
pub const URL_VARIABLE: &str = "HOOKGRAPH_TEST_POSTGRES";

static DATABASE_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Runs a test with the URL of an empty database, which is dropped afterwards, also when the test panics.
///
/// # Panics
/// When the variable is missing: a test of PostgreSQL is never skipped in silence.
pub async fn with_postgres<T, F, Fut>(test: F) -> T
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = T>,
{
    let Ok(admin_url) = std::env::var(URL_VARIABLE) else {
        panic!("this test needs PostgreSQL: run `make test`, or set {URL_VARIABLE} (see tests/postgres.sh)");
    };
    let name = format!("hg_{}_{}", std::process::id(), DATABASE_COUNT.fetch_add(1, Ordering::SeqCst));
    execute(&admin_url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    execute(&admin_url, &format!("CREATE DATABASE {name}")).await;
    let result = AssertUnwindSafe(test(url_of(&admin_url, &name))).catch_unwind().await;
    execute(&admin_url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

async fn execute(url: &str, sql: &str) {
    let connection = Database::connect(url).await.expect("the PostgreSQL of the tests answers");
    connection.execute_unprepared(sql).await.expect(sql);
    connection.close().await.expect("close");
}

/// The administrator's URL with another database.
fn url_of(admin_url: &str, name: &str) -> String {
    let (server, parameters) = admin_url.split_once('?').unwrap_or((admin_url, ""));
    let server = server.rsplit_once('/').map_or(server, |(server, _)| server);
    let question_mark = if parameters.is_empty() { "" } else { "?" };
    format!("{server}/{name}{question_mark}{parameters}")
}
