//! Wake-ups between processes: two sets of loops on one PostgreSQL, and a link that is cut.

use crate::rig::{PATIENCE, within};
use hookgraph_domain::ports::{Neighbours, WakeUps};
use hookgraph_server::wake_ups::{self, ProcessWakeUps};
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::PlainVault;
use hookgraph_testkit::postgres::with_postgres;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

struct Linked {
    wake_ups: Arc<ProcessWakeUps>,
    fed: watch::Receiver<()>,
    stopping: CancellationToken,
}

impl Linked {
    /// The wake-ups of a process with a link that listens.
    async fn on(store: &SqlStore) -> Self {
        let wake_ups = Arc::new(ProcessWakeUps::default());
        let mut fed = wake_ups.fed_receiver();
        let stopping = CancellationToken::new();
        let link = store.wake_up_link().expect("PostgreSQL has a link");
        tokio::spawn(wake_ups::run(link, wake_ups.clone(), store.neighbours(), stopping.clone()));
        // A process that begins to listen wakes itself, for wake-ups that it may have missed.
        woken(&mut fed).await;
        Self { wake_ups, fed, stopping }
    }
}

async fn woken(fed: &mut watch::Receiver<()>) {
    within(PATIENCE, "a wake-up", fed.changed()).await.expect("the sender lives");
    fed.mark_unchanged();
}

async fn open(url: &str) -> SqlStore {
    let options = StoreOptions::new(url, Arc::new(PlainVault));
    SqlStore::open(options).await.unwrap()
}

/// Ends every listening connection of the database, and answers how many there were.
async fn cut(administrator: &DatabaseConnection) -> i64 {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE application_name = 'hookgraph listen' AND datname = current_database()";
    let statement = Statement::from_string(administrator.get_database_backend(), sql);
    administrator.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn what_one_process_raises_wakes_another_again_after_its_listening_connection_was_cut() {
    with_postgres(|url| async move {
        let (one_store, other_store) = (open(&url).await, open(&url).await);
        let administrator = sea_orm::Database::connect(&url).await.unwrap();
        let one = Linked::on(&one_store).await;
        let mut other = Linked::on(&other_store).await;

        one.wake_ups.fed();
        woken(&mut other.fed).await;
        assert!(other_store.neighbours().are_active(), "its store knows of the one");

        assert_eq!(cut(&administrator).await, 2);
        // The process wakes itself, for wake-ups that it may have missed.
        woken(&mut other.fed).await;
        one.wake_ups.fed();
        woken(&mut other.fed).await;

        one.stopping.cancel();
        other.stopping.cancel();
    })
    .await;
}

#[tokio::test]
async fn a_process_does_not_wake_itself_a_second_time_through_the_database() {
    with_postgres(|url| async move {
        let (one_store, other_store) = (open(&url).await, open(&url).await);
        let mut one = Linked::on(&one_store).await;
        let mut other = Linked::on(&other_store).await;
        one.wake_ups.fed();
        one.fed.mark_unchanged();
        woken(&mut other.fed).await;
        // PostgreSQL keeps the order: an echo of the first would have come before the answer.
        other.wake_ups.due();
        other.wake_ups.fed();
        woken(&mut one.fed).await;
        assert!(!one.fed.has_changed().unwrap());
    })
    .await;
}

#[tokio::test]
async fn sqlite_has_no_link() {
    assert!(open("sqlite::memory:").await.wake_up_link().is_none());
}
