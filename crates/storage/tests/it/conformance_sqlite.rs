//! The conformance suite on SQLite, in a file as in production.

use hookgraph_domain::ports::Store;
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::PlainVault;
use std::sync::Arc;

async fn run<F, Fut>(case: F)
where
    F: FnOnce(Arc<dyn Store>) -> Fut,
    Fut: Future<Output = ()>,
{
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", directory.path().join("hookgraph.db").display());
    let options = StoreOptions::new(url, Arc::new(PlainVault));
    let store = SqlStore::open(options).await.unwrap();
    store.migrate().await.unwrap();
    case(Arc::new(store)).await;
}

hookgraph_testkit::conformance_suite!(run);
