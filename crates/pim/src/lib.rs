//! The resolver tree: PIM types, their loaders, and the mutations that change records and raise events.
//!
//! Payload queries and the management API read the same tree: [`PimQuery`] is the whole of what a payload may ask.
//!
//! A noun is one module (`customer`, `order` …) with up to four files: its body as stored, its GraphQL type, its
//! queries, its mutations. A mutation reads, decides on a draft (`draft::Draft`), and commits the draft as one change
//! with its events.

mod access;
mod address;
mod common;
mod component;
mod conflict;
mod context;
pub mod copy;
pub mod customer;
mod descendants;
mod draft;
mod error;
pub mod flow;
mod grid;
mod idempotency;
mod image;
mod item;
pub mod limits;
mod loaders;
pub mod market;
pub mod order;
mod paging;
mod payment;
mod permission;
pub mod pipeline;
mod price;
pub mod price_list;
mod rich_text;
mod room;
mod root;
mod scalars;
mod signature_key;
mod slug;
mod stored;
pub mod subscription_contract;
pub mod tenant;
mod topic;
mod version;

pub use access::{NotPermitted, Permitted};
pub use conflict::{NotCommitted, until_committed};
pub use context::{Caller, PimContext, PimServices};
pub use error::{IntoGraphql, graphql_error};
pub use idempotency::{Idempotency, Step};
pub use loaders::Yield;
pub use payment::PaymentType;
pub use permission::{PermissionName, requires};
pub use room::{ByteRoom, Drawn, NoRoom, RoomShare, Taken};
pub use root::{PimMutation, PimQuery};
pub use scalars::{DateTime, JsonValue, ScalarJudge, scalar_fault};
pub use signature_key::{SignatureKey, checked_overlap_s, rotation};
