//! Access tokens in the API: made, listed and revoked; their text is shown in the answer that made it alone.

mod mutations;
mod object;

pub(crate) use mutations::AccessTokenMutationRoot;

use crate::access::TokensRead;
use crate::context::Asked;
use crate::limits::TOKENS_LIST_MAX;
use async_graphql::{Context, Object};
use hookgraph_pim::{IntoGraphql, PermissionName, requires};
use object::AccessTokenObject;

#[derive(Default)]
pub(crate) struct AccessTokenQueryRoot;

#[Object]
impl AccessTokenQueryRoot {
    /// What opens this API.
    async fn access_token(&self) -> AccessTokenQueries {
        AccessTokenQueries
    }
}

pub(crate) struct AccessTokenQueries;

/// Access tokens.
#[Object]
impl AccessTokenQueries {
    /// The tenant's tokens, the latest first; revoked and expired ones too.
    #[graphql(directive = requires::apply(PermissionName::TokensRead))]
    async fn get_many(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<AccessTokenObject>> {
        let tokens = Asked::of(ctx)?.may::<TokensRead>().graphql()?.tokens().await.graphql()?;
        Ok(tokens.into_iter().rev().take(TOKENS_LIST_MAX).map(AccessTokenObject).collect())
    }
}
