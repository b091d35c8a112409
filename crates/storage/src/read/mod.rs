//! Reads: always in batches, always of one tenant where there is one.

mod audit;
mod deliveries;
mod events;
mod feed;
mod flow;
mod idempotency;
mod record_pages;
mod records;
mod tenants;
mod webhooks;

pub use deliveries::{delivery_page, webhook_attempts};
pub use events::event_page;
pub use feed::FEED_BATCHES;
pub use flow::{BACKLOG_SQL, HELD_SQL};

use crate::limits::PAGE_ROWS_MAX;

/// A page's size as the database gets it.
fn rows(limit: u32) -> u64 {
    u64::from(limit.min(PAGE_ROWS_MAX))
}
