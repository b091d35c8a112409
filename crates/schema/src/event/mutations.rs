//! Mutations of events: an event can be published, and never changes.

use super::EventObject;
use super::publish::{PublishEventInput, publish, publish_many};
use crate::context::ApiContext;
use async_graphql::{Context, Object};
use hookgraph_pim::{IntoGraphql, PermissionName, PimContext, requires};

#[derive(Default)]
pub(crate) struct EventMutationRoot;

#[Object]
impl EventMutationRoot {
    /// Events from outside, for platforms that keep their records elsewhere.
    async fn event(&self) -> Option<EventMutations> {
        Some(EventMutations)
    }
}

pub(crate) struct EventMutations;

/// Events from outside.
#[Object(serial)]
impl EventMutations {
    /// Records that something happened, as a mutation of a record here would: the webhooks of its type are called.
    #[graphql(directive = requires::apply(PermissionName::EventsWrite))]
    async fn publish(&self, ctx: &Context<'_>, input: PublishEventInput) -> async_graphql::Result<EventObject> {
        publish(ApiContext::of(ctx)?, PimContext::of(ctx)?, input).await.graphql()
    }

    /// Records that several things happened, in that order: all of them, or none where one input is wrong. At most 1000.
    #[graphql(directive = requires::apply(PermissionName::EventsWrite))]
    async fn publish_many(
        &self,
        ctx: &Context<'_>,
        inputs: Vec<PublishEventInput>,
    ) -> async_graphql::Result<Vec<EventObject>> {
        publish_many(ApiContext::of(ctx)?, PimContext::of(ctx)?, inputs).await.graphql()
    }
}
