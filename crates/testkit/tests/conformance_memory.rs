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

// Until the databases' claims keep to them too.
hookgraph_testkit::conformance_cases! { run,
    flow_claims: [
        a_webhooks_own_concurrency_bounds_what_is_in_flight,
        a_claim_keeps_to_the_limits_of_webhooks,
        a_claim_takes_no_more_retries_than_it_may,
        a_later_event_of_a_record_waits_for_the_earlier_ones_end,
    ],
}
