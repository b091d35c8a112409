//! `customer { get getMany }`.

use super::body::{EXTERNAL_REFERENCE, META, pair_text};
use super::{Customer, CustomerBody, CustomerConnection};
use crate::common::{KeyValuePairInput, SortDirection};
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::paging::{ListOf, PageArguments, page};
use crate::permission::{PermissionName, requires};
use async_graphql::{Context, ID, InputObject, Object};
use hookgraph_domain::page::RecordSort;
use hookgraph_domain::refusal::Refusal;

/// The id of a customer in another system.
#[derive(Clone, Debug, InputObject)]
pub struct CustomerExternalReferenceInput {
    /// Which system.
    pub key: String,
    /// The id there.
    pub value: String,
}

/// Queries on customers.
pub struct CustomerQueries;

#[Object]
impl CustomerQueries {
    /// One customer, by identifier or by an id in another system.
    #[graphql(directive = requires::apply(PermissionName::CustomersRead))]
    async fn get(
        &self,
        ctx: &Context<'_>,
        external_reference: Option<CustomerExternalReferenceInput>,
        identifier: Option<String>,
        tenant_id: ID,
    ) -> async_graphql::Result<Option<Customer>> {
        let pim = PimContext::of(ctx)?;
        if pim.tenant(Some(&tenant_id)).is_err() {
            return Ok(None);
        }
        let found = match (identifier, external_reference) {
            (Some(identifier), None) => pim.read::<CustomerBody>().graphql()?.one(&identifier).await.graphql()?,
            (None, Some(reference)) => {
                let value = pair_text(&reference.key, Some(&reference.value));
                pim.read::<CustomerBody>().graphql()?.named(EXTERNAL_REFERENCE, &value).await.graphql()?
            }
            _ => {
                let message = "name the customer by either identifier or externalReference";
                return Err(Refusal::invalid_at("identifier", "ONE_OF", message)).graphql();
            }
        };
        Ok(found.map(Customer::from))
    }

    /// Customers, the latest first.
    #[allow(clippy::too_many_arguments, reason = "the PIM API's arguments")]
    #[graphql(directive = requires::apply(PermissionName::CustomersRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        identifier: Option<ID>,
        last: Option<i32>,
        meta: Option<Vec<KeyValuePairInput>>,
        tenant_id: ID,
    ) -> async_graphql::Result<Option<CustomerConnection>> {
        let pim = PimContext::of(ctx)?;
        pim.tenant(Some(&tenant_id)).graphql()?;
        let mut linked: Vec<_> = meta
            .into_iter()
            .flatten()
            .map(|pair| (META.to_owned(), pair_text(&pair.key, pair.value.as_deref())))
            .collect();
        linked.extend(identifier.map(|identifier| (super::body::IDENTIFIER.to_owned(), identifier.0)));
        let list = ListOf { linked, sort: RecordSort::CreatedAt, direction: SortDirection::Desc };
        let arguments = PageArguments { after, before, first, last };
        let page = page::<CustomerBody>(pim, list, arguments).await.graphql()?;
        Ok(Some(page.into()))
    }
}
