//! An access token as the API shows it.

use async_graphql::{ID, Object, SimpleObject};
use hookgraph_domain::token::AccessToken;
use hookgraph_pim::{DateTime, PermissionName};

#[derive(Clone)]
pub(crate) struct AccessTokenObject(pub AccessToken);

/// What opens this API to whoever shows its text, which is kept nowhere.
#[Object(name = "AccessToken")]
impl AccessTokenObject {
    /// Its id: the `userId` of what is done with it.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// What it is for.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it may read and change.
    async fn permissions(&self) -> Vec<PermissionName> {
        self.0.permissions.iter().map(Into::into).collect()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// From when on it is not valid any more; none means never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// When it was last shown, give or take a minute.
    async fn last_used_at(&self) -> Option<DateTime> {
        self.0.last_used_at.map(DateTime)
    }

    /// When it was revoked.
    async fn revoked_at(&self) -> Option<DateTime> {
        self.0.revoked_at.map(DateTime)
    }
}

/// A token that was just made.
#[derive(SimpleObject)]
pub(crate) struct CreatedAccessToken {
    /// The text to show as `authorization: Bearer …`. This answer is the only one that has it.
    pub token: String,
    /// The token.
    pub access_token: AccessTokenObject,
}
