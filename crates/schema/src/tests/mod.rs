//! Tests of both schemas on the fake store, as a caller sees them.

mod api;
mod at_once;
mod field_documents;
mod filters;
mod flow;
mod idempotency;
mod publish;
mod recheck;
mod refused_documents;
mod sdl;
mod secrets;
mod settings;
mod shown_text;
pub(crate) mod world;
