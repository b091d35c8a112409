//! What tests of the other crates share: time, randomness and secrets under control ([`ManualClock`],
//! [`SeededEntropy`], [`PlainVault`], [`NoWakeUps`], [`NoNeighbours`]), values to start from ([`sample`]), the suite
//! that every store passes ([`conformance`]) and its fake ([`MemoryStore`]), a database for one test ([`postgres`]), a
//! receiver that checks signatures ([`receiver`]), and receivers that misbehave ([`hostile`]).

mod clock;
pub mod conformance;
mod entropy;
pub mod hostile;
mod memory;
mod neighbours;
pub mod postgres;
pub mod receiver;
pub mod sample;
mod vault;
mod wake_ups;

pub use clock::ManualClock;
pub use entropy::SeededEntropy;
pub use hostile::HostileReceiver;
pub use memory::{MemoryStore, ReadPlan, Reads};
pub use neighbours::NoNeighbours;
pub use receiver::ScriptedReceiver;
pub use vault::PlainVault;
pub use wake_ups::NoWakeUps;
