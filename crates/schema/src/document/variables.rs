//! A document's variables against those that its event type declares.

use super::problems::{nearest_name, problem_at};
use apollo_compiler::Node;
use apollo_compiler::ast::{Document, OperationDefinition, Type, VariableDefinition};
use hookgraph_domain::catalogue::{EventType, Fit, fit};
use hookgraph_domain::problem::Problem;

/// The problems of declared variables that the event type does not supply, or supplies with a type that does not fit.
pub(crate) fn check(document: &Document, operation: &OperationDefinition, event_type: &EventType) -> Vec<Problem> {
    operation.variables.iter().filter_map(|variable| check_one(document, variable, event_type)).collect()
}

fn check_one(document: &Document, declared: &Node<VariableDefinition>, event_type: &EventType) -> Option<Problem> {
    let refuse = |code, message: String| Some(problem_at(code, message, &document.sources, declared.location()));
    let has_default = declared.default_value.is_some();
    let type_key = format!("{}/{}", event_type.concern, event_type.event);
    let Some(supplied) = event_type.variable(&declared.name) else {
        if has_default {
            return None;
        }
        let known = event_type.variables.iter().map(|supplied| supplied.name);
        let hint = match nearest_name(&declared.name, known.clone()) {
            Some(name) => format!("did you mean ${name}?"),
            None => format!("only {}.", known.map(|name| format!("${name}")).collect::<Vec<_>>().join(", ")),
        };
        let message =
            format!("{type_key} supplies no ${}, {hint} A variable of your own needs a default value", declared.name);
        return refuse("VARIABLE_NOT_SUPPLIED", message);
    };
    let written = declared.ty.to_string();
    let supplied_type = supplied.graphql_type();
    let mismatch = || {
        let message = format!("${} is declared as {written}, {type_key} supplies {supplied_type}", declared.name);
        refuse("VARIABLE_TYPE_MISMATCH", message)
    };
    let (name, is_non_null) = match declared.ty.as_ref() {
        Type::Named(name) => (name, false),
        Type::NonNullNamed(name) => (name, true),
        Type::List(_) | Type::NonNullList(_) => return mismatch(),
    };
    match fit(supplied, name, is_non_null) {
        Fit::Fits => None,
        Fit::MayBeNull if has_default => None,
        Fit::MayBeNull => {
            let message = format!(
                "${} is declared as {written}, but {type_key} does not always have one: declare {name}, or a default",
                declared.name
            );
            refuse("VARIABLE_MAY_BE_NULL", message)
        }
        Fit::OtherType => mismatch(),
    }
}
