//! Reads: always in batches, always of one tenant where there is one.

mod audit;
mod deliveries;
mod delivery_pages;
mod events;
mod feed;
mod flow;
mod idempotency;
mod record_pages;
mod records;
mod tenants;
mod webhooks;

pub use deliveries::webhook_attempts;
pub use delivery_pages::delivery_page;
pub use events::event_page;
pub use feed::{FEED_BATCHES, FEED_MOVES};
pub use flow::{HELD_SQL, backlog_sql, deliveries_to_replay, held_to_probe_sql};

use crate::limits::PAGE_ROWS_MAX;

/// A page's size as the database gets it.
fn rows(limit: u32) -> u64 {
    u64::from(limit.min(PAGE_ROWS_MAX))
}

/// How many rows of a page are still to be read.
fn left(limit: u32, read: usize) -> u32 {
    limit.saturating_sub(u32::try_from(read).unwrap_or(u32::MAX))
}
