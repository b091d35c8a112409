//! Mutations of deliveries: an ended one is made due again, or a due one is ended.

use super::DeliveryObject;
use super::many::{DeliveriesChanged, DeliveriesFilter, FIRST_DEFAULT, cancel_many, retry_many};
use crate::access::{DeliveriesRead, DeliveriesWrite, Managed};
use crate::context::ApiContext;
use crate::ids::required;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::{IntoGraphql, PermissionName, PimContext, requires};

#[derive(Default)]
pub(crate) struct DeliveryMutationRoot;

#[Object]
impl DeliveryMutationRoot {
    /// What can be done to deliveries. None of it takes an idempotency key: list what is there before you try again.
    async fn delivery(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<DeliveryMutations>> {
        PimContext::of(ctx)?.require_no_idempotency().graphql()?;
        Ok(Some(DeliveryMutations))
    }
}

pub(crate) struct DeliveryMutations;

/// What can be done to deliveries. None of it takes an idempotency key: list what is there before you try again.
#[Object(serial)]
impl DeliveryMutations {
    /// Makes a delivery that has ended due again, with the delays between its attempts from the first on. Attempts are
    /// numbered on, and the payload stays as frozen.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesWrite))]
    async fn retry(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<DeliveryObject> {
        change_one(ApiContext::of(ctx)?, &id, "delivery.retry", Write::RetryDelivery).await.graphql()
    }

    /// Ends a delivery that is due. One that is in flight is cancelled as it settles, unless it was delivered.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesWrite))]
    async fn cancel(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<DeliveryObject> {
        let reason = "cancelled by a person".to_owned();
        change_one(ApiContext::of(ctx)?, &id, "delivery.cancel", |delivery_id| Write::CancelDelivery {
            delivery_id,
            reason,
        })
        .await
        .graphql()
    }

    /// Makes many deliveries that have ended due again, newest first: those of the filter that were not delivered, or those
    /// in the states that it names.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesWrite))]
    async fn retry_many(
        &self,
        ctx: &Context<'_>,
        filter: DeliveriesFilter,
        #[graphql(desc = "At most so many, 1 to 500.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(desc = "Goes on after this cursor of an earlier answer.")] after: Option<String>,
    ) -> async_graphql::Result<DeliveriesChanged> {
        retry_many(ApiContext::of(ctx)?, filter, first, after.as_deref()).await.graphql()
    }

    /// Ends many deliveries that are due or held, newest first. Those in flight are cancelled as they settle, unless they
    /// were delivered.
    #[graphql(directive = requires::apply(PermissionName::DeliveriesWrite))]
    async fn cancel_many(
        &self,
        ctx: &Context<'_>,
        filter: DeliveriesFilter,
        #[graphql(desc = "At most so many, 1 to 500.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(desc = "Goes on after this cursor of an earlier answer.")] after: Option<String>,
    ) -> async_graphql::Result<DeliveriesChanged> {
        cancel_many(ApiContext::of(ctx)?, filter, first, after.as_deref()).await.graphql()
    }
}

async fn change_one(
    api: &ApiContext,
    id: &ID,
    action: &'static str,
    write: impl FnOnce(DeliveryId) -> Write,
) -> Result<DeliveryObject, Refusal> {
    let missing = || Refusal::not_found("delivery", id);
    let delivery_id: DeliveryId = required("delivery", id)?;
    if api.may::<DeliveriesRead>()?.delivery(delivery_id).await?.is_none() {
        return Err(missing());
    }
    let mut change = Change::at(api.now());
    change.writes.push(write(delivery_id));
    let managed = Managed { action, subject: format!("delivery:{delivery_id}"), before: None, after: None };
    api.may::<DeliveriesWrite>()?.commit(change, managed).await?;
    api.may::<DeliveriesRead>()?.delivery(delivery_id).await?.map(DeliveryObject).ok_or_else(missing)
}
