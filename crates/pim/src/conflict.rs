//! Conflicts: a mutation whose commit meets one is decided again, on the rows as they stand by then.

use crate::access::NotPermitted;
use crate::limits::CONFLICT_RETRIES_MAX;
use hookgraph_domain::change::CommitError;
use hookgraph_domain::refusal::Refusal;

/// Why one try of a mutation committed nothing.
#[derive(Debug)]
pub enum NotCommitted {
    /// A row that the decision rests on changed meanwhile; the text names the row.
    Conflict(String),
    /// The mutation is refused, however often it is decided.
    Refused(Refusal),
}

impl From<CommitError> for NotCommitted {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(what) => Self::Conflict(what),
            other => Self::Refused(other.into()),
        }
    }
}

impl From<Refusal> for NotCommitted {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<NotPermitted> for NotCommitted {
    fn from(error: NotPermitted) -> Self {
        Self::Refused(error.into())
    }
}

/// Runs `attempt` until it commits or is refused: on a conflict it is run again, up to [`CONFLICT_RETRIES_MAX`] times.
///
/// An attempt reads, decides and commits. It must read anew each time: the rows that it read before are what changed.
///
/// # Errors
/// The attempt's refusal, or `CONFLICT` where the last attempt met a conflict too.
pub async fn until_committed<T, F, A>(attempt: F) -> Result<T, Refusal>
where
    F: Fn() -> A,
    A: Future<Output = Result<T, NotCommitted>>,
{
    let mut retries = 0;
    loop {
        match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(NotCommitted::Refused(refusal)) => return Err(refusal),
            Err(NotCommitted::Conflict(what)) if retries < CONFLICT_RETRIES_MAX => {
                tracing::debug!(what, retries, "changed meanwhile: deciding again");
                retries += 1;
            }
            Err(NotCommitted::Conflict(what)) => return Err(CommitError::Conflict(what).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::refusal::RefusalCode;
    use std::cell::Cell;

    /// The number of the attempt that commits after `conflicts` conflicts, or the refusal's code; and the attempts
    /// made.
    async fn attempts(conflicts: u32, error: fn() -> NotCommitted) -> (Result<u32, RefusalCode>, u32) {
        let made = Cell::new(0);
        let attempt = || {
            made.set(made.get() + 1);
            let number = made.get();
            async move { if number <= conflicts { Err(error()) } else { Ok(number) } }
        };
        let answer = until_committed(attempt).await;
        (answer.map_err(|refusal| refusal.code), made.get())
    }

    #[tokio::test]
    async fn a_mutation_that_meets_conflicts_is_decided_again_up_to_the_limit() {
        let conflict = || NotCommitted::from(CommitError::Conflict("a row".to_owned()));
        let most = CONFLICT_RETRIES_MAX + 1;
        assert_eq!(attempts(0, conflict).await, (Ok(1), 1));
        assert_eq!(attempts(CONFLICT_RETRIES_MAX, conflict).await, (Ok(most), most));
        assert_eq!(attempts(most, conflict).await, (Err(RefusalCode::Conflict), most));
    }

    #[tokio::test]
    async fn a_mutation_that_is_refused_is_decided_once() {
        let taken = || NotCommitted::from(CommitError::AlreadyExists("a row".to_owned()));
        assert_eq!(attempts(1, taken).await, (Err(RefusalCode::Conflict), 1));
    }
}
