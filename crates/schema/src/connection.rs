//! Pages of the history as Relay connections, newest first, by keyset: a cursor is the id of the last row that the
//! caller saw.

use async_graphql::SimpleObject;
use hookgraph_domain::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::DateTime;
use uuid::Uuid;

/// The default of `first`, in the type of the argument.
pub(crate) const FIRST_DEFAULT: i32 = PAGE_SIZE_DEFAULT as i32;

/// Where a page stands in the history.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
pub(crate) struct HistoryPageInfo {
    /// The cursor of the last edge: what `after` continues from.
    pub end_cursor: Option<String>,
    /// Whether there is more after this page.
    pub has_next_page: bool,
    /// Whether the page was asked for after a cursor.
    pub has_previous_page: bool,
    /// The cursor of the first edge.
    pub start_cursor: Option<String>,
}

/// The page that the arguments ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageRequest {
    pub size: u32,
    pub before: Option<Uuid>,
}

impl PageRequest {
    /// Reads `first` and `after`.
    pub fn read(first: Option<i32>, after: Option<&str>) -> Result<Self, Refusal> {
        let size = page_size("first", first, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)?;
        let cursor = after.map(|cursor| {
            Uuid::try_parse(cursor)
                .map_err(|_| Refusal::invalid_at("after", "CURSOR", format!("{cursor:?} is no cursor of this list")))
        });
        Ok(Self { size, before: cursor.transpose()? })
    }

    /// The rows to read: one more than the page holds tells whether there is a next page.
    pub fn limit(&self) -> u32 {
        self.size + 1
    }

    /// Cuts the rows that were read to the page, and describes its place in the history.
    pub fn cut<T>(&self, rows: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> HistoryPageInfo {
        let has_next_page = rows.len() > self.size as usize;
        rows.truncate(self.size as usize);
        HistoryPageInfo {
            start_cursor: rows.first().map(|row| id(row).to_string()),
            end_cursor: rows.last().map(|row| id(row).to_string()),
            has_next_page,
            has_previous_page: self.before.is_some(),
        }
    }
}

/// The size of a list that is no connection: `first` up to the size of a page, or `most` where it is not given.
pub(crate) fn list_size(first: Option<i32>, most: u32) -> Result<u32, Refusal> {
    page_size("first", first, most, PAGE_SIZE_MAX)
}

/// A size from an argument: `default` where it is not given. A size beyond `max` is refused.
pub(crate) fn page_size(argument: &str, asked: Option<i32>, default: u32, max: u32) -> Result<u32, Refusal> {
    let Some(n) = asked else { return Ok(default) };
    let size = u32::try_from(n).ok().filter(|n| (1..=max).contains(n));
    size.ok_or_else(|| Refusal::invalid_at(argument, "PAGE_SIZE", format!("{n} is not from 1 to {max}")))
}

/// Refuses an empty range of time: its answer would look as if nothing had happened. `path` is the place of the range's
/// end.
pub(crate) fn require_range(from: Option<DateTime>, before: Option<DateTime>, path: &str) -> Result<(), Refusal> {
    match (from, before) {
        (Some(from), Some(before)) if before <= from => {
            let message = format!("the range is empty: it must end after it begins, at {from}");
            Err(Refusal::invalid_at(path, "RANGE_EMPTY", message))
        }
        _ => Ok(()),
    }
}

/// Declares the connection of a noun of the history.
macro_rules! history_connection {
    ($connection:ident, $edge:ident, $node:ident) => {
        /// One page of the history, newest first.
        #[derive(Clone, async_graphql::SimpleObject)]
        pub(crate) struct $connection {
            /// The nodes with their cursors.
            edges: Vec<$edge>,
            /// The nodes.
            nodes: Vec<$node>,
            /// Where the page stands in the history.
            page_info: $crate::connection::HistoryPageInfo,
        }

        /// A node with its cursor.
        #[derive(Clone, async_graphql::SimpleObject)]
        pub(crate) struct $edge {
            /// Where the node stands.
            cursor: String,
            /// The node.
            node: $node,
        }
    };
}
pub(crate) use history_connection;
