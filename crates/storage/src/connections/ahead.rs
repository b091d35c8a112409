//! Statements of SQLite that are sent with the next one, in one text. sqlx runs each SQLite connection on a thread of
//! its own. Handing a text to that thread, and the answer back, costs as much as the statements in it, while the only
//! writer's transaction is open.

use sea_orm::sea_query::{Value, Values};
use sea_orm::{DbBackend, Statement};
use std::fmt::Write;

/// Statements whose answers nobody needs, in the order in which they run.
#[derive(Default)]
pub struct Ahead {
    sql: String,
    values: Vec<Value>,
    /// Whether any of them has numbered parameters.
    is_numbered: bool,
}

impl Ahead {
    /// The `BEGIN` of a transaction that takes the write lock at once.
    pub fn begin() -> Self {
        Self { sql: "BEGIN IMMEDIATE".to_owned(), ..Self::default() }
    }

    pub const fn is_empty(&self) -> bool {
        self.sql.is_empty()
    }

    /// Whether `sql` can stand behind these statements. sqlx counts a `?` by the `?` before it, and does not count the
    /// values of numbered parameters.
    pub fn takes(&self, sql: &str) -> bool {
        !(self.is_numbered && sql.contains('?'))
    }

    /// Adds a statement for which [`Ahead::takes`] holds.
    pub fn add(&mut self, statement: Statement) {
        let values = statement.values.map(|values| values.0).unwrap_or_default();
        self.is_numbered |= !values.is_empty() && !statement.sql.contains('?');
        if !self.sql.is_empty() {
            self.sql.push_str("; ");
        }
        push_renumbered(&mut self.sql, &statement.sql, self.values.len());
        self.values.extend(values);
    }

    /// All statements as one text. A text without values is not prepared.
    pub fn into_statement(self) -> Statement {
        let values = (!self.values.is_empty()).then_some(Values(self.values));
        Statement { sql: self.sql, values, db_backend: DbBackend::Sqlite }
    }
}

/// Appends `sql`, with its parameters `$1`, `$2`, … renumbered to stand behind `values_before` values.
fn push_renumbered(text: &mut String, sql: &str, values_before: usize) {
    if values_before == 0 {
        return text.push_str(sql);
    }
    let mut pieces = sql.split('$');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digit_count = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = piece.split_at(digit_count);
        // Writing to a String cannot fail.
        let _ = match digits.parse::<usize>() {
            Ok(number) => write!(text, "${}{rest}", number + values_before),
            Err(_) => write!(text, "${piece}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(sql: &str, values: &[i64]) -> Statement {
        let values = values.iter().map(|value| Value::from(*value));
        Statement::from_sql_and_values(DbBackend::Sqlite, sql, values)
    }

    #[test]
    fn parameters_go_on_where_those_before_end() {
        let mut ahead = Ahead::begin();
        ahead.add(statement("INSERT INTO a VALUES (?,?)", &[1, 2]));
        assert!(ahead.takes("INSERT INTO a VALUES (?)"));
        ahead.add(statement("UPDATE a SET b = $2, c = $10 || '$.x' WHERE d = $1", &[3, 4]));
        assert!(ahead.takes("DELETE FROM a WHERE b = $1") && !ahead.takes("INSERT INTO a VALUES (?)"));
        ahead.add(statement("DELETE FROM a WHERE b = $1", &[5]));
        let all = ahead.into_statement();
        let expected = "BEGIN IMMEDIATE; INSERT INTO a VALUES (?,?); \
             UPDATE a SET b = $4, c = $12 || '$.x' WHERE d = $3; DELETE FROM a WHERE b = $5";
        assert_eq!(all.sql, expected);
        assert_eq!(all.values, statement("", &[1, 2, 3, 4, 5]).values);
    }

    #[test]
    fn what_has_no_values_is_as_it_was() {
        let mut ahead = Ahead::begin();
        ahead.add(Statement::from_string(DbBackend::Sqlite, "UPDATE a SET b = $1; SELECT '?'"));
        assert!(ahead.takes("?"));
        let all = ahead.into_statement();
        assert_eq!(all.sql, "BEGIN IMMEDIATE; UPDATE a SET b = $1; SELECT '?'");
        assert_eq!(all.values, None);
    }
}
