//! Wake-ups for which nobody waits.

use hookgraph_domain::ports::WakeUps;

/// Wakes nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWakeUps;

impl WakeUps for NoWakeUps {
    fn due(&self) {}

    fn due_elsewhere(&self) {}

    fn fed(&self) {}
}
