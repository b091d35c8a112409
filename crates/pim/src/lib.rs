//! The resolver tree: PIM types, their loaders, and the mutations that change records and raise events.
//!
//! Payload queries and the management API read the same tree: [`PimQuery`] is the whole of what a payload may ask.

mod context;

pub use context::{Caller, PimContext};
