//! The resolver tree, asked through GraphQL, on a store in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod commerce_events;
mod copying;
mod orders;
mod storable;
mod support;
