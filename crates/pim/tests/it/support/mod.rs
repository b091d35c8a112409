//! What the resolver tests share: a store of records in memory that counts its calls, and a tenant with a schema on it.

mod flow;
mod road;
mod store;
mod world;

pub use store::RecordStore;
pub use world::World;
