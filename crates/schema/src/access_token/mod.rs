//! Access tokens in the API: created, listed and revoked. Only the answer that creates a token shows its text.

mod mutations;
mod object;

pub(crate) use mutations::AccessTokenMutationRoot;

use crate::access::TokensRead;
use crate::connection::list_size;
use crate::context::ApiContext;
use crate::ids::{parsed, required};
use crate::limits::TOKENS_LIST_MAX;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::ids::TokenId;
use hookgraph_domain::refusal::Refusal;
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
    /// The token of that id; a revoked or expired one too.
    #[graphql(directive = requires::apply(PermissionName::TokensRead))]
    async fn get(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<AccessTokenObject>> {
        let api = ApiContext::of(ctx)?;
        let Some(id) = parsed(&id) else { return Ok(None) };
        Ok(api.may::<TokensRead>().graphql()?.token(id).await.graphql()?.map(AccessTokenObject))
    }

    /// The tenant's tokens, the latest first; revoked and expired ones too. Up to 1000, and `after` the last of them goes
    /// on.
    #[graphql(directive = requires::apply(PermissionName::TokensRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most so many, 1 to 100; up to 1000 where none is named.")] first: Option<i32>,
        #[graphql(desc = "After the token of this id.")] after: Option<ID>,
    ) -> async_graphql::Result<Vec<AccessTokenObject>> {
        latest(ApiContext::of(ctx)?, first, after.as_ref()).await.graphql()
    }
}

async fn latest(api: &ApiContext, first: Option<i32>, after: Option<&ID>) -> Result<Vec<AccessTokenObject>, Refusal> {
    let size = list_size(first, TOKENS_LIST_MAX)?;
    let mut tokens = api.may::<TokensRead>()?.tokens().await?;
    if let Some(id) = after {
        let token_id: TokenId = required("access token", id)?;
        let place = tokens.iter().position(|token| token.id == token_id);
        tokens.truncate(place.ok_or_else(|| Refusal::not_found("access token", id))?);
    }
    Ok(tokens.into_iter().rev().take(size as usize).map(AccessTokenObject).collect())
}
