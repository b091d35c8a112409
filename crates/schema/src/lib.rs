//! The GraphQL schemas: the management API (webhooks, events, deliveries and subscriptions, with `pim` merged in), the
//! payload schema beside it, the proof of payload documents, and the renderer that runs them.
//!
//! The payload schema is a schema of its own, without a mutation root or a subscription root: a payload query cannot
//! express anything but reads.

mod access;
mod access_token;
mod api;
mod audit;
mod call;
mod connection;
mod context;
mod delivery;
pub mod document;
mod event;
mod event_type;
mod guard;
mod idempotency;
mod ids;
mod limits;
mod loaders;
mod partial;
mod recheck;
mod render;
mod replay;
mod roots;
mod sdl;
mod subscription;
mod webhook;

#[cfg(test)]
mod tests;

pub use api::Api;
pub use context::Services;
pub use guard::CallChecker;
pub use idempotency::IDEMPOTENCY_EXTENSION;
pub use recheck::Rechecked;
pub use subscription::{FeedSignals, Following, cursor as feed_cursor};
