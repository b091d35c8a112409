//! Rows that cannot be read: each is passed over, so that it stands in nobody's way, and told once.

use crate::limits::UNREADABLE_TOLD_MAX;
use hookgraph_domain::ports::StoreError;
use moka::sync::Cache;
use std::fmt::Display;

/// What this process has told of. Shared by the clones of a store.
#[derive(Clone)]
pub struct Unreadable {
    told: Cache<(&'static str, String), ()>,
}

impl Unreadable {
    pub fn new() -> Self {
        Self { told: Cache::new(UNREADABLE_TOLD_MAX) }
    }

    /// The row, or none where it cannot be read.
    pub fn passed_over<T>(&self, what: &'static str, id: impl Display, read: Result<T, StoreError>) -> Option<T> {
        match read {
            Ok(row) => Some(row),
            Err(error) => {
                self.tell(what, id, error);
                None
            }
        }
    }

    /// One line for each row, however often it is met.
    pub fn tell(&self, what: &'static str, id: impl Display, why: impl Display) {
        let key = (what, id.to_string());
        if !self.told.contains_key(&key) {
            tracing::error!(what, id = key.1, %why, "a row cannot be read: it is passed over");
            self.told.insert(key, ());
        }
    }
}
