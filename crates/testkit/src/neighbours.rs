//! The neighbours of a process that is alone.

use hookgraph_domain::ports::Neighbours;

/// No other process is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNeighbours;

impl Neighbours for NoNeighbours {
    fn are_active(&self) -> bool {
        false
    }
}
