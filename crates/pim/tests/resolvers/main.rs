//! The resolver tree, asked through GraphQL, on a store in memory.

mod commerce_events;
mod copying;
mod orders;
mod support;
