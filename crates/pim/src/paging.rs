//! Pages of records as Relay connections, by keyset.

use crate::common::SortDirection;
use crate::context::PimContext;
use crate::error::graphql_error;
use crate::limits::{LIST_MAX, READ_BATCH_ROWS};
use crate::loaders::ReadError;
use crate::stored::{RecordBody, Stored};
use async_graphql::{Context, SimpleObject};
use hookgraph_domain::limits::{CHANGE_ROWS_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use hookgraph_domain::page::{Direction, RecordPosition, RecordQuery, RecordSort};
use hookgraph_domain::record::Record;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;

/// Where a page stands in its list.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
pub struct PageInfo {
    /// The cursor of the last edge; empty when there is none.
    pub end_cursor: String,
    /// Whether there are more after this page.
    pub has_next_page: bool,
    /// Whether there are more before this page.
    pub has_previous_page: bool,
    /// The cursor of the first edge; empty when there is none.
    pub start_cursor: String,
    /// How many nodes the whole list has.
    pub total_nodes: i32,
}

/// The paging arguments that every connection takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageArguments {
    pub after: Option<String>,
    pub before: Option<String>,
    pub first: Option<i32>,
    pub last: Option<i32>,
}

/// The list of which a page is read.
#[derive(Clone, Debug)]
pub(crate) struct ListOf {
    pub linked: Vec<(String, String)>,
    pub sort: RecordSort,
    pub direction: SortDirection,
}

/// One page of records, each with its cursor.
pub(crate) struct Page<B> {
    pub nodes: Vec<(String, Stored<B>)>,
    /// The records of the page that cannot be read.
    pub unreadable: Vec<UnreadableRecord>,
    pub info: PageInfo,
}

/// A record that a list leaves out because its body cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct UnreadableRecord {
    pub kind: &'static str,
    pub key: String,
}

/// Adds an error at the list's path for each record that the list leaves out. As any error does, it fails a payload; a
/// caller of the API gets the other records with it.
pub(crate) fn tell_left_out(ctx: &Context<'_>, unreadable: &[UnreadableRecord]) {
    for UnreadableRecord { kind, key } in unreadable {
        let message = format!("the {kind} {key:?} cannot be read and is left out: the server's log says why");
        let error = graphql_error(&Refusal::new(RefusalCode::Internal, message));
        ctx.add_error(ctx.set_error_path(error.into_server_error(ctx.item.pos)));
    }
}

/// Reads one page of `B`'s records.
pub(crate) async fn page<B: RecordBody>(
    pim: &PimContext,
    list: ListOf,
    arguments: PageArguments,
) -> Result<Page<B>, Refusal> {
    let backward = arguments.last.is_some() || arguments.before.is_some();
    if backward && arguments.after.is_some() {
        return Err(Refusal::invalid_at(
            "before",
            "PAGING_MIXED",
            "page forward (first, after) or backward (last, before)",
        ));
    }
    let limit = page_size(if backward { ("last", arguments.last) } else { ("first", arguments.first) })?;
    let position = if backward { ("before", &arguments.before) } else { ("after", &arguments.after) };
    let forward_direction = match list.direction {
        SortDirection::Asc => Direction::Ascending,
        SortDirection::Desc => Direction::Descending,
    };
    let query = RecordQuery {
        tenant_id: pim.caller.tenant_id,
        kind: B::KIND,
        linked: list.linked,
        sort: list.sort,
        direction: if backward { opposite(forward_direction) } else { forward_direction },
        after: position.1.as_deref().map(|cursor| read_cursor(position.0, cursor)).transpose()?,
        limit: limit + 1,
    };
    let mut records = pim.record_page(&query).await?;
    let total = pim.record_count(&RecordQuery { after: None, ..query.clone() }).await?;
    let more = records.len() > limit as usize;
    records.truncate(limit as usize);
    if backward {
        records.reverse();
    }
    let cursor_of = |record: &Record| {
        let at = if list.sort == RecordSort::CreatedAt { record.created_at } else { record.updated_at };
        write_cursor(at, &record.reference.key)
    };
    let (mut nodes, mut unreadable) = (Vec::with_capacity(records.len()), Vec::new());
    for record in &records {
        match pim.listed(record) {
            Ok(stored) => nodes.push((cursor_of(record), stored)),
            Err(left_out) => unreadable.push(left_out),
        }
    }
    let started_inside = query.after.is_some();
    // The cursors count unreadable records too: a page of nothing but them is not the end of the list.
    let info = PageInfo {
        start_cursor: records.first().map(cursor_of).unwrap_or_default(),
        end_cursor: records.last().map(cursor_of).unwrap_or_default(),
        has_next_page: if backward { started_inside } else { more },
        has_previous_page: if backward { more } else { started_inside },
        total_nodes: i32::try_from(total).unwrap_or(i32::MAX),
    };
    Ok(Page { nodes, unreadable, info })
}

/// The latest of `B`'s records, up to the limit of a list. They are read in pieces, so that too many bytes are refused
/// before all of them are in memory.
pub(crate) async fn latest<B: RecordBody>(pim: &PimContext) -> Result<Vec<Stored<B>>, ReadError> {
    let mut query = RecordQuery {
        tenant_id: pim.caller.tenant_id,
        kind: B::KIND,
        linked: Vec::new(),
        sort: RecordSort::CreatedAt,
        direction: Direction::Descending,
        after: None,
        limit: READ_BATCH_ROWS,
    };
    let (mut latest, mut left) = (Vec::new(), LIST_MAX);
    loop {
        query.limit = READ_BATCH_ROWS.min(left);
        left -= query.limit;
        let records = pim.record_page(&query).await?;
        for record in &records {
            latest.push(Stored::read(record)?);
        }
        let last = records.last().filter(|_| left > 0 && records.len() == query.limit as usize);
        let Some(last) = last else { return Ok(latest) };
        query.after = Some(RecordPosition { at: last.created_at, key: last.reference.key.clone() });
    }
}

/// All of `B`'s records with that link, in the order of their keys.
///
/// # Errors
/// [`RefusalCode::LimitExceeded`] for more records than one change may write.
pub(crate) async fn all_linked<B: RecordBody>(
    pim: &PimContext,
    relation: &str,
    target: &str,
) -> Result<Vec<Stored<B>>, Refusal> {
    let mut query = RecordQuery {
        tenant_id: pim.caller.tenant_id,
        kind: B::KIND,
        linked: vec![(relation.to_owned(), target.to_owned())],
        sort: RecordSort::Key,
        direction: Direction::Ascending,
        after: None,
        limit: READ_BATCH_ROWS,
    };
    let mut all = Vec::new();
    loop {
        let records = pim.record_page(&query).await?;
        for record in &records {
            all.push(Stored::read(record)?);
        }
        if all.len() > CHANGE_ROWS_MAX {
            let message = format!("more than {CHANGE_ROWS_MAX} records are concerned: do it in parts");
            return Err(Refusal::new(RefusalCode::LimitExceeded, message));
        }
        let last = records.last().filter(|_| records.len() == READ_BATCH_ROWS as usize);
        let Some(last) = last else { return Ok(all) };
        query.after = Some(RecordPosition { at: last.created_at, key: last.reference.key.clone() });
    }
}

/// The size of a page: the default where the argument is not given. A size beyond the limit is refused.
pub(crate) fn page_size((argument, asked): (&str, Option<i32>)) -> Result<u32, Refusal> {
    match asked {
        None => Ok(PAGE_SIZE_DEFAULT),
        Some(n) => u32::try_from(n)
            .ok()
            .filter(|n| (1..=PAGE_SIZE_MAX).contains(n))
            .ok_or_else(|| Refusal::invalid_at(argument, "PAGE_SIZE", format!("{n} is not from 1 to {PAGE_SIZE_MAX}"))),
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ascending => Direction::Descending,
        Direction::Descending => Direction::Ascending,
    }
}

fn write_cursor(at: Timestamp, key: &str) -> String {
    format!("{}:{key}", at.timestamp_micros())
}

fn read_cursor(argument: &str, cursor: &str) -> Result<RecordPosition, Refusal> {
    let position = cursor.split_once(':').and_then(|(micros, key)| {
        let at = Timestamp::from_timestamp_micros(micros.parse().ok()?)?;
        Some(RecordPosition { at, key: key.to_owned() })
    });
    position.ok_or_else(|| Refusal::invalid_at(argument, "CURSOR", format!("{cursor:?} is no cursor of this list")))
}

/// Declares the connection of a noun and makes it from a page.
macro_rules! connection {
    ($connection:ident, $edge:ident, $node:ident, $body:ty) => {
        /// One page of a list.
        #[derive(Clone, async_graphql::SimpleObject)]
        #[graphql(complex)]
        pub struct $connection {
            /// Where the page stands in its list.
            pub page_info: $crate::paging::PageInfo,
            #[graphql(skip)]
            nodes: Vec<$edge>,
            #[graphql(skip)]
            unreadable: Vec<$crate::paging::UnreadableRecord>,
        }

        #[async_graphql::ComplexObject]
        impl $connection {
            /// The nodes with their cursors.
            async fn edges(&self, ctx: &async_graphql::Context<'_>) -> Option<&[$edge]> {
                $crate::paging::tell_left_out(ctx, &self.unreadable);
                Some(&self.nodes)
            }
        }

        /// A node with its cursor.
        #[derive(Clone, async_graphql::SimpleObject)]
        pub struct $edge {
            /// Where the node stands in the list.
            pub cursor: String,
            /// The node.
            pub node: $node,
        }

        impl From<$crate::paging::Page<$body>> for $connection {
            fn from(page: $crate::paging::Page<$body>) -> Self {
                let edges = page.nodes.into_iter().map(|(cursor, stored)| $edge { cursor, node: $node::from(stored) });
                Self { nodes: edges.collect(), unreadable: page.unreadable, page_info: page.info }
            }
        }
    };
}
pub(crate) use connection;
