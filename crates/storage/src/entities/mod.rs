//! One entity per table. Times are microseconds since 1970-01-01 UTC (`…_at_us`).

pub mod access_token;
pub mod attempt;
pub mod audit_entry;
pub mod copy_task;
pub mod delivery;
pub mod event;
pub mod event_skip;
pub mod idempotency;
pub mod payload;
pub mod record;
pub mod record_link;
pub mod record_name;
pub mod replay;
pub mod tenant;
pub mod tombstone;
pub mod webhook;
