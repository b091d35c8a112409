//! `market { create update delete }`.

use super::{Market, MarketBody};
use crate::common::check_identifier;
use crate::context::PimContext;
use crate::draft::{ChangedFields, Draft, Raised, mutate};
use crate::error::IntoGraphql;
use crate::permission::{PermissionName, requires};
use crate::stored::Stored;
use async_graphql::{Context, ID, InputObject, Object};
use hookgraph_domain::record::Record;
use hookgraph_domain::refusal::Refusal;
use serde_json::json;

/// A new market.
#[derive(Clone, Debug, InputObject)]
pub struct CreateMarketInput {
    /// The customers in it.
    pub customer_identifiers: Option<Vec<String>>,
    /// What identifies it within its tenant.
    pub identifier: String,
    /// What it is called.
    pub name: String,
    /// The owner.
    pub tenant_id: ID,
}

/// What shall change of a market: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateMarketInput {
    /// The customers in it: they replace those before.
    pub customer_identifiers: Option<Vec<String>>,
    /// What it is called.
    pub name: Option<String>,
}

/// Mutations of markets.
pub struct MarketMutations;

#[Object(serial)]
impl MarketMutations {
    /// Creates a market. Raises `markets/create`.
    #[graphql(directive = requires::apply(PermissionName::MarketsWrite))]
    async fn create(&self, ctx: &Context<'_>, input: CreateMarketInput) -> async_graphql::Result<Market> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&input.tenant_id)).graphql()?;
        let created = mutate(pim, async |mut draft| {
            check_identifier(&input.identifier)?;
            let CreateMarketInput { customer_identifiers, name, .. } = input.clone();
            let stored = draft.create(input.identifier.as_str(), MarketBody { customer_identifiers, name })?;
            raise(&mut draft, "create", &stored, Vec::new(), None)?;
            Ok((draft, stored))
        });
        Ok(created.await.graphql()?.into())
    }

    /// Changes a market. Raises `markets/update` if anything changed.
    #[graphql(directive = requires::apply(PermissionName::MarketsWrite))]
    async fn update(
        &self,
        ctx: &Context<'_>,
        identifier: String,
        input: UpdateMarketInput,
        tenant_id: ID,
    ) -> async_graphql::Result<Market> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let updated = mutate(pim, async |mut draft| {
            let old = pim.read::<MarketBody>()?.existing(&identifier).await?;
            let body = MarketBody {
                customer_identifiers: input.customer_identifiers.clone().or(old.body.customer_identifiers.clone()),
                name: input.name.clone().unwrap_or(old.body.name.clone()),
            };
            let (stored, changed) = draft.update(&old, body)?;
            if !changed.is_empty() {
                raise(&mut draft, "update", &stored, changed, None)?;
            }
            Ok((draft, stored))
        });
        Ok(updated.await.graphql()?.into())
    }

    /// Deletes a market, and answers how many that were. Raises `markets/delete`.
    #[graphql(directive = requires::apply(PermissionName::MarketsWrite))]
    async fn delete(&self, ctx: &Context<'_>, identifier: String, tenant_id: ID) -> async_graphql::Result<i32> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let deleted = mutate(pim, async |mut draft| {
            let Some(stored) = pim.read::<MarketBody>()?.one(&identifier).await? else { return Ok((draft, 0)) };
            let tombstone = draft.delete(&stored)?;
            raise(&mut draft, "delete", &stored, Vec::new(), Some(tombstone))?;
            Ok((draft, 1))
        });
        deleted.await.graphql()
    }
}

fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    stored: &Stored<MarketBody>,
    changed_fields: ChangedFields,
    tombstone: Option<Record>,
) -> Result<(), Refusal> {
    let variables = vec![("identifier", json!(stored.key))];
    draft.raise(Raised { variables, changed_fields, tombstone, ..Raised::of("markets", event, stored) })
}
