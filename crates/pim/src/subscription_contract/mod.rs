//! Subscription contracts: the recurring payments of a customer for an item.

mod body;
mod inputs;
mod mutations;
mod queries;

pub(crate) use body::SubscriptionContractBody;
pub(crate) use mutations::{SubscriptionContractMutations, delete_of_customer};
pub(crate) use queries::SubscriptionContractQueries;

use crate::context::PimContext;
use crate::customer::{Customer, CustomerBody};
use crate::error::IntoGraphql;
use crate::paging::connection;
use crate::payment::Payment;
use crate::permission::{PermissionName, requires};
use crate::scalars::DateTime;
use crate::stored::Stored;
use crate::tenant::Tenant;
use async_graphql::{Context, ID, Object};
use body::{
    SubscriptionContractAddress, SubscriptionContractItem, SubscriptionContractPhase, SubscriptionContractStatus,
};

/// A subscription contract.
#[derive(Clone)]
pub struct SubscriptionContract {
    stored: Stored<SubscriptionContractBody>,
}

impl From<Stored<SubscriptionContractBody>> for SubscriptionContract {
    fn from(stored: Stored<SubscriptionContractBody>) -> Self {
        Self { stored }
    }
}

/// A customer's contract on an item.
#[Object]
impl SubscriptionContract {
    /// Postal addresses.
    async fn addresses(&self) -> Option<&[SubscriptionContractAddress]> {
        self.stored.body.addresses.as_deref()
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.stored.created_at)
    }

    /// Whose contract; null when there is no such customer.
    #[graphql(directive = requires::apply(PermissionName::CustomersRead))]
    async fn customer(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Customer>> {
        let identifier = &self.stored.body.customer_identifier;
        let found = PimContext::of(ctx)?.read::<CustomerBody>().graphql()?.one(identifier).await.graphql()?;
        Ok(found.map(Customer::from))
    }

    /// The identifier of its customer.
    async fn customer_identifier(&self) -> &str {
        &self.stored.body.customer_identifier
    }

    /// Its id.
    async fn id(&self) -> ID {
        ID(self.stored.key.clone())
    }

    /// What the first period costs, where that differs.
    async fn initial(&self) -> Option<&SubscriptionContractPhase> {
        self.stored.body.initial.as_ref()
    }

    /// What is subscribed to.
    async fn item(&self) -> &SubscriptionContractItem {
        &self.stored.body.item
    }

    /// How it is paid.
    async fn payment(&self) -> Option<Payment> {
        self.stored.body.payment.clone()
    }

    /// What every later period costs.
    async fn recurring(&self) -> Option<&SubscriptionContractPhase> {
        Some(&self.stored.body.recurring)
    }

    /// How it stands.
    async fn status(&self) -> &SubscriptionContractStatus {
        &self.stored.body.status
    }

    /// The plan that it was made from.
    async fn subscription_plan(&self) -> Option<SubscriptionPlan> {
        let plan = self.stored.body.subscription_plan.as_ref()?;
        Some(SubscriptionPlan {
            identifier: plan.identifier.clone(),
            period_id: plan.period_id.clone().map(ID),
            tenant_id: ID(self.stored.tenant_id.to_string()),
        })
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

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.stored.updated_at)
    }
}

/// The plan that a contract was made from.
pub struct SubscriptionPlan {
    identifier: String,
    period_id: Option<ID>,
    tenant_id: ID,
}

/// The plan that a contract was made from, by reference: plans themselves are kept elsewhere.
#[Object]
impl SubscriptionPlan {
    /// What identifies it within its tenant.
    async fn identifier(&self) -> &str {
        &self.identifier
    }

    /// What it is called, where that is known.
    async fn name(&self) -> Option<&str> {
        None
    }

    /// The period of it that the contract is for.
    async fn period_id(&self) -> Option<&ID> {
        self.period_id.as_ref()
    }

    /// The owner.
    #[graphql(directive = requires::apply(PermissionName::TenantsRead))]
    async fn tenant(&self, ctx: &Context<'_>) -> async_graphql::Result<Tenant> {
        PimContext::of(ctx)?.own_tenant().await.graphql().map(Tenant::from)
    }

    /// The owner's id.
    async fn tenant_id(&self) -> &ID {
        &self.tenant_id
    }
}

connection!(
    SubscriptionContractConnection,
    SubscriptionContractConnectionEdge,
    SubscriptionContract,
    SubscriptionContractBody
);
