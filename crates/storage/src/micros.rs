//! Times as the tables keep them: microseconds since 1970-01-01 UTC, exact on every database.

use crate::error::corrupt;
use chrono::DateTime;
use hookgraph_domain::limits::IDEMPOTENCY_KEPT_MS;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::time::Timestamp;

/// The column's value.
pub fn from_time(at: Timestamp) -> i64 {
    at.timestamp_micros()
}

/// The time of a column's value.
pub fn to_time(at_us: i64) -> Result<Timestamp, StoreError> {
    DateTime::from_timestamp_micros(at_us).ok_or_else(|| corrupt("time", at_us))
}

/// The time of a nullable column's value.
pub fn to_optional_time(at_us: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    at_us.map(to_time).transpose()
}

/// The newest time at which an answer that is past its time now was kept.
pub fn stale_before_us(now: Timestamp) -> i64 {
    let kept_us = i64::try_from(IDEMPOTENCY_KEPT_MS * 1000).unwrap_or(i64::MAX);
    from_time(now).saturating_sub(kept_us)
}
