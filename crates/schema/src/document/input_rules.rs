//! Rules of the specification that apollo-compiler lacks: an input object has each field once; a variable fits its
//! place, within input values too, and where its default is null; and values of our own scalars are values of theirs.

use super::problems::problem_at;
use super::scalars::literal_fault;
use apollo_compiler::ast::{self, Definition, Document, Value, VariableDefinition};
use apollo_compiler::executable::{
    Argument, DirectiveList, ExecutableDocument, Operation, Selection, SelectionSet, Type,
};
use apollo_compiler::{Name, Node, Schema};
use hookgraph_domain::problem::Problem;
use std::collections::HashSet;

/// The fields that an input object literal has twice.
pub(crate) fn duplicate_fields(document: &Document) -> Vec<Problem> {
    let mut walk = DuplicateWalk { document, problems: Vec::new() };
    for definition in &document.definitions {
        walk.directives(definition.directives());
        match definition {
            Definition::OperationDefinition(operation) => {
                for variable in &operation.variables {
                    walk.directives(&variable.directives);
                    variable.default_value.iter().for_each(|value| walk.value(value));
                }
                walk.selections(&operation.selection_set);
            }
            Definition::FragmentDefinition(fragment) => walk.selections(&fragment.selection_set),
            _ => {}
        }
    }
    walk.problems
}

struct DuplicateWalk<'a> {
    document: &'a Document,
    problems: Vec<Problem>,
}

impl DuplicateWalk<'_> {
    fn selections(&mut self, selections: &[ast::Selection]) {
        for selection in selections {
            match selection {
                ast::Selection::Field(field) => {
                    field.arguments.iter().for_each(|argument| self.value(&argument.value));
                    self.directives(&field.directives);
                    self.selections(&field.selection_set);
                }
                ast::Selection::InlineFragment(fragment) => {
                    self.directives(&fragment.directives);
                    self.selections(&fragment.selection_set);
                }
                ast::Selection::FragmentSpread(spread) => self.directives(&spread.directives),
            }
        }
    }

    fn directives(&mut self, directives: &ast::DirectiveList) {
        for directive in &directives.0 {
            directive.arguments.iter().for_each(|argument| self.value(&argument.value));
        }
    }

    fn value(&mut self, value: &Node<Value>) {
        match value.as_ref() {
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                let mut seen = HashSet::new();
                for (name, value) in fields {
                    if !seen.insert(name) {
                        let message = format!("There can be only one input field named \"{name}\".");
                        let location = name.location();
                        self.problems.push(problem_at("UNIQUE_INPUT_FIELD", message, &self.document.sources, location));
                    }
                    self.value(value);
                }
            }
            _ => {}
        }
    }
}

/// The variables that may be null in a place that refuses null, and the literals that are no values of their scalar.
pub(crate) fn misfits(schema: &Schema, document: &ExecutableDocument) -> Vec<Problem> {
    let mut problems = Vec::new();
    for operation in document.operations.iter() {
        let mut walk = VariableWalk { schema, document, operation, spread: HashSet::new(), problems: Vec::new() };
        for variable in &operation.variables {
            variable.default_value.iter().for_each(|value| walk.value(value, &variable.ty, false));
        }
        walk.directives(&operation.directives);
        walk.selections(&operation.selection_set);
        problems.extend(walk.problems);
    }
    problems
}

struct VariableWalk<'a> {
    schema: &'a Schema,
    document: &'a ExecutableDocument,
    operation: &'a Operation,
    /// The fragments that were walked: an operation walks each once.
    spread: HashSet<&'a Name>,
    problems: Vec<Problem>,
}

impl<'a> VariableWalk<'a> {
    fn selections(&mut self, set: &'a SelectionSet) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.arguments, &field.definition.arguments);
                    self.directives(&field.directives);
                    self.selections(&field.selection_set);
                }
                Selection::InlineFragment(fragment) => {
                    self.directives(&fragment.directives);
                    self.selections(&fragment.selection_set);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives);
                    if self.spread.insert(&spread.fragment_name)
                        && let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                    {
                        self.directives(&fragment.directives);
                        self.selections(&fragment.selection_set);
                    }
                }
            }
        }
    }

    fn directives(&mut self, directives: &DirectiveList) {
        for directive in &directives.0 {
            if let Some(definition) = self.schema.directive_definitions.get(&directive.name) {
                self.arguments(&directive.arguments, &definition.arguments);
            }
        }
    }

    fn arguments(&mut self, arguments: &[Node<Argument>], definitions: &[Node<ast::InputValueDefinition>]) {
        for argument in arguments {
            if let Some(definition) = definitions.iter().find(|definition| definition.name == argument.name) {
                self.value(&argument.value, &definition.ty, definition.default_value.is_some());
            }
        }
    }

    fn value(&mut self, value: &Node<Value>, place: &Type, place_has_default: bool) {
        if let Some(message) = literal_fault(place, value) {
            let location = value.location();
            self.problems.push(problem_at("UNSUPPORTED_VALUE_TYPE", message, &self.document.sources, location));
        }
        match value.as_ref() {
            Value::Variable(name) => self.variable(name, value, place, place_has_default),
            Value::List(items) => {
                // A scalar of ours may be a list too, of values of the scalar and nulls.
                let item_type = if place.is_list() { place.item_type().clone() } else { place.clone().nullable() };
                items.iter().for_each(|item| self.value(item, &item_type, false));
            }
            Value::Object(fields) => {
                let Some(object) = self.schema.get_input_object(place.inner_named_type()) else { return };
                for (name, value) in fields {
                    if let Some(field) = object.fields.get(name) {
                        self.value(value, &field.ty, field.default_value.is_some());
                    }
                }
            }
            _ => {}
        }
    }

    fn variable(&mut self, name: &Name, value: &Node<Value>, place: &Type, place_has_default: bool) {
        let Some(variable) = self.operation.variables.iter().find(|variable| variable.name == *name) else { return };
        if !fits(variable, place, place_has_default) {
            let message = format!(
                "Variable \"${name}\" of type \"{}\" used in position expecting type \"{place}\".",
                variable.ty
            );
            let location = value.location();
            self.problems.push(problem_at("DISALLOWED_VARIABLE_USAGE", message, &self.document.sources, location));
        }
    }
}

/// `IsVariableUsageAllowed` of the specification.
fn fits(variable: &VariableDefinition, place: &Type, place_has_default: bool) -> bool {
    let has_default = variable.default_value.as_ref().is_some_and(|value| !value.is_null());
    if place.is_non_null() && !variable.ty.is_non_null() {
        return (has_default || place_has_default) && variable.ty.is_assignable_to(&place.clone().nullable());
    }
    variable.ty.is_assignable_to(place)
}
