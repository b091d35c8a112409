//! The audit log in the API.

use crate::access::AuditRead;
use crate::connection::{FIRST_DEFAULT, PageRequest, history_connection};
use crate::context::ApiContext;
use async_graphql::{Context, ID, Object};
use hookgraph_domain::audit::{AuditEntry, AuditQuery};
use hookgraph_pim::{DateTime, IntoGraphql, JsonValue, PermissionName, requires};

history_connection!(AuditConnection, AuditEdge, AuditEntryObject);

#[derive(Default)]
pub(crate) struct AuditQueryRoot;

#[Object]
impl AuditQueryRoot {
    /// Who managed what, and when.
    async fn audit(&self) -> AuditQueries {
        AuditQueries
    }
}

pub(crate) struct AuditQueries;

/// The log of management actions.
#[Object]
impl AuditQueries {
    /// Entries, newest first.
    #[graphql(directive = requires::apply(PermissionName::AuditRead))]
    async fn get_many(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "About this, e.g. `webhook:0198…`.")] subject: Option<String>,
        #[graphql(desc = "At most so many, 1 to 100.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(desc = "After this cursor.")] after: Option<String>,
    ) -> async_graphql::Result<AuditConnection> {
        let api = ApiContext::of(ctx)?;
        let page = PageRequest::read(first, after.as_deref()).graphql()?;
        let query = AuditQuery { tenant_id: api.tenant_id(), subject, before: page.before, limit: page.limit() };
        let mut entries = api.may::<AuditRead>().graphql()?.audit_page(query).await.graphql()?;
        let page_info = page.cut(&mut entries, |entry| entry.id.0);
        let nodes: Vec<_> = entries.into_iter().map(AuditEntryObject).collect();
        let edges = nodes.iter().map(|node| AuditEdge { cursor: node.0.id.to_string(), node: node.clone() }).collect();
        Ok(AuditConnection { edges, nodes, page_info })
    }
}

#[derive(Clone)]
pub(crate) struct AuditEntryObject(AuditEntry);

/// One management action.
#[Object(name = "AuditEntry")]
impl AuditEntryObject {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// When it was done.
    async fn at(&self) -> DateTime {
        DateTime(self.0.at)
    }

    /// Who: the token's id, or the subject that an issuer vouched for.
    async fn user_id(&self) -> Option<&str> {
        self.0.user_id.as_deref()
    }

    /// What was done, e.g. `webhook.update`.
    async fn action(&self) -> &str {
        &self.0.action
    }

    /// To what it was done, e.g. `webhook:0198…`.
    async fn subject(&self) -> &str {
        &self.0.subject
    }

    /// What the subject was before, secrets redacted.
    async fn before(&self) -> Option<JsonValue> {
        json(self.0.before.as_deref())
    }

    /// What the subject became, secrets redacted.
    async fn after(&self) -> Option<JsonValue> {
        json(self.0.after.as_deref())
    }
}

fn json(text: Option<&str>) -> Option<JsonValue> {
    serde_json::from_str(text?).ok().map(JsonValue)
}
