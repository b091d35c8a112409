//! Pages that no resolver would give: a payload query that asks for one would fail for every event, and a call would read for
//! nothing before it is told.

use super::problems::problem_at;
use apollo_compiler::Node;
use apollo_compiler::ast::Value;
use apollo_compiler::executable::{ExecutableDocument, Field, Selection, SelectionSet};
use hookgraph_domain::limits::PAGE_SIZE_MAX;
use hookgraph_domain::problem::Problem;

/// Sizes of pages that are out of range, and pages that go both ways. What a variable says is the resolver's to judge.
pub(crate) fn impossible_pages(document: &ExecutableDocument) -> Vec<Problem> {
    let mut walk = Walk { document, problems: Vec::new() };
    document.operations.iter().for_each(|operation| walk.selections(&operation.selection_set));
    document.fragments.values().for_each(|fragment| walk.selections(&fragment.selection_set));
    walk.problems
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn selections(&mut self, set: &SelectionSet) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    if field.definition.ty.inner_named_type().ends_with("Connection") {
                        self.page(field);
                    }
                    self.selections(&field.selection_set);
                }
                Selection::InlineFragment(fragment) => self.selections(&fragment.selection_set),
                // Each fragment is walked by itself.
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn page(&mut self, field: &Node<Field>) {
        let [first, last] = ["first", "last"].map(|name| number(field, name));
        for (name, given) in [("first", first), ("last", last)] {
            let Some((value, size)) = given else { continue };
            if !(1..=i64::from(PAGE_SIZE_MAX)).contains(&size) {
                let message = format!("{name}: {size} is not from 1 to {PAGE_SIZE_MAX}");
                self.problems.push(problem_at("PAGE_SIZE", message, &self.document.sources, value.location()));
            }
        }
        if let (Some(_), Some((value, _))) = (first, last) {
            let message = "page forward (first, after) or backward (last, before)".to_owned();
            self.problems.push(problem_at("PAGING_MIXED", message, &self.document.sources, value.location()));
        }
    }
}

/// The whole number that stands for an argument; one beyond all pages where it is larger than any number of ours.
fn number<'a>(field: &'a Field, name: &str) -> Option<(&'a Node<Value>, i64)> {
    let argument = field.arguments.iter().find(|argument| argument.name == name)?;
    match argument.value.as_ref() {
        Value::Int(number) => Some((&argument.value, number.as_str().parse().unwrap_or(i64::MAX))),
        _ => None,
    }
}
