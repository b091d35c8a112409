//! The conformance suite on PostgreSQL.

use hookgraph_domain::ports::Store;
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::PlainVault;
use hookgraph_testkit::postgres::with_postgres;
use std::sync::Arc;

async fn run<F, Fut>(case: F)
where
    F: FnOnce(Arc<dyn Store>) -> Fut,
    Fut: Future<Output = ()>,
{
    with_postgres(|url| async move {
        let options = StoreOptions::new(url, Arc::new(PlainVault));
        let store = SqlStore::open(options).await.unwrap();
        store.migrate().await.unwrap();
        case(Arc::new(store.clone())).await;
        store.close().await.unwrap();
    })
    .await;
}

hookgraph_testkit::conformance_suite!(run);
