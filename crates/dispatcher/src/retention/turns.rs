//! The turns of deleted tenants: which tenant the next step works on.
//!
//! A round works on one deleted tenant after another, by their ids. A tenant whose turn is over before the tenant is
//! gone gives way to the next one; the round comes back to it after the last. So every tenant has its turn, however
//! many take long.

use hookgraph_domain::ports::PrunePosition;
use hookgraph_domain::time::Timestamp;

/// What follows a step of [`hookgraph_domain::ports::Retention::prune_tenants`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The next step goes on, with the same tenant or with the look for the next one.
    GoesOn(PrunePosition),
    /// The turn of another tenant begins.
    Begins(PrunePosition),
    /// The tenant's turn is over and the tenant is not gone: it gives way to the next one.
    GivesWay(PrunePosition),
    /// No tenant is left behind this one.
    WasTheLast,
}

impl Turn {
    /// Decides what follows a step that was taken at `from` and ended at `now`, with `next` as the store's answer.
    pub(super) fn after(
        from: PrunePosition,
        next: Option<PrunePosition>,
        now: Timestamp,
        turn_ends_at: Timestamp,
    ) -> Self {
        match next {
            None => Self::WasTheLast,
            Some(next) if is_between_tenants(next) => Self::GoesOn(next),
            Some(next) if next.owner != from.owner => Self::Begins(next),
            Some(next) if now >= turn_ends_at => Self::GivesWay(PrunePosition::behind(next.owner)),
            Some(next) => Self::GoesOn(next),
        }
    }
}

/// The position from which the next round goes on, where another process took the step at `from`: the same tenant has
/// its turn, or the one that the step would have looked for.
pub(super) fn resumed_at(from: PrunePosition) -> PrunePosition {
    if is_between_tenants(from) { from } else { PrunePosition::at(from.owner) }
}

/// Whether a step at this position looks for the tenant after its owner.
fn is_between_tenants(position: PrunePosition) -> bool {
    position == PrunePosition::behind(position.owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::time::plus_ms;
    use uuid::Uuid;

    fn within(tenant: u128) -> PrunePosition {
        PrunePosition { stage: 1, ..behind(tenant) }
    }

    fn behind(tenant: u128) -> PrunePosition {
        PrunePosition::behind(Uuid::from_u128(tenant))
    }

    #[test]
    fn a_tenant_has_its_turn_until_it_is_gone_or_its_time_is_over() {
        let now = Timestamp::UNIX_EPOCH;
        let (past, to_come) = (now, plus_ms(now, 1));
        for (from, next, turn_ends_at, turn) in [
            (behind(0), Some(within(1)), to_come, Turn::Begins(within(1))),
            (behind(0), Some(within(1)), past, Turn::Begins(within(1))),
            (within(1), Some(within(1)), to_come, Turn::GoesOn(within(1))),
            (within(1), Some(within(1)), past, Turn::GivesWay(behind(1))),
            (within(1), Some(behind(1)), past, Turn::GoesOn(behind(1))),
            (behind(1), Some(within(2)), past, Turn::Begins(within(2))),
            (behind(2), None, past, Turn::WasTheLast),
            (within(2), None, to_come, Turn::WasTheLast),
        ] {
            assert_eq!(Turn::after(from, next, now, turn_ends_at), turn, "from {from:?} to {next:?}");
        }
    }

    #[test]
    fn after_another_process_the_same_tenant_has_its_turn_or_the_one_that_was_looked_for() {
        assert_eq!(resumed_at(behind(2)), behind(2));
        assert_eq!(resumed_at(within(2)), behind(1), "from there tenant 2 is the next one");
    }
}
