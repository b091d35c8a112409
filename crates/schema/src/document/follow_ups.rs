//! Drops problems that only follow from others. apollo-compiler leaves unknown names out before it validates the rest,
//! so beneath an unknown field a selection seems missing, and a variable or a fragment unused. Such problems would
//! mislead their reader.

use apollo_compiler::Node;
use apollo_compiler::ast::{Definition, DirectiveList, Document, Selection, Value};
use hookgraph_domain::problem::Problem;
use std::collections::HashSet;

/// The problems without those that an unknown name explains. The problem of the name itself is left.
pub(crate) fn without_follow_ups(document: &Document, mut problems: Vec<Problem>) -> Vec<Problem> {
    if !problems.iter().any(|problem| problem.code.starts_with("UNDEFINED_")) {
        return problems;
    }
    let mut written =
        Written { document, selections: HashSet::new(), variables: HashSet::new(), spreads: HashSet::new() };
    for definition in &document.definitions {
        written.directives(definition.directives());
        match definition {
            Definition::OperationDefinition(operation) => written.selections(&operation.selection_set),
            Definition::FragmentDefinition(fragment) => written.selections(&fragment.selection_set),
            _ => {}
        }
    }
    problems.retain(|problem| !written.explains(problem));
    problems
}

/// The name that a problem's message quotes.
fn quoted(problem: &Problem) -> Option<&str> {
    problem.message.split('"').nth(1)
}

/// The selections and names of a document, known to the schema or not.
struct Written<'a> {
    document: &'a Document,
    /// Lines and columns of fields with selections.
    selections: HashSet<(Option<u32>, Option<u32>)>,
    /// Names of variables that are used.
    variables: HashSet<&'a str>,
    /// Names of fragments that are spread.
    spreads: HashSet<&'a str>,
}

impl<'a> Written<'a> {
    fn explains(&self, problem: &Problem) -> bool {
        match problem.code.as_str() {
            "MISSING_SUBSELECTION" => self.selections.contains(&(problem.line, problem.column)),
            "UNUSED_VARIABLE" => {
                quoted(problem).is_some_and(|name| self.variables.contains(name.trim_start_matches('$')))
            }
            "UNUSED_FRAGMENT" => quoted(problem).is_some_and(|name| self.spreads.contains(name)),
            _ => false,
        }
    }

    fn selections(&mut self, selections: &'a [Selection]) {
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    field.arguments.iter().for_each(|argument| self.value(&argument.value));
                    self.directives(&field.directives);
                    if !field.selection_set.is_empty() {
                        let place = field.location().and_then(|location| location.line_column(&self.document.sources));
                        let (line, column) = place.map(|place| (place.line, place.column)).unzip();
                        let number = |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok());
                        self.selections.insert((number(line), number(column)));
                        self.selections(&field.selection_set);
                    }
                }
                Selection::InlineFragment(fragment) => {
                    self.directives(&fragment.directives);
                    self.selections(&fragment.selection_set);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives);
                    self.spreads.insert(spread.fragment_name.as_str());
                }
            }
        }
    }

    fn directives(&mut self, directives: &'a DirectiveList) {
        for directive in &directives.0 {
            directive.arguments.iter().for_each(|argument| self.value(&argument.value));
        }
    }

    fn value(&mut self, value: &'a Node<Value>) {
        match value.as_ref() {
            Value::Variable(name) => {
                self.variables.insert(name.as_str());
            }
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => fields.iter().for_each(|(_, value)| self.value(value)),
            _ => {}
        }
    }
}
