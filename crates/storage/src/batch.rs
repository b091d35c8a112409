//! Rows given to one statement, however many: the statement's text stays the same, so that it is prepared once.
//!
//! PostgreSQL gets one array per column, SQLite one JSON text that `json_each` takes apart. What SQLite inserts, which can be
//! large, it gets as parameters instead, in statements of 1, 2, 4, … rows.

use crate::error::store_error;
use crate::limits;
use hookgraph_domain::ports::StoreError;
use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};
use std::fmt::Write;
use uuid::Uuid;

/// What a column holds.
#[derive(Clone, Copy)]
pub enum Kind {
    Uuid,
    UuidOrNull,
    Text,
    TextOrNull,
    Int,
    IntOrNull,
    Bool,
    Bytes,
}

/// A value of a row.
pub enum Cell {
    Uuid(Uuid),
    UuidOrNull(Option<Uuid>),
    Text(String),
    TextOrNull(Option<String>),
    Int(i64),
    IntOrNull(Option<i64>),
    Bool(bool),
    Bytes(Vec<u8>),
}

/// A table, or a list of rows that a statement reads like one.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
}

/// Arrays of PostgreSQL are bound without nulls: this number stands for one, and the nil UUID for another.
const NULL_INT: i64 = i64::MIN;
/// This text too. One that begins like it has it once more in front.
const NULL_TEXT: &str = "\u{1}";

impl Table {
    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The rows as a table expression, from parameter `$first` on.
    pub fn source(&self, backend: DbBackend, first: usize) -> String {
        let mut select = String::from("(SELECT ");
        for (index, (name, kind)) in self.columns.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = match (backend, kind) {
                (DbBackend::Postgres, Kind::TextOrNull) => {
                    // Almost no text begins so; taking texts apart would cost more than storing them.
                    write!(
                        select,
                        "{comma}CASE WHEN NOT starts_with({name}, '{NULL_TEXT}') THEN {name} WHEN {name} = '{NULL_TEXT}' \
                         THEN NULL ELSE substr({name}, 2) END AS {name}"
                    )
                }
                (DbBackend::Postgres, Kind::UuidOrNull) => {
                    write!(select, "{comma}nullif({name}, '{}'::uuid) AS {name}", Uuid::nil())
                }
                (DbBackend::Postgres, Kind::IntOrNull) => write!(select, "{comma}nullif({name}, {NULL_INT}) AS {name}"),
                (DbBackend::Postgres, _) => write!(select, "{comma}{name}"),
                (_, Kind::Uuid | Kind::UuidOrNull | Kind::Bytes) => {
                    write!(select, "{comma}unhex({}) AS {name}", self.json_value(index))
                }
                _ => write!(select, "{comma}{} AS {name}", self.json_value(index)),
            };
        }
        if backend != DbBackend::Postgres {
            let _ = write!(select, " FROM json_each(${first}))");
            return select;
        }
        select.push_str(" FROM unnest(");
        for (index, (_, kind)) in self.columns.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(select, "{comma}${}::{}[]", first + index, postgres_type(*kind));
        }
        let _ = write!(select, ") AS given ({}))", self.names());
        select
    }

    /// Where a column stands in what `json_each` answers. A list of one column is flat, which saves SQLite an array per row.
    fn json_value(&self, index: usize) -> String {
        if self.columns.len() == 1 { "value".to_owned() } else { format!("value ->> {index}") }
    }

    /// The parameters of [`Table::source`].
    pub fn parameters(&self, backend: DbBackend, rows: Vec<Vec<Cell>>) -> Vec<Value> {
        if backend != DbBackend::Postgres {
            let list: serde_json::Value = if self.columns.len() == 1 {
                rows.into_iter().flatten().map(json_value).collect()
            } else {
                rows.into_iter().map(json_row).collect()
            };
            return vec![list.to_string().into()];
        }
        let mut arrays: Vec<Vec<Value>> = self.columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
        for row in rows {
            for (array, cell) in arrays.iter_mut().zip(row) {
                array.push(value(cell));
            }
        }
        let kinds = self.columns.iter().map(|(_, kind)| array_type(*kind));
        kinds.zip(arrays).map(|(kind, array)| Value::Array(kind, Some(Box::new(array)))).collect()
    }

    /// A statement of PostgreSQL that inserts rows on the way, and what it goes on with: the parameters are those of the rows.
    pub fn insert_and(&self, then: &str) -> String {
        let (name, names, source) = (self.name, self.names(), self.source(DbBackend::Postgres, 1));
        format!("WITH inserted AS (INSERT INTO {name} ({names}) SELECT {names} FROM {source} AS given) {then}")
    }

    /// Inserts rows and says how many are new; what collides with one that is there fails or is passed over.
    pub async fn insert<C: ConnectionTrait>(
        &self,
        connection: &C,
        mut rows: Vec<Vec<Cell>>,
        collision: Collision,
    ) -> Result<u64, StoreError> {
        let backend = connection.get_database_backend();
        let (name, names) = (self.name, self.names());
        let tail = match collision {
            Collision::Fails => "",
            Collision::IsPassedOver => " ON CONFLICT DO NOTHING",
        };
        let mut row_count = 0;
        while !rows.is_empty() {
            let some_count = if backend == DbBackend::Postgres {
                rows.len().min(limits::INSERT_ROWS_MAX)
            } else {
                sqlite_insert_rows(rows.len())
            };
            let rest = rows.split_off(some_count);
            let some = std::mem::replace(&mut rows, rest);
            let (source, parameters) = if backend == DbBackend::Postgres {
                let source = format!("SELECT {names} FROM {} AS given", self.source(backend, 1));
                (source, self.parameters(backend, some))
            } else {
                (self.places(some_count), some.into_iter().flatten().map(bound).collect())
            };
            row_count +=
                execute(connection, &format!("INSERT INTO {name} ({names}) {source}{tail}"), parameters).await?;
        }
        Ok(row_count)
    }

    /// The places of so many rows' values.
    fn places(&self, row_count: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(","));
        format!("VALUES {}", vec![row; row_count].join(","))
    }
}

/// How many of so many rows SQLite's next statement inserts: a power of two, so that few texts are prepared.
fn sqlite_insert_rows(row_count: usize) -> usize {
    1 << row_count.clamp(1, limits::SQLITE_INSERT_ROWS_MAX).ilog2()
}

/// What becomes of a row whose key is taken.
#[derive(Clone, Copy)]
pub enum Collision {
    /// The statement fails.
    Fails,
    /// The row that is there stays.
    IsPassedOver,
}

/// Runs a statement; the number of rows that it touched.
pub async fn execute<C: ConnectionTrait>(connection: &C, sql: &str, values: Vec<Value>) -> Result<u64, StoreError> {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    Ok(connection.execute_raw(statement).await.map_err(store_error)?.rows_affected())
}

/// The rows that a statement answers with.
pub async fn query<T, C>(connection: &C, sql: &str, values: Vec<Value>) -> Result<Vec<T>, StoreError>
where
    T: sea_orm::FromQueryResult,
    C: ConnectionTrait,
{
    query_with(connection, sql, values, |row| T::from_query_result(row, "")).await
}

/// The same, each row read in its turn by that.
pub async fn query_with<T, C: ConnectionTrait>(
    connection: &C,
    sql: &str,
    values: Vec<Value>,
    read: impl FnMut(&QueryResult) -> Result<T, DbErr>,
) -> Result<Vec<T>, StoreError> {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let rows = connection.query_all_raw(statement).await.map_err(store_error)?;
    rows.iter().map(read).collect::<Result<_, _>>().map_err(store_error)
}

/// Ids as rows of one column `id`.
pub const IDS: Table = Table { name: "ids", columns: &[("id", Kind::Uuid)] };

/// The parameters of [`IDS`].
pub fn ids(backend: DbBackend, ids: impl IntoIterator<Item = Uuid>) -> Vec<Value> {
    IDS.parameters(backend, ids.into_iter().map(|id| vec![Cell::Uuid(id)]).collect())
}

const fn postgres_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Uuid | Kind::UuidOrNull => "uuid",
        Kind::Text | Kind::TextOrNull => "text",
        Kind::Int | Kind::IntOrNull => "bigint",
        Kind::Bool => "boolean",
        Kind::Bytes => "bytea",
    }
}

const fn array_type(kind: Kind) -> ArrayType {
    match kind {
        Kind::Uuid | Kind::UuidOrNull => ArrayType::Uuid,
        Kind::Text | Kind::TextOrNull => ArrayType::String,
        Kind::Int | Kind::IntOrNull => ArrayType::BigInt,
        Kind::Bool => ArrayType::Bool,
        Kind::Bytes => ArrayType::Bytes,
    }
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Uuid(id) => id.into(),
        Cell::UuidOrNull(id) => id.unwrap_or_default().into(),
        Cell::Text(text) => text.into(),
        Cell::TextOrNull(None) => NULL_TEXT.into(),
        Cell::TextOrNull(Some(text)) if text.starts_with(NULL_TEXT) => format!("{NULL_TEXT}{text}").into(),
        Cell::TextOrNull(Some(text)) => text.into(),
        Cell::Int(number) => number.into(),
        Cell::IntOrNull(number) => number.unwrap_or(NULL_INT).into(),
        Cell::Bool(is) => is.into(),
        Cell::Bytes(bytes) => bytes.into(),
    }
}

/// A cell as a parameter of its own.
fn bound(cell: Cell) -> Value {
    match cell {
        Cell::Uuid(id) => id.into(),
        Cell::UuidOrNull(id) => id.into(),
        Cell::Text(text) => text.into(),
        Cell::TextOrNull(text) => text.into(),
        Cell::Int(number) => number.into(),
        Cell::IntOrNull(number) => number.into(),
        Cell::Bool(is) => is.into(),
        Cell::Bytes(bytes) => bytes.into(),
    }
}

fn json_row(row: Vec<Cell>) -> serde_json::Value {
    row.into_iter().map(json_value).collect()
}

fn json_value(cell: Cell) -> serde_json::Value {
    match cell {
        Cell::Uuid(id) => id.simple().to_string().into(),
        Cell::UuidOrNull(id) => id.map(|id| id.simple().to_string()).into(),
        Cell::Text(text) => text.into(),
        Cell::TextOrNull(text) => text.into(),
        Cell::Int(number) => number.into(),
        Cell::IntOrNull(number) => number.into(),
        Cell::Bool(is) => is.into(),
        Cell::Bytes(bytes) => hex(&bytes).into(),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_inserts_in_powers_of_two() {
        let max = limits::SQLITE_INSERT_ROWS_MAX;
        assert_eq!([1, 2, 3, 37, max, max + 1, 10 * max].map(sqlite_insert_rows), [1, 2, 2, 32, max, max, max]);
    }

    #[test]
    fn a_list_of_one_column_is_flat() {
        let id = Uuid::from_u128(1);
        assert_eq!(ids(DbBackend::Sqlite, [id]), [Value::from(format!("[\"{}\"]", id.simple()))]);
        assert_eq!(IDS.source(DbBackend::Sqlite, 1), "(SELECT unhex(value) AS id FROM json_each($1))");
        let table = Table { name: "two", columns: &[("a", Kind::Int), ("b", Kind::TextOrNull)] };
        let rows =
            vec![vec![Cell::Int(1), Cell::TextOrNull(None)], vec![Cell::Int(2), Cell::TextOrNull(Some("x".into()))]];
        assert_eq!(table.parameters(DbBackend::Sqlite, rows), [Value::from("[[1,null],[2,\"x\"]]")]);
    }
}
