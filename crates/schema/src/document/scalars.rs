//! Judges values of our own scalars before anything runs. The validator takes any value for them, and the executor
//! reads a value when it comes to its field, which in a mutation may be after other fields have written.

use crate::limits::VALUE_SHOWN_CHARS_MAX;
use apollo_compiler::ast::{self, Type};
use async_graphql::{Name, Value};
use hookgraph_pim::scalar_fault;

/// The fault of a literal in the place of one of our scalars; none where the place has another type, or the literal is
/// a variable.
pub(super) fn literal_fault(place: &Type, literal: &ast::Value) -> Option<String> {
    // The items of a list are judged one by one.
    if literal.as_variable().is_some() || place.is_list() && literal.as_list().is_some() {
        return None;
    }
    fault(place.inner_named_type(), || constant(literal))
}

/// The fault of a value of the scalar, if the scalar is one of ours.
pub(super) fn fault(scalar: &str, value: impl FnOnce() -> Option<Value>) -> Option<String> {
    let judge = scalar_fault(scalar)?;
    value().filter(|value| *value != Value::Null).and_then(judge).map(shortened)
}

/// A text that quotes a value, cut to [`VALUE_SHOWN_CHARS_MAX`].
pub(crate) fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(VALUE_SHOWN_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
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
