//! Webhooks in the API.

mod audited;
mod input;
mod invocation;
mod mutations;
mod object;
mod preview;
mod queries;
mod sample;
mod saving;

pub(crate) use mutations::WebhookMutationRoot;
pub(crate) use object::WebhookObject;
pub(crate) use queries::WebhookQueryRoot;
