//! The real time, randomness and failpoints.

use hookgraph_domain::ports::{Clock, Entropy};
#[cfg(feature = "failpoints")]
use hookgraph_domain::ports::{Failpoint, Failpoints};
use hookgraph_domain::time::{Timestamp, plus_ms, truncated};
use parking_lot::Mutex;
use rand::Rng;
use uuid::{ContextV7, Timestamp as UuidTimestamp, Uuid};

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
    counter: Mutex<ContextV7>,
}

impl Entropy for OsEntropy {
    fn uuid(&self, now: Timestamp) -> Uuid {
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        Uuid::new_v7(UuidTimestamp::from_unix(&*self.counter.lock(), seconds, now.timestamp_subsec_nanos()))
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
