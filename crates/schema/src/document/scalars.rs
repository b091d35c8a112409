//! Values of our own scalars, judged before anything runs: the validator takes any value for them, and the executor looks
//! at one when it comes to its field, which in a mutation may be after others have written.

use crate::limits::VALUE_SHOWN_CHARS_MAX;
use apollo_compiler::Schema;
use apollo_compiler::ast::{self, Type};
use apollo_compiler::executable::Operation;
use apollo_compiler::response::{JsonMap, JsonValue};
use async_graphql::{Name, Value};
use hookgraph_pim::scalar_fault;

/// Why a literal is none of the scalar that stands in its place; none where another type does, or a variable.
pub(super) fn literal_fault(place: &Type, literal: &ast::Value) -> Option<String> {
    // Items of a list are looked at one by one.
    if literal.as_variable().is_some() || place.is_list() && literal.as_list().is_some() {
        return None;
    }
    fault(place.inner_named_type(), || constant(literal))
}

/// Why a variable's value is none of the scalar that stands in its place, for the first variable of an operation that is so.
pub(crate) fn variables_fault(schema: &Schema, operation: &Operation, values: &JsonMap) -> Option<String> {
    operation.variables.iter().find_map(|variable| {
        let found = value_fault(schema, &variable.ty, values.get(variable.name.as_str())?)?;
        Some(format!("Variable \"${}\" got an invalid value: {found}", variable.name))
    })
}

/// The recursion is as deep as the value, whose nesting its parser has bounded.
fn value_fault(schema: &Schema, place: &Type, value: &JsonValue) -> Option<String> {
    if place.is_list()
        && let JsonValue::Array(items) = value
    {
        return items.iter().find_map(|item| value_fault(schema, place.item_type(), item));
    }
    let name = place.inner_named_type();
    if let Some(object) = schema.get_input_object(name) {
        let fields = value.as_object()?;
        return object
            .fields
            .iter()
            .find_map(|(name, field)| value_fault(schema, &field.ty, fields.get(name.as_str())?));
    }
    fault(name, || Some(Value::from_json(serde_json::to_value(value).ok()?).unwrap_or_default()))
}

fn fault(scalar: &str, value: impl FnOnce() -> Option<Value>) -> Option<String> {
    let judge = scalar_fault(scalar)?;
    let mut message = value().filter(|value| *value != Value::Null).and_then(judge)?;
    // It quotes the value, of whatever length.
    if let Some((end, _)) = message.char_indices().nth(VALUE_SHOWN_CHARS_MAX) {
        message.truncate(end);
        message.push('…');
    }
    Some(message)
}

/// A literal as the executor has it, with null for variables; none if it holds a number that no JSON can hold.
fn constant(literal: &ast::Value) -> Option<Value> {
    Some(match literal {
        ast::Value::Null | ast::Value::Variable(_) => Value::Null,
        ast::Value::Enum(name) => Value::Enum(Name::new(name)),
        ast::Value::String(text) => Value::String(text.clone()),
        ast::Value::Float(float) => Value::Number(float.as_str().parse().ok()?),
        ast::Value::Int(int) => Value::Number(int.as_str().parse().ok()?),
        ast::Value::Boolean(is_true) => Value::Boolean(*is_true),
        ast::Value::List(items) => Value::List(items.iter().map(|item| constant(item)).collect::<Option<_>>()?),
        ast::Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Some((Name::new(name), constant(value)?)));
            Value::Object(fields.collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::Api;
    use apollo_compiler::Schema;
    use async_graphql::Value;
    use hookgraph_pim::scalar_fault;

    #[test]
    fn every_scalar_of_ours_has_a_judge() {
        for sdl in [Api::sdl(), Api::payload_sdl()] {
            let schema = Schema::parse_and_validate(sdl, "schema.graphql").unwrap();
            let scalars = schema.types.values().filter_map(|of| of.as_scalar());
            let mut count = 0;
            for scalar in scalars.filter(|scalar| !["Int", "Float", "String", "Boolean", "ID"].contains(&&*scalar.name))
            {
                let judge = scalar_fault(&scalar.name).unwrap_or_else(|| panic!("{} has no judge", scalar.name));
                assert!(judge(Value::from(1_u64 << 60)).is_some(), "{}", scalar.name);
                count += 1;
            }
            assert!(count >= 5, "{count} scalars");
        }
    }
}
