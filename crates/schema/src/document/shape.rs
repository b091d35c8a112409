//! The shape of a payload document: exactly one operation, a query, without introspection.

use super::problems::{problem, problem_at};
use apollo_compiler::Node;
use apollo_compiler::ast::{Definition, Document, OperationDefinition, OperationType, Selection};
use hookgraph_domain::problem::Problem;

/// The document's only operation, which is a query.
pub(crate) fn only_query(document: &Document) -> Result<&Node<OperationDefinition>, Vec<Problem>> {
    let problem_at = |code, message: String, location| problem_at(code, message, &document.sources, location);
    let mut problems = Vec::new();
    for definition in document.definitions.iter().filter(|definition| !definition.is_executable_definition()) {
        let message = "a payload query holds one query and its fragments, no type definitions".to_owned();
        problems.push(problem_at("NOT_EXECUTABLE", message, definition.location()));
    }
    let operations: Vec<_> = document.definitions.iter().filter_map(Definition::as_operation_definition).collect();
    for operation in &operations {
        let kind = match operation.operation_type {
            OperationType::Query => continue,
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        };
        let message = format!(
            "a payload query only reads, and this is a {kind}: write a query that selects what the receiver shall get, \
             e.g. query ($id: ID!) {{ order {{ get(id: $id) {{ id }} }} }}"
        );
        problems.push(problem_at("OPERATION_NOT_QUERY", message, operation.location()));
    }
    match operations.as_slice() {
        [] => problems.push(problem("OPERATION_MISSING", "the document holds no query")),
        [operation] if problems.is_empty() => return Ok(operation),
        [_] => {}
        [_, second, ..] => {
            let message =
                format!("the document holds {} operations: leave the one that makes the payload", operations.len());
            problems.push(problem_at("OPERATION_AMBIGUOUS", message, second.location()));
        }
    }
    Err(problems)
}

/// Whether a document reads the schema itself.
pub(crate) fn introspects(document: &Document) -> bool {
    !introspection(document).is_empty()
}

/// Every selection of the schema itself; `__typename` is none.
pub(crate) fn introspection(document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    for definition in &document.definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                collect_introspection(document, &operation.selection_set, &mut problems)
            }
            Definition::FragmentDefinition(fragment) => {
                collect_introspection(document, &fragment.selection_set, &mut problems)
            }
            _ => {}
        }
    }
    problems
}

fn collect_introspection(document: &Document, selections: &[Selection], problems: &mut Vec<Problem>) {
    for selection in selections {
        match selection {
            Selection::Field(field) if matches!(field.name.as_str(), "__schema" | "__type") => {
                let message =
                    format!("{} reads the schema, and a payload is data: only __typename is allowed", field.name);
                let location = field.location();
                problems.push(problem_at("INTROSPECTION_NOT_ALLOWED", message, &document.sources, location));
            }
            Selection::Field(field) => collect_introspection(document, &field.selection_set, problems),
            Selection::InlineFragment(fragment) => collect_introspection(document, &fragment.selection_set, problems),
            Selection::FragmentSpread(_) => {}
        }
    }
}
