//! The conformance suite on the fake.

use hookgraph_domain::ports::Store;
use hookgraph_testkit::MemoryStore;
use std::sync::Arc;

async fn run<F, Fut>(case: F)
where
    F: FnOnce(Arc<dyn Store>) -> Fut,
    Fut: Future<Output = ()>,
{
    case(Arc::new(MemoryStore::default())).await;
}

hookgraph_testkit::conformance_suite!(run);
