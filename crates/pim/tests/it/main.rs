//! The resolver tree, asked through GraphQL, on a store in memory.
//!
//! One binary: each more would link all of the workspace again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod bounds;
mod commerce_events;
mod copying;
mod items;
mod large_records;
mod orders;
mod schema;
mod shop;
mod storable;
mod support;
mod tenants;
