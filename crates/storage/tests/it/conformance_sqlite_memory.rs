//! The conformance suite on SQLite in memory, which the tests of other crates use.

use hookgraph_domain::ports::Store;
use hookgraph_storage::SqlStore;
use hookgraph_testkit::PlainVault;
use std::sync::Arc;

async fn run<F, Fut>(case: F)
where
    F: FnOnce(Arc<dyn Store>) -> Fut,
    Fut: Future<Output = ()>,
{
    let store = SqlStore::in_memory(Arc::new(PlainVault)).await.unwrap();
    case(Arc::new(store)).await;
}

hookgraph_testkit::conformance_suite!(run);
