//! What tests of the other crates share: time, randomness and secrets under control ([`ManualClock`], [`SeededEntropy`],
//! [`PlainVault`], [`RecordingWakeUps`]) and values to start from ([`sample`]).

mod clock;
mod entropy;
pub mod sample;
mod vault;
mod wake_ups;

pub use clock::ManualClock;
pub use entropy::SeededEntropy;
pub use vault::PlainVault;
pub use wake_ups::RecordingWakeUps;
