//! Orders: carts with their customer, payments, total, and stages in pipelines.

mod body;
mod inputs;
mod item;
mod mutations;
mod placing;
mod queries;

pub(crate) use body::{OrderBody, PIPELINE, STAGE};
pub(crate) use mutations::OrderMutations;
pub(crate) use placing::leave;
pub(crate) use queries::{OrderQueries, OrderSort, OrderSortField, order_page};

use crate::common::KeyValuePair;
use crate::context::PimContext;
use crate::customer::{Customer, CustomerBody};
use crate::error::IntoGraphql;
use crate::paging::connection;
use crate::payment::Payment;
use crate::permission::{PermissionName, requires};
use crate::pipeline::{Pipeline, PipelineBody};
use crate::price::Price;
use crate::scalars::DateTime;
use crate::stored::Stored;
use crate::tenant::Tenant;
use async_graphql::{Context, ID, Object, SimpleObject};
use item::OrderItem;

/// An order.
#[derive(Clone)]
pub struct Order {
    stored: Stored<OrderBody>,
}

impl From<Stored<OrderBody>> for Order {
    fn from(stored: Stored<OrderBody>) -> Self {
        Self { stored }
    }
}

/// Where an order stands in a pipeline.
#[derive(Clone, SimpleObject)]
pub struct OrderPipeline {
    /// The pipeline.
    pipeline: Pipeline,
    /// The pipeline's id.
    pipeline_id: ID,
    /// The stage of it.
    stage_id: ID,
}

/// An order.
#[Object]
impl Order {
    /// Anything else that is to be said.
    async fn additional_information(&self) -> Option<&str> {
        self.stored.body.additional_information.as_deref()
    }

    /// What is ordered.
    async fn cart(&self) -> Vec<OrderItem> {
        self.stored.body.cart.iter().map(|item| OrderItem::new(item.clone(), &self.stored.key)).collect()
    }

    /// When it was placed.
    async fn created_at(&self) -> DateTime {
        DateTime(self.stored.created_at)
    }

    /// Who ordered: what the order was made with; what that leaves out comes from the customer record of that identifier,
    /// as it stands now.
    #[graphql(directive = requires::apply(PermissionName::CustomersRead))]
    async fn customer(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Customer>> {
        let Some(given) = self.stored.body.customer.clone() else { return Ok(None) };
        let pim = PimContext::of(ctx)?;
        let known = match &given.identifier {
            Some(identifier) => pim.read::<CustomerBody>().graphql()?.one(identifier).await.graphql()?,
            None => None,
        };
        let body = match known {
            Some(known) => given.completed_with(known.body),
            None => given,
        };
        Ok(Some(Customer::within(self.stored.tenant_id, body)))
    }

    /// Its id.
    async fn id(&self) -> ID {
        ID(self.stored.key.clone())
    }

    /// Further properties.
    async fn meta(&self) -> Option<&[KeyValuePair]> {
        self.stored.body.meta.as_deref()
    }

    /// How it is paid.
    async fn payment(&self) -> Option<Vec<Payment>> {
        self.stored.body.payment.clone()
    }

    /// The pipelines that it is in.
    #[graphql(directive = requires::apply(PermissionName::PipelinesRead))]
    async fn pipelines(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<OrderPipeline>>> {
        let placements = &self.stored.body.pipelines;
        let ids: Vec<_> = placements.iter().map(|placement| placement.pipeline_id.clone()).collect();
        let found = PimContext::of(ctx)?.read::<PipelineBody>().graphql()?.many(&ids).await.graphql()?;
        let standing = found.into_iter().filter_map(|pipeline| {
            let placement = placements.iter().find(|placement| placement.pipeline_id == pipeline.key)?;
            let (pipeline_id, stage_id) = (ID(placement.pipeline_id.clone()), ID(placement.stage_id.clone()));
            Some(OrderPipeline { pipeline: pipeline.into(), pipeline_id, stage_id })
        });
        Ok(Some(standing.collect()))
    }

    /// The owner.
    #[graphql(directive = requires::apply(PermissionName::TenantsRead))]
    async fn tenant(&self, ctx: &Context<'_>) -> async_graphql::Result<Tenant> {
        PimContext::of(ctx)?.own_tenant().await.graphql().map(Tenant::from)
    }

    /// The owner's id.
    async fn tenant_id(&self) -> ID {
        ID(self.stored.tenant_id.to_string())
    }

    /// What it costs.
    async fn total(&self) -> Option<Price> {
        self.stored.body.total.clone()
    }

    /// When it was last changed.
    async fn updated_at(&self) -> Option<DateTime> {
        Some(DateTime(self.stored.updated_at))
    }
}

connection!(OrderConnection, OrderConnectionEdge, Order, OrderBody);
