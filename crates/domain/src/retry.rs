//! The retry schedule: when the next attempt is due.

/// The default waits before the second and every later attempt, in seconds: 5 s, 30 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h,
/// 20 h, 24 h. With the first attempt at once, that is eleven attempts.
pub const RETRY_DELAYS_S_DEFAULT: [u32; 10] = [5, 30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
