//! Between rows and the domain's nouns. What does not read back is `StoreError::Corrupt`, never a guess.

pub mod attempt;
pub mod audit;
pub mod delivery;
pub mod event;
pub mod feed;
mod keys;
pub mod labels;
pub mod record;
pub mod replay;
pub mod tenant;
pub mod webhook;

use crate::error::corrupt;
use hookgraph_domain::ports::{SecretVault, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The JSON text of a column.
pub fn to_json<T: Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}

/// The value of a column with JSON text.
fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(what, error))
}

/// A number of a column that holds small ones.
pub fn number<T: TryFrom<i64>>(what: &str, value: i64) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| corrupt(what, value))
}

fn open(vault: &dyn SecretVault, label: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    vault.open(label, sealed).map_err(|error| corrupt(label, error))
}
