//! Panics, kept where they happen: none of them may end a loop.

use futures::FutureExt;
use hookgraph_domain::ports::StoreError;
use std::panic::AssertUnwindSafe;

/// The answer of a call to the store, or of a round that works with it; where it panics, that is a failure like another.
pub(crate) async fn guarded<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let caught = AssertUnwindSafe(call).catch_unwind().await;
    caught.unwrap_or_else(|_| Err(StoreError::Failed("the code panicked".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let answer: Result<(), StoreError> = guarded(async { panic!("planned") }).await;
        assert!(matches!(answer, Err(StoreError::Failed(_))));
    }
}
