//! Descriptors, whose number the system bounds for each process: the connections of strangers leave some to deliveries,
//! to the database and to files.

use super::ConnectionLimits;
use crate::limits::{DESCRIPTORS_RESERVED, DESCRIPTORS_WANTED};
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// The places of the process, which all listeners share that strangers reach.
static PLACES: OnceLock<Arc<Semaphore>> = OnceLock::new();

/// The descriptors that connections of clients may have together, those that became WebSocket connections included. A
/// warning is logged once where they are fewer than the connections that the operator allows.
pub(super) fn places(limits: ConnectionLimits) -> Arc<Semaphore> {
    let made = || {
        let places = left_of(descriptors_max());
        if places < allowed(limits) {
            tracing::warn!(
                places,
                http_connections_max = limits.connections_max,
                websocket_connections_max = limits.websockets_max,
                "fewer connections are taken than are allowed: this process may have few descriptors (RLIMIT_NOFILE)"
            );
        }
        Arc::new(Semaphore::new(places))
    };
    PLACES.get_or_init(made).clone()
}

/// How many connections may be open together, those that became WebSocket connections included.
fn allowed(limits: ConnectionLimits) -> usize {
    limits.connections_max.saturating_add(limits.websockets_max)
}

/// How many of that number of descriptors are left beside the reserved ones: at least half of them.
fn left_of(descriptors: Option<u64>) -> usize {
    let left = descriptors.map_or(u64::MAX, |count| count - DESCRIPTORS_RESERVED.min(count / 2));
    usize::try_from(left).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

/// How many descriptors this process may have; none where their number is not bounded. Where the system allows more,
/// the bound is raised: the common one, 1,024, is meant for programs that use `select`, and a program that can do with
/// more has to ask for it.
#[cfg(unix)]
fn descriptors_max() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = raised(limit.current, limit.maximum)?;
    if limit.current == Some(raised) {
        return limit.current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
        Ok(()) => Some(raised),
        Err(error) => {
            tracing::warn!(%error, wanted = raised, "the number of descriptors cannot be raised");
            limit.current
        }
    }
}

/// The number to which such a limit is raised, which is at most its maximum; none where there is no limit.
fn raised(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
    current.map(|current| current.max(DESCRIPTORS_WANTED.min(maximum.unwrap_or(u64::MAX))))
}

#[cfg(not(unix))]
fn descriptors_max() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn websocket_connections_are_allowed_beside_the_others() {
        let limits =
            |connections_max| ConnectionLimits { connections_max, websockets_max: 3, idle_max: Duration::ZERO };
        assert_eq!((allowed(limits(10)), allowed(limits(usize::MAX))), (13, usize::MAX));
    }

    #[test]
    fn few_descriptors_are_made_as_many_as_are_allowed_and_wanted() {
        let wanted = DESCRIPTORS_WANTED;
        for (current, maximum, expected) in [
            (Some(1_024), Some(4_096), Some(4_096)),
            (Some(1_024), Some(10 * wanted), Some(wanted)),
            (Some(1_024), None, Some(wanted)),
            (Some(2 * wanted), Some(10 * wanted), Some(2 * wanted)),
            (None, None, None),
        ] {
            assert_eq!(raised(current, maximum), expected, "{current:?} of {maximum:?}");
        }
    }

    #[test]
    fn what_is_reserved_is_left_to_others_and_half_where_there_is_little() {
        assert_eq!(left_of(Some(10 * DESCRIPTORS_RESERVED)) as u64, 9 * DESCRIPTORS_RESERVED);
        assert_eq!(left_of(Some(DESCRIPTORS_RESERVED)) as u64, DESCRIPTORS_RESERVED / 2);
        assert_eq!((left_of(Some(1_024)), left_of(Some(0))), (512, 0));
        assert_eq!([left_of(None), left_of(Some(u64::MAX))], [Semaphore::MAX_PERMITS; 2]);
    }
}
