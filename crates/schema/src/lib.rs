//! The GraphQL schemas: the management API (webhooks, events, deliveries, subscriptions, with `pim` merged in), the payload
//! schema beside it, the proof of payload documents, and the renderer that runs them.
//!
//! The payload schema is a schema of its own, with no mutation root and no subscription root: what a payload may not do
//! cannot be expressed.

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
pub mod limits;
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
mod api_tests;
#[cfg(test)]
mod at_once_tests;
#[cfg(test)]
mod field_document_tests;
#[cfg(test)]
mod filter_tests;
#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod idempotency_tests;
#[cfg(test)]
mod recheck_tests;
#[cfg(test)]
mod refused_document_tests;
#[cfg(test)]
mod sdl_tests;
#[cfg(test)]
mod secrets_tests;
#[cfg(test)]
mod shown_text_tests;
#[cfg(test)]
mod test_world;

pub use api::Api;
pub use context::Services;
pub use guard::CallChecker;
pub use idempotency::IDEMPOTENCY_EXTENSION;
pub use recheck::Rechecked;
pub use render::Renderer;
pub use subscription::{FeedSignals, Following, cursor as feed_cursor};
