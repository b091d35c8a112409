//! Flows: stages through which items go. An item is in at most one stage of a flow.

mod body;
mod inputs;
mod mutations;
mod queries;
mod stages;

pub(crate) use body::FlowBody;
pub(crate) use mutations::FlowMutations;
pub(crate) use queries::FlowQueries;
pub(crate) use stages::raise_removals;

use crate::common::SortDirection;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::item::{FLOW_STAGE, Item, ItemBody, ItemView};
use crate::paging::{ListOf, Page, PageArguments, PageInfo, UnreadableRecord, connection, page, tell_left_out};
use crate::permission::{PermissionName, requires};
use crate::scalars::DateTime;
use crate::stored::Stored;
use crate::version::{Edition, VersionLabel};
use async_graphql::{ComplexObject, Context, ID, Object, SimpleObject};
use body::StageBody;
use hookgraph_domain::page::RecordSort;

/// A flow.
#[derive(Clone)]
pub struct Flow(Stored<FlowBody>);

impl From<Stored<FlowBody>> for Flow {
    fn from(stored: Stored<FlowBody>) -> Self {
        Self(stored)
    }
}

connection!(FlowConnection, FlowConnectionEdge, Flow, FlowBody);

/// A flow.
#[Object]
impl Flow {
    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Its id.
    async fn id(&self) -> ID {
        ID(self.0.key.clone())
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.body.name
    }

    /// Its stages, in order.
    async fn stages(&self) -> Option<Vec<FlowStage>> {
        Some(self.0.body.stages.iter().cloned().map(FlowStage).collect())
    }

    /// The owner.
    async fn tenant_id(&self) -> ID {
        ID(self.0.tenant_id.to_string())
    }

    /// When it was last changed.
    async fn updated_at(&self) -> Option<DateTime> {
        Some(DateTime(self.0.updated_at))
    }
}

/// A stage of a flow.
#[derive(Clone)]
pub struct FlowStage(StageBody);

/// A stage of a flow.
#[Object]
impl FlowStage {
    /// When it was created.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Its id.
    async fn id(&self) -> ID {
        ID(self.0.id.clone())
    }

    /// The items in it, the latest first; in the tenant's default language unless another is named.
    #[allow(clippy::too_many_arguments, reason = "paging, language and version")]
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn items(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        #[graphql(default_with = "Some(20)")] first: Option<i32>,
        language: Option<String>,
        last: Option<i32>,
    ) -> async_graphql::Result<FlowItemConnection> {
        let pim = PimContext::of(ctx)?;
        let language = match language {
            Some(language) => language,
            None => pim.default_language().await.graphql()?,
        };
        let list = ListOf {
            linked: vec![(FLOW_STAGE.to_owned(), self.0.id.clone())],
            sort: RecordSort::CreatedAt,
            direction: SortDirection::Desc,
        };
        let page = page::<ItemBody>(pim, list, PageArguments { after, before, first, last }).await.graphql()?;
        Ok(FlowItemConnection::of(page, &Edition { language, label: VersionLabel::Current }))
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.name
    }
}

/// One page of the items of a stage.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct FlowItemConnection {
    /// Where the page stands in its list.
    pub page_info: PageInfo,
    #[graphql(skip)]
    items: Vec<FlowItemConnectionEdge>,
    #[graphql(skip)]
    unreadable: Vec<UnreadableRecord>,
}

#[ComplexObject]
impl FlowItemConnection {
    /// The items with their cursors.
    async fn edges(&self, ctx: &Context<'_>) -> Option<&[FlowItemConnectionEdge]> {
        tell_left_out(ctx, &self.unreadable);
        Some(&self.items)
    }
}

/// An item with its cursor.
#[derive(SimpleObject)]
pub struct FlowItemConnectionEdge {
    /// Where the item stands in the list.
    pub cursor: String,
    /// The item.
    pub node: Item,
}

impl FlowItemConnection {
    fn of(page: Page<ItemBody>, edition: &Edition) -> Self {
        let edge = |(cursor, stored)| {
            let node = Item::from(ItemView::of(stored, edition)?);
            Some(FlowItemConnectionEdge { cursor, node })
        };
        let items = page.nodes.into_iter().filter_map(edge).collect();
        Self { items, unreadable: page.unreadable, page_info: page.info }
    }
}
