//! The real time, randomness and failpoints.

use hookgraph_domain::ports::{Clock, Entropy};
#[cfg(feature = "failpoints")]
use hookgraph_domain::ports::{Failpoint, Failpoints};
use hookgraph_domain::time::{Timestamp, plus_ms, truncated};
use parking_lot::Mutex;
use rand::Rng;
use uuid::Uuid;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock {
    /// How far it is ahead of the machine's, which only crash tests set: they outlive leases without waiting.
    pub ahead_ms: u64,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the port that everything else takes the time from")]
    fn now(&self) -> Timestamp {
        plus_ms(truncated(chrono::Utc::now()), self.ahead_ms)
    }
}

/// The operating system's randomness. Its UUIDs sort in the order in which this process made them.
#[derive(Debug, Default)]
pub struct OsEntropy {
    last: Mutex<Count>,
}

/// What orders the UUIDs of one millisecond: a count in the first 26 bits after the time, from a random beginning. (The
/// counter of the `uuid` crate has 42 bits, and the last of them are not in the ids that follow from those.)
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    unix_ms: u64,
    value: u32,
}

impl Count {
    /// It begins in the lower half, so that a millisecond has room for [`Count::BEGINNING_MAX`] UUIDs at least.
    const BEGINNING_MAX: u32 = (1 << 25) - 1;
    const MAX: u32 = (1 << 26) - 1;

    /// The one after it, in that millisecond. Where the clock was set back, and where a millisecond is full, the time
    /// of the last one goes on.
    fn next(self, unix_ms: u64, beginning: u32) -> Self {
        let begun = |unix_ms| Self { unix_ms, value: beginning & Self::BEGINNING_MAX };
        if unix_ms > self.unix_ms {
            begun(unix_ms)
        } else if self.value == Self::MAX {
            begun(self.unix_ms + 1)
        } else {
            Self { value: self.value + 1, ..self }
        }
    }

    /// Of 80 random bits the first are replaced: 12 beside the version, 14 beside the variant.
    fn uuid(self, mut random: [u8; 10]) -> Uuid {
        let [_, _, rand_a_high, rand_a_low] = (self.value >> 14).to_be_bytes();
        let [_, _, rand_b_high, rand_b_low] = (self.value & 0x3fff).to_be_bytes();
        random[..4].copy_from_slice(&[rand_a_high, rand_a_low, rand_b_high, rand_b_low]);
        uuid::Builder::from_unix_timestamp_millis(self.unix_ms, &random).into_uuid()
    }
}

impl Entropy for OsEntropy {
    fn uuid(&self, now: Timestamp) -> Uuid {
        let mut random = [0; 10];
        self.fill(&mut random);
        let beginning = u32::from_be_bytes([random[0], random[1], random[2], random[3]]);
        let unix_ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let mut last = self.last.lock();
        *last = last.next(unix_ms, beginning);
        last.uuid(random)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the port that everything else takes randomness from")]
    fn fraction(&self) -> f64 {
        rand::RngExt::random::<f64>(&mut rand::rng())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the port that everything else takes randomness from")]
    fn fill(&self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}

/// Ends this process with SIGKILL at the place that `HOOKGRAPH_FAILPOINT` names: `after_claim`, or `after_claim:2` for
/// the second time it is come by.
#[cfg(feature = "failpoints")]
#[derive(Debug)]
pub struct KillAt {
    place: Failpoint,
    hits_left: Mutex<u32>,
}

#[cfg(feature = "failpoints")]
impl KillAt {
    /// Reads the text of `HOOKGRAPH_FAILPOINT`.
    ///
    /// # Errors
    /// The text, where it names no failpoint or its count is no number above zero.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, hits) = text.split_once(':').unwrap_or((text, "1"));
        let place = Failpoint::ALL.into_iter().find(|place| place.as_str() == name);
        match (place, hits.parse::<u32>()) {
            (Some(place), Ok(hits)) if hits > 0 => Ok(Self { place, hits_left: Mutex::new(hits) }),
            _ => Err(format!("HOOKGRAPH_FAILPOINT: {text:?} is no failpoint")),
        }
    }
}

#[cfg(feature = "failpoints")]
impl Failpoints for KillAt {
    fn hit(&self, place: Failpoint) {
        if place != self.place {
            return;
        }
        let mut hits_left = self.hits_left.lock();
        *hits_left = hits_left.saturating_sub(1);
        if *hits_left == 0 {
            // Not `abort`: the crash tests mean an end that nothing in the process can see coming.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            std::process::abort();
        }
    }
}

/// The clock of this process.
pub fn clock() -> SystemClock {
    #[cfg(feature = "failpoints")]
    let ahead_ms = std::env::var("HOOKGRAPH_TEST_CLOCK_AHEAD_MS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    #[cfg(not(feature = "failpoints"))]
    let ahead_ms = 0;
    SystemClock { ahead_ms }
}

/// The planned failures of this process: none, unless it was built for crash tests and one is armed.
///
/// # Errors
/// As [`KillAt::parse`].
#[cfg(feature = "failpoints")]
pub fn failpoints() -> Result<std::sync::Arc<dyn Failpoints>, String> {
    match std::env::var("HOOKGRAPH_FAILPOINT") {
        Ok(text) if !text.is_empty() => Ok(std::sync::Arc::new(KillAt::parse(&text)?)),
        _ => Ok(std::sync::Arc::new(hookgraph_domain::ports::NoFailpoints)),
    }
}

/// The planned failures of this process: none.
///
/// # Errors
/// None: a build for crash tests has some.
#[cfg(not(feature = "failpoints"))]
pub fn failpoints() -> Result<std::sync::Arc<dyn hookgraph_domain::ports::Failpoints>, String> {
    Ok(std::sync::Arc::new(hookgraph_domain::ports::NoFailpoints))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_ms: i64) -> Timestamp {
        Timestamp::from_timestamp_millis(unix_ms).unwrap_or_default()
    }

    #[test]
    fn uuids_of_one_millisecond_rise_by_their_first_80_bits() {
        let entropy = OsEntropy::default();
        let uuids: Vec<Uuid> = (0..100_000).map(|_| entropy.uuid(at(1_795_564_800_123))).collect();
        assert!(uuids.is_sorted_by(|a, b| a.as_bytes()[..10] < b.as_bytes()[..10]));
        for uuid in uuids {
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
            assert_eq!(uuid.as_u128() >> 80, 1_795_564_800_123);
        }
    }

    #[test]
    fn uuids_rise_while_the_clock_is_set_back_and_where_a_millisecond_is_full() {
        let entropy = OsEntropy::default();
        let (later, earlier) = (entropy.uuid(at(2_000)), entropy.uuid(at(1_000)));
        assert!(later.as_bytes()[..10] < earlier.as_bytes()[..10]);
        let full = Count { unix_ms: 5, value: Count::MAX }.next(5, u32::MAX);
        assert_eq!((full.unix_ms, full.value), (6, Count::BEGINNING_MAX));
        assert_eq!(full.next(5, 0).value, Count::BEGINNING_MAX + 1, "the time of the last one goes on");
    }
}
