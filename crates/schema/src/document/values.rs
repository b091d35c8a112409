//! Judges the values of a call's variables before anything runs, and tells every problem with its place. Values are
//! accepted that apollo-compiler's coercion accepts, which tells only its first problem and without the place, and that
//! our own scalars accept.

use super::hints;
use super::scalars::{fault, shortened};
use apollo_compiler::Schema;
use apollo_compiler::ast::Type;
use apollo_compiler::executable::Operation;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::schema::{ExtendedType, InputObjectType};
use async_graphql::Value;
use hookgraph_domain::limits::PROBLEMS_MAX;
use hookgraph_domain::problem::Problem;

/// The bound of whole numbers that are values of `Float` too: a double holds them exactly.
const EXACT_MAX: f64 = ((1_u64 << 53) - 1) as f64;

/// The problems of the values of an operation's variables, with names that are like unknown ones if `suggests`.
/// Problems beyond [`PROBLEMS_MAX`] are not looked for.
pub(crate) fn problems(schema: &Schema, operation: &Operation, values: &JsonMap, suggests: bool) -> Vec<Problem> {
    let mut judge = ValueJudge { schema, suggests, problems: Vec::new() };
    for variable in &operation.variables {
        let path = format!("variables.{}", variable.name);
        match values.get(variable.name.as_str()) {
            Some(value) => judge.judge(&variable.ty, value, &path),
            None if variable.ty.is_non_null() && variable.default_value.is_none() => judge.misses(&variable.ty, &path),
            None => {}
        }
    }
    judge.problems
}

struct ValueJudge<'a> {
    schema: &'a Schema,
    suggests: bool,
    problems: Vec<Problem>,
}

impl ValueJudge<'_> {
    fn tell(&mut self, path: &str, code: &str, message: String) {
        self.problems.push(Problem::new(path, code, message));
    }

    fn misses(&mut self, place: &Type, path: &str) {
        self.tell(path, "VALUE_MISSING", format!("a value is needed, of type {place}"));
    }

    /// The recursion is as deep as the value, whose nesting its parser has bounded.
    fn judge(&mut self, place: &Type, value: &JsonValue, path: &str) {
        if self.problems.len() > PROBLEMS_MAX {
            return;
        }
        if value.is_null() {
            if place.is_non_null() {
                self.tell(path, "VALUE_MISSING", format!("null is given, and a value of type {place} is needed"));
            }
            return;
        }
        if place.is_list() {
            match value {
                JsonValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.judge(place.item_type(), item, &format!("{path}.{index}"));
                    }
                }
                // A single value stands for a list of it.
                one => self.judge(place.item_type(), one, path),
            }
            return;
        }
        let name = place.inner_named_type();
        match self.schema.types.get(name) {
            Some(ExtendedType::InputObject(object)) => match value {
                JsonValue::Object(fields) => self.judge_fields(object, fields, path),
                _ => self.misfits(name, value, path),
            },
            Some(ExtendedType::Enum(wanted)) => {
                let is_known = value.as_str().is_some_and(|text| wanted.values.keys().any(|known| known == text));
                if !is_known {
                    self.misfits(name, value, path);
                }
            }
            _ if !is_of_scalar(name, value) => self.misfits(name, value, path),
            _ => {
                let json = || Some(Value::from_json(serde_json::to_value(value).ok()?).unwrap_or_default());
                if let Some(message) = fault(name, json) {
                    self.tell(path, "VALUE_INVALID", message);
                }
            }
        }
    }

    fn judge_fields(&mut self, object: &InputObjectType, fields: &JsonMap, path: &str) {
        for key in fields.keys().map(|key| key.as_str()).filter(|key| !object.fields.contains_key(*key)) {
            let message = self.with_hint(key, &object.name, format!("there is no such field in {}", object.name));
            self.tell(&shortened(format!("{path}.{key}")), "FIELD_UNKNOWN", message);
            if self.problems.len() > PROBLEMS_MAX {
                return;
            }
        }
        for (name, field) in &object.fields {
            match fields.get(name.as_str()) {
                Some(value) => self.judge(&field.ty, value, &format!("{path}.{name}")),
                None if field.ty.is_non_null() && field.default_value.is_none() => {
                    self.misses(&field.ty, &format!("{path}.{name}"));
                }
                None => {}
            }
        }
    }

    fn misfits(&mut self, name: &str, value: &JsonValue, path: &str) {
        let shown = shortened(value.to_string());
        let asked = value.as_str().unwrap_or_default();
        let message = self.with_hint(asked, name, format!("{shown} is no {name}"));
        self.tell(path, "VALUE_TYPE", message);
    }

    fn with_hint(&self, asked: &str, type_name: &str, message: String) -> String {
        let hint = if self.suggests { hints::for_member(self.schema, asked, type_name) } else { None };
        match hint {
            Some(hint) => format!("{message}.{hint}"),
            None => message,
        }
    }
}

/// Whether a value is one of the scalar, for the specification's scalars; any JSON may be one of ours.
fn is_of_scalar(name: &str, value: &JsonValue) -> bool {
    match name {
        "Int" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        "Float" => value.is_f64() || value.as_f64().is_some_and(|number| number.abs() < EXACT_MAX),
        "String" => value.is_string(),
        "Boolean" => value.is_boolean(),
        "ID" => value.is_string() || value.is_i64(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apollo_compiler::ExecutableDocument;
    use apollo_compiler::request::coerce_variable_values;
    use serde_json::json;

    const SDL: &str = "type Query { a(i: In, many: [In!], n: Int!, methods: [Method!]): Int }
        enum Method { GET POST }
        input In { name: String!, count: Int = 1, ratio: Float, id: ID, is: Boolean, method: Method, parts: [[In!]], at: DateTime }
        scalar DateTime";

    fn judged(values: &serde_json::Value) -> Vec<(String, String, String)> {
        let schema = Schema::parse_and_validate(SDL, "schema.graphql").unwrap();
        let text = "query ($i: In, $many: [In!], $n: Int!, $methods: [Method!]) { a(i: $i, many: $many, n: $n, methods: $methods) }";
        let document = ExecutableDocument::parse_and_validate(&schema, text, "query.graphql").unwrap();
        let operation = document.operations.get(None).unwrap();
        let values: JsonMap = serde_json::from_value(values.clone()).unwrap();
        let found = problems(&schema, operation, &values, true);
        let is_coerced = coerce_variable_values(&schema, operation, &values).is_ok();
        let are_ours = found.iter().all(|problem| problem.code == "VALUE_INVALID");
        assert_eq!(are_ours, is_coerced, "{values:?}: {found:?}");
        found.into_iter().map(|problem| (problem.path, problem.code, problem.message)).collect()
    }

    #[test]
    fn every_problem_is_told_with_its_place_and_what_would_be_right() {
        let found = judged(&json!({
            "i": { "nme": 1, "count": null, "method": "GOT", "parts": [[{ "name": "a" }, { "name": 2 }], null] },
            "many": [{ "name": "a" }, { "at": "yesterday", "ratio": "x" }],
            "methods": ["GET", 7],
        }));
        let told: Vec<(&str, &str)> = found.iter().map(|(path, code, _)| (path.as_str(), code.as_str())).collect();
        assert_eq!(
            told,
            [
                ("variables.i.nme", "FIELD_UNKNOWN"),
                ("variables.i.name", "VALUE_MISSING"),
                ("variables.i.method", "VALUE_TYPE"),
                ("variables.i.parts.0.1.name", "VALUE_TYPE"),
                ("variables.many.1.name", "VALUE_MISSING"),
                ("variables.many.1.ratio", "VALUE_TYPE"),
                ("variables.many.1.at", "VALUE_INVALID"),
                ("variables.n", "VALUE_MISSING"),
                ("variables.methods.1", "VALUE_TYPE"),
            ]
        );
        assert_eq!(found[0].2, "there is no such field in In. Did you mean \"name\"?");
        assert_eq!(found[2].2, "\"GOT\" is no Method. It is one of GET, POST.");
        assert_eq!(found[7].2, "a value is needed, of type Int!");
    }

    #[test]
    fn what_the_coercion_takes_is_taken_and_nothing_else() {
        for (field, right, wrong) in [
            (
                "count",
                vec![json!(1), json!(-5), json!(null)],
                vec![json!(1.5), json!("1"), json!(3_000_000_000_u64), json!([1])],
            ),
            ("ratio", vec![json!(1), json!(1.5), json!(1e300)], vec![json!("1"), json!(1_u64 << 53), json!(true)]),
            ("id", vec![json!("a"), json!(1), json!(-1)], vec![json!(1.5), json!(true), json!({}), json!(u64::MAX)]),
            ("is", vec![json!(true)], vec![json!(1), json!("true")]),
            ("method", vec![json!("GET")], vec![json!("get"), json!(1), json!([])]),
            (
                "parts",
                vec![json!({ "name": "a" }), json!([]), json!([[]]), json!([null])],
                vec![json!("a"), json!([[null]])],
            ),
        ] {
            for (values, is_right) in [(right, true), (wrong, false)] {
                for value in values {
                    let found = judged(&json!({ "n": 1, "i": { "name": "a", field: value } }));
                    assert_eq!(found.is_empty(), is_right, "{field} {value}: {found:?}");
                }
            }
        }
        assert!(judged(&json!({ "n": 1, "many": { "name": "a" }, "unknown": 1 })).is_empty());
        assert_eq!(judged(&json!({ "n": null, "i": [] })).len(), 2);
    }

    #[test]
    fn no_more_is_looked_for_than_is_told() {
        let found = judged(&json!({ "n": 1, "many": vec![json!({}); 1_000] }));
        assert_eq!(found.len(), PROBLEMS_MAX + 1);
    }
}
