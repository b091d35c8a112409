//! Rows given to one statement, however many: the statement's text stays the same, so that it is prepared once.
//!
//! PostgreSQL gets one array per column, SQLite one JSON text that `json_each` takes apart. SQLite gets rows to insert,
//! which can be large, as parameters instead, in statements with places for 1, 2, 4, … rows, not all of which are
//! taken.

use crate::connections::DatabaseTransaction;
use crate::error::store_error;
use crate::limits;
use hookgraph_domain::ports::StoreError;
use sea_orm::sea_query::{ArrayType, Value};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement};
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
}

/// A table, or a list of rows that a statement reads like one.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
}

/// Arrays of PostgreSQL are bound without nulls: this number stands for one, and the nil UUID for another.
const NULL_INT: i64 = i64::MIN;
/// This text stands for null too. A text that begins with it gets it once more in front.
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
                    // Almost no text begins with it, and `substr` on every text would cost more than storing them.
                    write!(
                        select,
                        "{comma}CASE WHEN NOT starts_with({name}, '{NULL_TEXT}') THEN {name} \
                         WHEN {name} = '{NULL_TEXT}' THEN NULL ELSE substr({name}, 2) END AS {name}"
                    )
                }
                (DbBackend::Postgres, Kind::UuidOrNull) => {
                    write!(select, "{comma}nullif({name}, '{}'::uuid) AS {name}", Uuid::nil())
                }
                (DbBackend::Postgres, Kind::IntOrNull) => write!(select, "{comma}nullif({name}, {NULL_INT}) AS {name}"),
                (DbBackend::Postgres, _) => write!(select, "{comma}{name}"),
                (_, Kind::Uuid | Kind::UuidOrNull) => {
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

    /// The expression for a column in the rows of `json_each`. A list of one column is flat, which saves SQLite an
    /// array per row.
    fn json_value(&self, index: usize) -> String {
        if self.columns.len() == 1 { "value".to_owned() } else { format!("value ->> {index}") }
    }

    /// The parameters of [`Table::source`].
    pub fn parameters(&self, backend: DbBackend, rows: Vec<Vec<Cell>>) -> Vec<Value> {
        if backend != DbBackend::Postgres {
            return vec![self.json_list(rows).into()];
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

    /// A statement of PostgreSQL that inserts rows in a common table before the query `then`. The rows are its first
    /// parameters.
    pub fn insert_and(&self, then: &str) -> String {
        let (name, names, source) = (self.name, self.names(), self.source(DbBackend::Postgres, 1));
        format!("WITH inserted AS (INSERT INTO {name} ({names}) SELECT {names} FROM {source} AS given) {then}")
    }

    /// The rows as SQLite gets them: a list of lists or, for one column, a list of its values.
    fn json_list(&self, rows: Vec<Vec<Cell>>) -> String {
        let is_flat = self.columns.len() == 1;
        let (first, last) = if is_flat { ("", "") } else { ("[", "]") };
        let mut list = String::from("[");
        for (row_index, row) in rows.into_iter().enumerate() {
            list.push_str(if row_index == 0 { "" } else { "," });
            list.push_str(first);
            for (index, cell) in row.into_iter().enumerate() {
                list.push_str(if index == 0 { "" } else { "," });
                push_json(&mut list, cell);
            }
            list.push_str(last);
        }
        list.push(']');
        list
    }

    /// Inserts rows, and returns how many are new. A row whose key is taken fails or is passed over.
    ///
    /// If such a row fails, all rows are new, so no answer is waited for: see [`execute_ahead`].
    pub async fn insert(
        &self,
        transaction: &DatabaseTransaction,
        rows: Vec<Vec<Cell>>,
        collision: Collision,
    ) -> Result<u64, StoreError> {
        let form = if transaction.get_database_backend() == DbBackend::Postgres { Form::List } else { Form::Places };
        self.insert_as(transaction, rows, collision, form).await
    }

    /// Inserts short rows, all of which must be new. SQLite gets them as a list too, so that one text serves any number
    /// of them.
    pub async fn insert_short(
        &self,
        transaction: &DatabaseTransaction,
        rows: Vec<Vec<Cell>>,
    ) -> Result<(), StoreError> {
        self.insert_as(transaction, rows, Collision::Fails, Form::List).await.map(|_| ())
    }

    async fn insert_as(
        &self,
        transaction: &DatabaseTransaction,
        mut rows: Vec<Vec<Cell>>,
        collision: Collision,
        form: Form,
    ) -> Result<u64, StoreError> {
        let backend = transaction.get_database_backend();
        let (name, names) = (self.name, self.names());
        let tail = match collision {
            Collision::Fails => "",
            Collision::IsPassedOver => " ON CONFLICT DO NOTHING",
        };
        let mut new_count = 0;
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(form.rows_max()));
            let some = std::mem::replace(&mut rows, rest);
            let some_count = some.len() as u64;
            let (source, values) = match form {
                Form::List => {
                    let source = format!("SELECT {names} FROM {} AS given", self.source(backend, 1));
                    (source, self.parameters(backend, some))
                }
                Form::Places => self.places(some),
            };
            let sql = format!("INSERT INTO {name} ({names}) {source}{tail}");
            // An insert before the last one is large enough to be sent by itself.
            if matches!(collision, Collision::Fails) && rows.is_empty() {
                execute_ahead(transaction, &sql, values).await?;
                new_count += some_count;
            } else {
                new_count += execute(transaction, &sql, values).await?;
            }
        }
        Ok(new_count)
    }

    /// The places for the rows, and their values. Places that are left over are null, and are passed over.
    fn places(&self, rows: Vec<Vec<Cell>>) -> (String, Vec<Value>) {
        let place_count = sqlite_places(rows.len());
        let mut values: Vec<Value> = rows.into_iter().flatten().map(bound).collect();
        values.resize(place_count * self.columns.len(), Value::BigInt(None));
        let row = format!("({})", vec!["?"; self.columns.len()].join(","));
        let places = format!("VALUES {}", vec![row; place_count].join(","));
        if place_count == 1 {
            return (places, values);
        }
        let never_null = 1 + self.columns.iter().position(|(_, kind)| !kind.is_nullable()).unwrap_or_default();
        (format!("SELECT * FROM ({places}) WHERE column{never_null} IS NOT NULL"), values)
    }
}

/// How an `INSERT` gets its rows.
#[derive(Clone, Copy)]
enum Form {
    /// As [`Table::source`] reads them.
    List,
    /// As one parameter per value, on SQLite.
    Places,
}

impl Form {
    const fn rows_max(self) -> usize {
        match self {
            Self::List => limits::INSERT_ROWS_MAX,
            Self::Places => limits::SQLITE_INSERT_ROWS_MAX,
        }
    }
}

/// The number of places in SQLite's statement that inserts `row_count` rows.
fn sqlite_places(row_count: usize) -> usize {
    let sizes = limits::SQLITE_INSERT_ROWS;
    sizes.into_iter().find(|size| *size >= row_count).unwrap_or(limits::SQLITE_INSERT_ROWS_MAX)
}

/// What becomes of a row whose key is taken.
#[derive(Clone, Copy)]
pub enum Collision {
    /// The statement fails.
    Fails,
    /// The row that is there stays.
    IsPassedOver,
}

/// Runs a statement, and returns the number of rows that it changed.
pub async fn execute<C: ConnectionTrait>(connection: &C, sql: &str, values: Vec<Value>) -> Result<u64, StoreError> {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    Ok(connection.execute_raw(statement).await.map_err(store_error)?.rows_affected())
}

/// Runs a statement whose answer nobody needs. On SQLite it is sent with the next one of its transaction, which fails
/// if it fails.
pub async fn execute_ahead(transaction: &DatabaseTransaction, sql: &str, values: Vec<Value>) -> Result<(), StoreError> {
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    transaction.execute_ahead(statement).await.map_err(store_error)
}

/// Runs a statement, and returns the rows of its answer.
pub async fn query<T, C>(connection: &C, sql: &str, values: Vec<Value>) -> Result<Vec<T>, StoreError>
where
    T: FromQueryResult,
    C: ConnectionTrait,
{
    query_with(connection, sql, values, |row| T::from_query_result(row, "")).await
}

/// Runs a statement as [`query`] does, and reads each row with `read`.
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

/// A row of one column `id`.
#[derive(FromQueryResult)]
pub struct Id {
    pub id: Uuid,
}

/// Ids as rows of one column `id`.
pub const IDS: Table = Table { name: "ids", columns: &[("id", Kind::Uuid)] };

/// The parameters of [`IDS`].
pub fn ids(backend: DbBackend, ids: impl IntoIterator<Item = Uuid>) -> Vec<Value> {
    IDS.parameters(backend, ids.into_iter().map(|id| vec![Cell::Uuid(id)]).collect())
}

impl Kind {
    const fn is_nullable(self) -> bool {
        matches!(self, Self::UuidOrNull | Self::TextOrNull | Self::IntOrNull)
    }
}

const fn postgres_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Uuid | Kind::UuidOrNull => "uuid",
        Kind::Text | Kind::TextOrNull => "text",
        Kind::Int | Kind::IntOrNull => "bigint",
        Kind::Bool => "boolean",
    }
}

const fn array_type(kind: Kind) -> ArrayType {
    match kind {
        Kind::Uuid | Kind::UuidOrNull => ArrayType::Uuid,
        Kind::Text | Kind::TextOrNull => ArrayType::String,
        Kind::Int | Kind::IntOrNull => ArrayType::BigInt,
        Kind::Bool => ArrayType::Bool,
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
    }
}

fn push_json(list: &mut String, cell: Cell) {
    // Writing to a String cannot fail.
    let _ = match cell {
        Cell::UuidOrNull(None) | Cell::TextOrNull(None) | Cell::IntOrNull(None) => write!(list, "null"),
        Cell::Uuid(id) | Cell::UuidOrNull(Some(id)) => write!(list, "\"{}\"", id.simple()),
        Cell::Text(text) | Cell::TextOrNull(Some(text)) => write!(list, "{}", serde_json::Value::from(text)),
        Cell::Int(number) | Cell::IntOrNull(Some(number)) => write!(list, "{number}"),
        Cell::Bool(is) => write!(list, "{is}"),
    };
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
    use crate::store::SqlStore;
    use hookgraph_testkit::PlainVault;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    const NOTES: Table = Table { name: "note", columns: &[("text", Kind::TextOrNull), ("number", Kind::Int)] };

    fn notes(numbers: std::ops::Range<i64>) -> Vec<Vec<Cell>> {
        numbers.map(|number| vec![Cell::TextOrNull(None), Cell::Int(number)]).collect()
    }

    #[derive(FromQueryResult)]
    struct Found {
        count: i64,
        highest: Option<i64>,
    }

    async fn found(transaction: &DatabaseTransaction) -> (i64, Option<i64>) {
        let sql = "SELECT count(*) AS count, max(number) AS highest FROM note";
        let found: Vec<Found> = query(transaction, sql, vec![]).await.unwrap();
        (found[0].count, found[0].highest)
    }

    #[tokio::test]
    async fn sqlite_inserts_any_number_of_rows() {
        let store = SqlStore::in_memory(Arc::new(PlainVault)).await.unwrap();
        let create = "CREATE TABLE note (text TEXT, number INTEGER NOT NULL PRIMARY KEY) STRICT";
        store.writer.execute_unprepared(create).await.unwrap();
        for count in 1..=600 {
            let transaction = store.begin().await.unwrap();
            assert_eq!(NOTES.insert(&transaction, notes(0..count), Collision::Fails).await.unwrap(), count as u64);
            assert_eq!(found(&transaction).await, (count, Some(count - 1)));
            let new_count = NOTES.insert(&transaction, notes(count - 1..count + 6), Collision::IsPassedOver).await;
            assert_eq!((new_count.unwrap(), found(&transaction).await.0), (6, count + 6));
            transaction.rollback().await.unwrap();
        }
        let transaction = store.begin().await.unwrap();
        NOTES.insert_short(&transaction, notes(0..600)).await.unwrap();
        assert_eq!(found(&transaction).await, (600, Some(599)));
    }

    #[test]
    fn what_sqlite_inserts_has_few_texts() {
        let texts: BTreeSet<String> = (1..=128).map(|count| NOTES.places(notes(0..count)).0).collect();
        assert_eq!(texts.len(), limits::SQLITE_INSERT_ROWS.len());
        assert!(limits::SQLITE_INSERT_ROWS.is_sorted());
        let max = limits::SQLITE_INSERT_ROWS_MAX;
        assert_eq!([1, 2, 3, 37, 63, max].map(sqlite_places), [1, 2, 4, 48, 64, max]);
        assert_eq!(NOTES.places(notes(7..8)).0, "VALUES (?,?)");
        let (text, values) = NOTES.places(notes(0..3));
        assert_eq!(text, "SELECT * FROM (VALUES (?,?),(?,?),(?,?),(?,?)) WHERE column2 IS NOT NULL");
        assert_eq!((values.len(), values.last()), (8, Some(&Value::BigInt(None))));
    }

    #[test]
    fn a_list_of_one_column_is_flat() {
        let id = Uuid::from_u128(1);
        assert_eq!(ids(DbBackend::Sqlite, [id]), [Value::from(format!("[\"{}\"]", id.simple()))]);
        assert_eq!(IDS.source(DbBackend::Sqlite, 1), "(SELECT unhex(value) AS id FROM json_each($1))");
        let table = Table { name: "two", columns: &[("a", Kind::Int), ("b", Kind::TextOrNull)] };
        let rows = vec![
            vec![Cell::Int(1), Cell::TextOrNull(None)],
            vec![Cell::Int(2), Cell::TextOrNull(Some("\"x\n".into()))],
        ];
        assert_eq!(table.parameters(DbBackend::Sqlite, rows), [Value::from("[[1,null],[2,\"\\\"x\\n\"]]")]);
        assert_eq!(table.parameters(DbBackend::Sqlite, Vec::new()), [Value::from("[]")]);
    }
}
