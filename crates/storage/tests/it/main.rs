//! The store on both databases: what every store holds, and what only one has.
//!
//! One binary: each more would link all of the workspace again.

#![allow(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

#[macro_use]
mod databases;

mod cancelled;
mod claims_along;
mod conformance_postgres;
mod conformance_sqlite;
mod conformance_sqlite_memory;
mod feed;
mod gauges;
mod group_commit;
mod lines;
mod plans;
mod postgres_only;
mod restart;
mod secrets;
mod sweep;
mod tenants;
mod unreadable;
