//! The stored body of a grid, and its links.

use crate::common::KeyValuePair;
use crate::stored::{RecordBody, link};
use crate::version::Versions;
use hookgraph_domain::record::{Link, RecordKind};
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A grid as stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GridBody {
    /// By language.
    pub languages: BTreeMap<String, Versions<GridContent>>,
    pub updated_at: Timestamp,
}

/// One version of a grid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GridContent {
    pub name: Option<String>,
    pub rows: Vec<RowBody>,
    pub meta: Option<Vec<KeyValuePair>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowBody {
    pub columns: Vec<ColumnBody>,
    pub meta: Option<Vec<KeyValuePair>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ColumnBody {
    pub item_id: Option<String>,
    pub layout: Option<LayoutBody>,
    pub meta: Option<Vec<KeyValuePair>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayoutBody {
    pub colspan: Option<i32>,
    pub rowspan: Option<i32>,
}

/// The relation from a grid to the items in it.
const ITEM: &str = "item";

impl RecordBody for GridBody {
    const KIND: RecordKind = RecordKind::Grid;

    fn links(&self) -> Vec<Link> {
        let versions = self.languages.values().flat_map(|versions| versions.draft.iter().chain(&versions.published));
        let columns = versions.flat_map(|version| &version.content.rows).flat_map(|row| &row.columns);
        let links: BTreeSet<_> = columns.filter_map(|column| Some(link(ITEM, column.item_id.as_deref()?))).collect();
        links.into_iter().collect()
    }
}
