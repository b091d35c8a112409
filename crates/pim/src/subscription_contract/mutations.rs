//! `subscriptionContract { create update cancel renew delete }`.

use super::body::{CUSTOMER, EndOfContract};
use super::inputs::{CreateSubscriptionContractInput, UpdateSubscriptionContractInput, new_body, updated_body};
use super::{SubscriptionContract, SubscriptionContractBody};
use crate::context::PimContext;
use crate::draft::{ChangedFields, Draft, Raised, mutate};
use crate::error::IntoGraphql;
use crate::paging::all_linked;
use crate::permission::{PermissionName, requires};
use crate::stored::Stored;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::record::Record;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;
use serde_json::json;

/// Mutations of subscription contracts.
pub struct SubscriptionContractMutations;

#[Object(serial)]
impl SubscriptionContractMutations {
    /// Creates a subscription contract. Raises `subscriptionContracts/create`.
    #[graphql(directive = requires::apply(PermissionName::SubscriptionContractsWrite))]
    async fn create(
        &self,
        ctx: &Context<'_>,
        input: CreateSubscriptionContractInput,
    ) -> async_graphql::Result<SubscriptionContract> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&input.tenant_id)).graphql()?;
        let created = mutate(pim, async |mut draft| {
            let body = new_body(input.clone(), || pim.new_id())?;
            let stored = draft.create(pim.new_id().to_string(), body)?;
            raise(&mut draft, "create", &stored, Vec::new(), None)?;
            Ok((draft, stored))
        });
        Ok(created.await.graphql()?.into())
    }

    /// Changes a subscription contract. Raises `subscriptionContracts/update` if anything changed.
    #[graphql(directive = requires::apply(PermissionName::SubscriptionContractsWrite))]
    async fn update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: UpdateSubscriptionContractInput,
    ) -> async_graphql::Result<SubscriptionContract> {
        let pim = PimContext::of(ctx)?;
        change(pim, &id, "update", |old, _| updated_body(old, input.clone(), || pim.new_id())).await
    }

    /// Cancels a subscription contract: it renews no more and is active until it would have renewed, or with `deactivate`
    /// ends at once. Raises `subscriptionContracts/cancel`, unless it is cancelled already.
    #[graphql(directive = requires::apply(PermissionName::SubscriptionContractsWrite))]
    async fn cancel(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(false)")] deactivate: Option<bool>,
        id: ID,
    ) -> async_graphql::Result<SubscriptionContract> {
        let ends = if deactivate == Some(true) { EndOfContract::AtOnce } else { EndOfContract::WithPeriod };
        let cancel = |old: &SubscriptionContractBody, now| {
            Ok(SubscriptionContractBody { status: old.status.cancelled(now, ends), ..old.clone() })
        };
        change(PimContext::of(ctx)?, &id, "cancel", cancel).await
    }

    /// Renews a subscription contract: its next renewal is one recurring period later than this one was due, or than now
    /// where none was; it is active at least until then, for the recurring price. Raises `subscriptionContracts/renew`.
    #[graphql(directive = requires::apply(PermissionName::SubscriptionContractsWrite))]
    async fn renew(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<SubscriptionContract> {
        let renew = |old: &SubscriptionContractBody, now| {
            let status = old.status.renewed(now, &old.recurring).ok_or_else(|| {
                let message = "the recurring period ends beyond the calendar";
                Refusal::new(RefusalCode::Conflict, message)
            })?;
            Ok(SubscriptionContractBody { status, ..old.clone() })
        };
        change(PimContext::of(ctx)?, &id, "renew", renew).await
    }

    /// Deletes a subscription contract, and answers how many that were. Raises `subscriptionContracts/delete`.
    #[graphql(directive = requires::apply(PermissionName::SubscriptionContractsWrite))]
    async fn delete(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<i32>> {
        let pim = PimContext::of(ctx)?;
        let deleted = mutate(pim, async |mut draft| {
            let found = pim.read::<SubscriptionContractBody>()?.one(&id).await?;
            let Some(stored) = found else { return Ok((draft, 0)) };
            delete(&mut draft, &stored)?;
            Ok((draft, 1))
        });
        deleted.await.graphql().map(Some)
    }
}

/// Deletes all contracts of a customer. Raises `subscriptionContracts/delete` for each.
pub(crate) async fn delete_of_customer(draft: &mut Draft<'_>, identifier: &str) -> Result<(), Refusal> {
    for contract in all_linked::<SubscriptionContractBody>(draft.pim(), CUSTOMER, identifier).await? {
        delete(draft, &contract)?;
    }
    Ok(())
}

fn delete(draft: &mut Draft<'_>, stored: &Stored<SubscriptionContractBody>) -> Result<(), Refusal> {
    let tombstone = draft.delete(stored)?;
    raise(draft, "delete", stored, Vec::new(), Some(tombstone))
}

/// Replaces a contract's body; raises the event if the body changed.
async fn change(
    pim: &PimContext,
    id: &ID,
    event: &'static str,
    new_body: impl Fn(&SubscriptionContractBody, Timestamp) -> Result<SubscriptionContractBody, Refusal> + Sync,
) -> async_graphql::Result<SubscriptionContract> {
    let changed = mutate(pim, async |mut draft| {
        let old = pim.read::<SubscriptionContractBody>()?.existing(id).await?;
        let body = new_body(&old.body, draft.at())?;
        let (stored, changed) = draft.update(&old, body)?;
        if !changed.is_empty() {
            raise(&mut draft, event, &stored, changed, None)?;
        }
        Ok((draft, stored))
    });
    Ok(changed.await.graphql()?.into())
}

fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    stored: &Stored<SubscriptionContractBody>,
    changed_fields: ChangedFields,
    tombstone: Option<Record>,
) -> Result<(), Refusal> {
    let customer_identifier = &stored.body.customer_identifier;
    let variables = vec![("id", json!(stored.key)), ("customerIdentifier", json!(customer_identifier))];
    draft.raise(Raised { variables, changed_fields, tombstone, ..Raised::of("subscriptionContracts", event, stored) })
}
