//! The dice of a run: every decision that is not the road's own comes from its seed.

use hookgraph_domain::ports::Entropy;
use hookgraph_testkit::SeededEntropy;

/// Clones share their state.
#[derive(Clone, Debug)]
pub struct Dice(SeededEntropy);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// A number from 0 up to but not including `count`.
    pub fn below(&self, count: u64) -> u64 {
        (self.0.fraction() * count as f64) as u64
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether something happens that is likely by this many thousandths.
    pub fn happens(&self, thousandths: u64) -> bool {
        thousandths > 0 && self.below(1_000) < thousandths
    }

    /// Whether a coin shows heads.
    pub fn coin(&self) -> bool {
        self.happens(500)
    }

    pub fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }
}
