//! The root types of both schemas, and the builders of their instances.

use crate::access_token::{AccessTokenMutationRoot, AccessTokenQueryRoot};
use crate::audit::AuditQueryRoot;
use crate::delivery::{DeliveryMutationRoot, DeliveryQueryRoot};
use crate::document::NeverExecute;
use crate::event::{EventMutationRoot, EventQueryRoot};
use crate::event_type::EventTypeQueryRoot;
use crate::limits::CALL_DOCUMENT;
use crate::partial::NullWhereFailed;
use crate::replay::{ReplayMutationRoot, ReplayQueryRoot};
use crate::subscription::Subscription;
use crate::webhook::{WebhookMutationRoot, WebhookQueryRoot};
use async_graphql::{
    EmptyMutation, EmptySubscription, MergedObject, ObjectType, Schema, SchemaBuilder, SubscriptionType, ValidationMode,
};
use hookgraph_pim::{PaymentType, PimMutation, PimQuery};

/// What can be asked.
#[derive(Default, MergedObject)]
#[graphql(name = "Query")]
pub(crate) struct Query(
    PimQuery,
    WebhookQueryRoot,
    EventTypeQueryRoot,
    EventQueryRoot,
    DeliveryQueryRoot,
    AccessTokenQueryRoot,
    AuditQueryRoot,
    ReplayQueryRoot,
);

/// What can be done.
#[derive(Default, MergedObject)]
#[graphql(name = "Mutation")]
pub(crate) struct Mutation(
    PimMutation,
    EventMutationRoot,
    WebhookMutationRoot,
    DeliveryMutationRoot,
    AccessTokenMutationRoot,
    ReplayMutationRoot,
);

/// What a payload query can ask: records, and nothing of the webhooks themselves.
#[derive(Default, MergedObject)]
#[graphql(name = "Query")]
pub(crate) struct PayloadQuery(PimQuery);

pub(crate) type ManagementSchema = Schema<Query, Mutation, Subscription>;
pub(crate) type PayloadSchema = Schema<PayloadQuery, EmptyMutation, EmptySubscription>;

/// The schema of the management API, which runs documents without judging them again.
pub(crate) fn management() -> ManagementSchema {
    running(management_builder().extension(NullWhereFailed))
}

/// The schema of the management API that judges documents, and runs none.
pub(crate) fn proving_management(suggests: bool) -> ManagementSchema {
    proving(management_builder(), suggests)
}

fn management_builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query::default(), Mutation::default(), Subscription).register_output_type::<PaymentType>()
}

/// The payload schema, which runs documents without judging them again: payload queries as they are rendered, and those
/// that editors and callers try out over the API.
pub(crate) fn payload() -> PayloadSchema {
    running(payload_builder())
}

/// The payload schema that judges documents, and runs none.
pub(crate) fn proving_payload(suggests: bool) -> PayloadSchema {
    proving(payload_builder(), suggests)
}

fn payload_builder() -> SchemaBuilder<PayloadQuery, EmptyMutation, EmptySubscription> {
    Schema::build(PayloadQuery::default(), EmptyMutation, EmptySubscription).register_output_type::<PaymentType>()
}

fn running<Q, M, S>(builder: SchemaBuilder<Q, M, S>) -> Schema<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    let builder = builder.validation_mode(ValidationMode::Fast).disable_suggestions();
    builder.limit_recursive_depth(CALL_DOCUMENT.nesting_max).finish()
}

fn proving<Q, M, S>(builder: SchemaBuilder<Q, M, S>, suggests: bool) -> Schema<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    let builder = builder
        .extension(NeverExecute)
        .limit_recursive_depth(CALL_DOCUMENT.nesting_max)
        .limit_depth(CALL_DOCUMENT.depth_max as usize)
        .limit_aliases(CALL_DOCUMENT.aliases_max as usize);
    if suggests { builder.finish() } else { builder.disable_suggestions().finish() }
}
