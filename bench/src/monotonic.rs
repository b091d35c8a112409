//! One clock for all processes of a benchmark: the machine's monotonic one, which every process reads alike; and the
//! time of day, for rows that are to look old.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// Milliseconds since 1970.
pub fn wall_ms() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000_000
}
