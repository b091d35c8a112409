//! Turns whole numbers in places of the type `Float` into doubles.
//!
//! JSON does not tell `1e16` from `10000000000000000`, and JavaScript prints the first as the second. A `Float` takes
//! any finite number, but apollo-compiler refuses whole numbers of 2^53 and more, so they become doubles before it sees
//! them. Numbers in places of another type stay as they are, for that type to judge.

use apollo_compiler::Schema;
use apollo_compiler::ast::Type;
use apollo_compiler::executable::Operation;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::schema::ExtendedType;
use serde_json::Number;

/// Turns the whole numbers in `Float` places of an operation's variables into doubles.
pub(super) fn widen(schema: &Schema, operation: &Operation, variables: &mut JsonMap) {
    for variable in &operation.variables {
        if let Some(value) = variables.get_mut(variable.name.as_str()) {
            widen_value(schema, &variable.ty, value);
        }
    }
}

/// The recursion is as deep as the value, whose nesting its parser has bounded.
fn widen_value(schema: &Schema, place: &Type, value: &mut JsonValue) {
    match value {
        JsonValue::Array(items) if place.is_list() => {
            items.iter_mut().for_each(|item| widen_value(schema, place.item_type(), item));
        }
        JsonValue::Object(fields) => {
            let Some(ExtendedType::InputObject(object)) = schema.types.get(place.inner_named_type()) else { return };
            for (name, field) in &object.fields {
                if let Some(value) = fields.get_mut(name.as_str()) {
                    widen_value(schema, &field.ty, value);
                }
            }
        }
        JsonValue::Number(number) if place.inner_named_type() == "Float" => {
            if let Some(double) = number.as_f64().and_then(Number::from_f64) {
                *number = double;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::widen;
    use apollo_compiler::response::JsonMap;
    use apollo_compiler::{ExecutableDocument, Schema};
    use serde_json::{Value, json};

    const SDL: &str = "
        scalar JSON
        input Price { gross: Float, parts: [Float!], any: JSON, count: Int, inner: Price }
        type Query { f(price: Price, prices: [Price!], one: Float, id: ID): Int }
    ";

    fn widened(declared: &str, variables: Value) -> Value {
        let schema = Schema::parse_and_validate(SDL, "schema.graphql").unwrap();
        let text = format!("query ({declared}) {{ f }}");
        let document = ExecutableDocument::parse(&schema, text, "document.graphql").unwrap();
        let mut variables: JsonMap = serde_json::from_value(variables).unwrap();
        widen(&schema, document.operations.get(None).unwrap(), &mut variables);
        serde_json::to_value(variables).unwrap()
    }

    #[test]
    fn a_whole_number_in_the_place_of_a_float_becomes_a_double() {
        let variables = json!({ "one": 10_000_000_000_000_000_i64 });
        assert_eq!(widened("$one: Float!", variables), json!({ "one": 1e16 }));
    }

    #[test]
    fn places_within_lists_and_input_objects_count() {
        let variables = json!({ "prices": [{ "gross": 1, "inner": { "parts": [2, 3.5] } }] });
        let expected = json!({ "prices": [{ "gross": 1.0, "inner": { "parts": [2.0, 3.5] } }] });
        assert_eq!(widened("$prices: [Price!]", variables), expected);
    }

    #[test]
    fn other_places_keep_their_numbers() {
        let variables = json!({ "price": { "any": 9_007_199_254_740_993_i64, "count": 1 }, "id": 5, "other": 1 });
        assert_eq!(widened("$price: Price, $id: ID", variables.clone()), variables);
    }
}
