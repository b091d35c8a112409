//! SQLite and PostgreSQL behind the domain's ports: one set of queries, one conformance suite.
//!
//! What a caller gets is [`SqlStore`], which is every port of [`hookgraph_domain::ports::Store`], and [`vault`], which
//! seals the secrets that it keeps. Writes are in `commit` and `queue`, reads in `read`; a transaction never waits for
//! anything but the database.

mod batch;
mod commit;
mod connections;
mod deliveries;
mod entities;
mod error;
mod gauges;
pub mod limits;
mod locks;
mod micros;
mod migrate;
mod neighbours;
mod notify;
mod partitions;
#[doc(hidden)]
pub mod plans;
mod queue;
mod read;
mod reseal;
mod retention;
mod rows;
mod standing;
mod statements;
mod store;
mod sweep;
mod unreadable;
pub mod vault;

pub use gauges::{Gauges, PoolGauge};
pub use migrate::MigrateError;
pub use neighbours::LastHeard;
pub use notify::{Heard, Listener, Notifier, WakeUpKinds, WakeUpLink};
pub use store::{SqlStore, StoreOptions, sqlite_file};
pub use sweep::Sweep;
