//! `accessToken { create revoke }`.

use super::object::{AccessTokenObject, CreatedAccessToken};
use crate::access::{Managed, TokensRead, TokensWrite};
use crate::context::ApiContext;
use crate::ids::required;
use crate::limits::{TOKEN_NAME_CHARS_MAX, TOKENS_VALID_MAX};
use async_graphql::{Context, ID, InputObject, Object};
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::TokenId;
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::problem::Problem;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::{self, AccessToken};
use hookgraph_pim::{DateTime, IntoGraphql, PermissionName, PimContext, requires};
use serde_json::{Value, json};

#[derive(Default)]
pub(crate) struct AccessTokenMutationRoot;

#[Object]
impl AccessTokenMutationRoot {
    /// What can be done to access tokens. None of it takes an idempotency key: list what is there before you try again.
    async fn access_token(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<AccessTokenMutations>> {
        PimContext::of(ctx)?.require_no_idempotency().graphql()?;
        Ok(Some(AccessTokenMutations))
    }
}

pub(crate) struct AccessTokenMutations;

/// A new token.
#[derive(InputObject)]
pub(crate) struct CreateAccessTokenInput {
    /// What it is for: 1 to 200 characters.
    name: String,
    /// What it may read and change: at most what you may.
    permissions: Vec<PermissionName>,
    /// From when on it is not valid any more; never where none is given.
    expires_at: Option<DateTime>,
}

/// What can be done to access tokens. None of it takes an idempotency key: list what is there before you try again.
#[Object(serial)]
impl AccessTokenMutations {
    /// Makes a token. Its text is shown in this answer alone.
    #[graphql(directive = requires::apply(PermissionName::TokensWrite))]
    async fn create(
        &self,
        ctx: &Context<'_>,
        input: CreateAccessTokenInput,
    ) -> async_graphql::Result<CreatedAccessToken> {
        create(ApiContext::of(ctx)?, input).await.graphql()
    }

    /// Ends a token at once, with its subscriptions. One that has ended before stays so.
    #[graphql(directive = requires::apply(PermissionName::TokensWrite))]
    async fn revoke(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<AccessTokenObject> {
        revoke(ApiContext::of(ctx)?, &id).await.graphql()
    }
}

async fn create(api: &ApiContext, input: CreateAccessTokenInput) -> Result<CreatedAccessToken, Refusal> {
    let allowed = api.may::<TokensWrite>()?;
    let now = api.now();
    let expires_at = input.expires_at.map(Into::into);
    check(&input, expires_at, now)?;
    let permissions: PermissionSet = input.permissions.iter().copied().map(Permission::from).collect();
    if let Some(permission) = api.caller.permissions.missing(permissions) {
        return Err(Refusal::forbidden(permission));
    }
    let tokens = api.may::<TokensRead>()?.tokens().await?;
    if tokens.iter().filter(|token| token.is_valid(now)).count() >= TOKENS_VALID_MAX {
        let message = format!("the tenant has {TOKENS_VALID_MAX} valid tokens: revoke one first");
        return Err(Refusal::new(RefusalCode::LimitExceeded, message));
    }
    let text = token::new_text(api.core.services.ports.entropy.as_ref());
    let token = AccessToken {
        id: TokenId(api.new_id()),
        tenant_id: api.tenant_id(),
        name: input.name,
        secret_sha256: token::sha256(&text),
        permissions,
        created_at: now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    let mut change = Change::at(now);
    change.writes.push(Write::InsertToken(token.clone()));
    let (subject, after) = (subject(token.id), Some(audited(&token)));
    allowed.commit(change, Managed { action: "accessToken.create", subject, before: None, after }).await?;
    Ok(CreatedAccessToken { token: text, access_token: AccessTokenObject(token) })
}

fn check(input: &CreateAccessTokenInput, expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    let mut problems = Vec::new();
    if !(1..=TOKEN_NAME_CHARS_MAX).contains(&input.name.trim().chars().count()) {
        let message = format!("a name has 1 to {TOKEN_NAME_CHARS_MAX} characters");
        problems.push(Problem::new("input.name", "NAME_LENGTH", message));
    }
    if input.name.contains(char::is_control) {
        let message = "the name holds a control character: use plain text on one line";
        problems.push(Problem::new("input.name", "NAME_INVALID", message));
    }
    if input.permissions.is_empty() {
        problems.push(Problem::new("input.permissions", "PERMISSIONS_EMPTY", "name at least one permission"));
    }
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        problems.push(Problem::new("input.expiresAt", "EXPIRY_PAST", "it must be in the future"));
    }
    if problems.is_empty() { Ok(()) } else { Err(Refusal::invalid(problems)) }
}

async fn revoke(api: &ApiContext, id: &ID) -> Result<AccessTokenObject, Refusal> {
    let allowed = api.may::<TokensWrite>()?;
    let token_id = required("access token", id)?;
    let missing = || Refusal::not_found("access token", id);
    let token = api.may::<TokensRead>()?.token(token_id).await?.ok_or_else(missing)?;
    if token.revoked_at.is_some() {
        return Ok(AccessTokenObject(token));
    }
    let mut change = Change::at(api.now());
    change.writes.push(Write::RevokeToken(token_id));
    let revoked = AccessToken { revoked_at: Some(change.at), ..token.clone() };
    let (before, after) = (Some(audited(&token)), Some(audited(&revoked)));
    let managed = Managed { action: "accessToken.revoke", subject: subject(token_id), before, after };
    allowed.commit(change, managed).await?;
    Ok(AccessTokenObject(revoked))
}

fn subject(id: TokenId) -> String {
    format!("accessToken:{id}")
}

/// A token as the audit log keeps it: without its hash.
fn audited(token: &AccessToken) -> Value {
    json!({
        "name": token.name,
        "permissions": token.permissions.names(),
        "expiresAt": token.expires_at.map(|at| at.to_rfc3339()),
        "revokedAt": token.revoked_at.map(|at| at.to_rfc3339()),
    })
}
