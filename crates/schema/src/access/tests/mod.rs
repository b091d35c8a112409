//! What guards each field, and that it does.

mod coverage;
mod crossing;
mod documents;
mod payloads;
mod tokens;
