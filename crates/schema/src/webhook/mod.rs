//! Webhooks in the API.

mod audited;
mod health;
mod input;
mod invocation;
mod mutations;
mod object;
mod preview;
mod queries;
mod sample;
mod saving;
mod secrets;

pub(crate) use mutations::{WebhookMutationRoot, live_webhook, require_held};
pub(crate) use object::WebhookObject;
pub(crate) use queries::WebhookQueryRoot;
