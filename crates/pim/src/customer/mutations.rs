//! `customer { create update delete … }`.

use super::inputs::{
    CreateCustomerAddressInput, CreateCustomerInput, UpdateCustomerAddressInput, UpdateCustomerInput, new_address,
    new_body, updated_address, updated_body,
};
use super::{Customer, CustomerBody};
use crate::common::{KeyValuePair, check_identifier};
use crate::context::PimContext;
use crate::draft::{Draft, Raised, mutate};
use crate::error::IntoGraphql;
use crate::permission::{PermissionName, requires};
use crate::stored::Stored;
use crate::subscription_contract::delete_of_customer;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::record::Record;
use hookgraph_domain::refusal::Refusal;
use serde_json::json;

/// Mutations of customers.
pub struct CustomerMutations;

#[Object(serial)]
impl CustomerMutations {
    /// Creates a customer. Raises `customers/create`.
    #[graphql(directive = requires::apply(PermissionName::CustomersWrite))]
    async fn create(&self, ctx: &Context<'_>, input: CreateCustomerInput) -> async_graphql::Result<Customer> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&input.tenant_id)).graphql()?;
        let created = mutate(pim, async |mut draft| {
            let identifier = input.identifier.clone().unwrap_or_else(|| pim.new_id().to_string());
            check_identifier(&identifier)?;
            let body = new_body(input.clone(), identifier.clone(), || pim.new_id());
            let stored = draft.create(identifier, body)?;
            raise(&mut draft, "create", &stored, Vec::new(), None)?;
            Ok((draft, stored))
        });
        Ok(created.await.graphql()?.into())
    }

    /// Changes a customer. Raises `customers/update` if anything changed.
    #[graphql(directive = requires::apply(PermissionName::CustomersWrite))]
    async fn update(
        &self,
        ctx: &Context<'_>,
        identifier: String,
        input: UpdateCustomerInput,
        tenant_id: ID,
    ) -> async_graphql::Result<Customer> {
        let pim = PimContext::of(ctx)?;
        change(pim, &tenant_id, &identifier, |old| Ok(updated_body(old, input.clone(), || pim.new_id()))).await
    }

    /// Deletes a customer, and answers how many that were. Raises `customers/delete`; if its subscription contracts are to
    /// go too, `subscriptionContracts/delete` for each.
    #[graphql(directive = requires::apply(PermissionName::CustomersWrite))]
    async fn delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(false)")] delete_subscription_contracts: Option<bool>,
        identifier: String,
        tenant_id: ID,
    ) -> async_graphql::Result<i32> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let deleted = mutate(pim, async |mut draft| {
            let Some(stored) = pim.read::<CustomerBody>()?.one(&identifier).await? else { return Ok((draft, 0)) };
            let tombstone = draft.delete(&stored)?;
            raise(&mut draft, "delete", &stored, Vec::new(), Some(tombstone))?;
            if delete_subscription_contracts == Some(true) {
                delete_of_customer(&mut draft, &identifier).await?;
            }
            Ok((draft, 1))
        });
        deleted.await.graphql()
    }

    /// Adds an address. Raises `customers/update`.
    #[graphql(directive = requires::apply(PermissionName::CustomersWrite))]
    async fn create_address(
        &self,
        ctx: &Context<'_>,
        identifier: String,
        input: CreateCustomerAddressInput,
        tenant_id: ID,
    ) -> async_graphql::Result<Customer> {
        let pim = PimContext::of(ctx)?;
        let add = |old: &CustomerBody| {
            let mut body = old.clone();
            body.addresses.get_or_insert_default().push(new_address(input.clone(), pim.new_id()));
            Ok(body)
        };
        change(pim, &tenant_id, &identifier, add).await
    }

    /// Changes an address. Raises `customers/update` if anything changed.
    #[graphql(directive = requires::apply(PermissionName::CustomersWrite))]
    async fn update_address(
        &self,
        ctx: &Context<'_>,
        address_id: String,
        identifier: String,
        input: UpdateCustomerAddressInput,
        tenant_id: ID,
    ) -> async_graphql::Result<Customer> {
        let pim = PimContext::of(ctx)?;
        let replace = |old: &CustomerBody| {
            let mut body = old.clone();
            let mut addresses = body.addresses.iter_mut().flatten();
            let address = addresses.find(|address| address.id.as_deref() == Some(address_id.as_str()));
            let address = address.ok_or_else(|| Refusal::not_found("address", &address_id))?;
            *address = updated_address(address, input.clone());
            Ok(body)
        };
        change(pim, &tenant_id, &identifier, replace).await
    }

    /// Removes an address, and answers how many that were. Raises `customers/update` if there was one.
    #[graphql(directive = requires::apply(PermissionName::CustomersWrite))]
    async fn delete_address(
        &self,
        ctx: &Context<'_>,
        address_id: String,
        identifier: String,
        tenant_id: ID,
    ) -> async_graphql::Result<i32> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let deleted = mutate(pim, async |mut draft| {
            let old = pim.read::<CustomerBody>()?.existing(&identifier).await?;
            let mut body = old.body.clone();
            let addresses = body.addresses.get_or_insert_default();
            let count_before = addresses.len();
            addresses.retain(|address| address.id.as_deref() != Some(address_id.as_str()));
            let deleted = count_before - addresses.len();
            if deleted > 0 {
                let (stored, changed) = draft.update(&old, body)?;
                raise(&mut draft, "update", &stored, changed, None)?;
            }
            Ok((draft, i32::from(deleted > 0)))
        });
        deleted.await.graphql()
    }

    /// Sets one further property. Raises `customers/update` if it changed.
    #[graphql(directive = requires::apply(PermissionName::CustomersWrite))]
    async fn set_metadata(
        &self,
        ctx: &Context<'_>,
        identifier: String,
        key: String,
        tenant_id: ID,
        value: String,
    ) -> async_graphql::Result<Customer> {
        let set = |old: &CustomerBody| {
            let mut body = old.clone();
            let meta = body.meta.get_or_insert_default();
            match meta.iter_mut().find(|pair| pair.key == key) {
                Some(pair) => pair.value = Some(value.clone()),
                None => meta.push(KeyValuePair { key: key.clone(), value: Some(value.clone()) }),
            }
            Ok(body)
        };
        change(PimContext::of(ctx)?, &tenant_id, &identifier, set).await
    }
}

/// Replaces a customer's body; raises `customers/update` if the body changed.
async fn change(
    pim: &PimContext,
    tenant_id: &ID,
    identifier: &str,
    new_body: impl Fn(&CustomerBody) -> Result<CustomerBody, Refusal> + Sync,
) -> async_graphql::Result<Customer> {
    pim.tenant(Some(tenant_id)).graphql()?;
    let updated = mutate(pim, async |mut draft| {
        let old = pim.read::<CustomerBody>()?.existing(identifier).await?;
        let (stored, changed) = draft.update(&old, new_body(&old.body)?)?;
        if !changed.is_empty() {
            raise(&mut draft, "update", &stored, changed, None)?;
        }
        Ok((draft, stored))
    });
    Ok(updated.await.graphql()?.into())
}

fn raise(
    draft: &mut Draft<'_>,
    event: &'static str,
    stored: &Stored<CustomerBody>,
    changed_fields: Vec<String>,
    tombstone: Option<Record>,
) -> Result<(), Refusal> {
    let variables = vec![("identifier", json!(stored.key))];
    draft.raise(Raised { variables, changed_fields, tombstone, ..Raised::of("customers", event, stored) })
}
