//! Randomness that is the same in every run.

use hookgraph_domain::ports::Entropy;
use hookgraph_domain::time::Timestamp;
use parking_lot::Mutex;
use std::sync::Arc;
use uuid::Uuid;

/// The randomness of a seed (SplitMix64); clones share their state. Its UUIDs rise in the order in which they are asked
/// for, as long as the time does not fall.
#[derive(Clone, Debug)]
pub struct SeededEntropy(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    random: u64,
    uuid_count: u64,
}

impl SeededEntropy {
    /// The randomness of that seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { random: seed, uuid_count: 0 })))
    }

    fn next(&self) -> u64 {
        let mut state = self.0.lock();
        state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Default for SeededEntropy {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Entropy for SeededEntropy {
    /// A UUID of the time, then a count of 26 bits that orders the UUIDs of one millisecond, then bits of the seed.
    fn uuid(&self, now: Timestamp) -> Uuid {
        let count = {
            let mut state = self.0.lock();
            state.uuid_count += 1;
            state.uuid_count
        };
        let unix_ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let mut random = [0; 10];
        random[0] = (count >> 22) as u8 & 0x0f;
        random[1] = (count >> 14) as u8;
        random[2] = (count >> 8) as u8 & 0x3f;
        random[3] = count as u8;
        random[4..].copy_from_slice(&self.next().to_be_bytes()[..6]);
        uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid()
    }

    fn fraction(&self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_rise_within_one_millisecond_by_their_first_80_bits() {
        let entropy = SeededEntropy::default();
        let uuids: Vec<Uuid> = (0..100_000).map(|_| entropy.uuid(crate::sample::now())).collect();
        assert!(uuids.is_sorted_by(|a, b| a.as_bytes()[..10] < b.as_bytes()[..10]));
    }
}
