//! Inputs of grids.

use super::body::{ColumnBody, LayoutBody, RowBody};
use crate::common::{KeyValuePairInput, converted};
use crate::limits::INPUT_LIST_MAX;
use async_graphql::{ID, InputObject};
use hookgraph_domain::refusal::Refusal;

/// A new grid.
#[derive(Clone, Debug, InputObject)]
pub struct CreateGridInput {
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: Option<Vec<GridRowInput>>,
    /// The owner.
    pub tenant_id: ID,
}

/// What shall change of a grid: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateGridInput {
    /// Further properties: they replace those before.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// Its name.
    pub name: Option<String>,
    /// Its rows: they replace those before.
    pub rows: Option<Vec<GridRowInput>>,
}

/// A row of a grid.
#[derive(Clone, Debug, InputObject)]
pub struct GridRowInput {
    /// Its columns.
    pub columns: Option<Vec<GridColumnInput>>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
}

/// A column of a grid's row.
#[derive(Clone, Debug, InputObject)]
pub struct GridColumnInput {
    /// The item in it.
    pub item_id: Option<ID>,
    /// How far it spreads.
    pub layout: Option<GridLayoutInput>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
}

/// How far a column spreads.
#[derive(Clone, Debug, InputObject)]
pub struct GridLayoutInput {
    /// Over how many columns.
    pub colspan: Option<i32>,
    /// Over how many rows.
    pub rowspan: Option<i32>,
}

/// The stored bodies of rows.
pub(super) fn row_bodies(inputs: Vec<GridRowInput>) -> Result<Vec<RowBody>, Refusal> {
    let cells: usize = inputs.iter().map(|row| 1 + row.columns.as_ref().map_or(0, Vec::len)).sum();
    if cells > INPUT_LIST_MAX {
        let message = format!("{cells} rows and columns, {INPUT_LIST_MAX} are allowed");
        return Err(Refusal::invalid_at("input.rows", "TOO_MANY", message));
    }
    let column = |input: GridColumnInput| ColumnBody {
        item_id: input.item_id.map(|id| id.0),
        layout: input.layout.map(|layout| LayoutBody { colspan: layout.colspan, rowspan: layout.rowspan }),
        meta: converted(input.meta),
    };
    let row = |input: GridRowInput| RowBody {
        columns: input.columns.into_iter().flatten().map(column).collect(),
        meta: converted(input.meta),
    };
    Ok(inputs.into_iter().map(row).collect())
}
