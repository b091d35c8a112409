//! Panics become errors here, so that none of them ends a loop.

use futures::FutureExt;
use hookgraph_domain::ports::StoreError;
use std::panic::AssertUnwindSafe;

/// Answers as the call does; a panic inside the call is answered as [`StoreError::Failed`]. The call is one to the
/// store, or a round of a loop that works with it.
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
