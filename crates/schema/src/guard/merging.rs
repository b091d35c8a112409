//! Merges the fields of a selection set into one for each response key, as the specification collects them.
//!
//! The executor runs a field each time that it stands in a selection set, and a fragment each time that it is spread. A
//! query would read twice, and fragments within fragments double that again; a mutation would write twice. So the root
//! and the namespaces beneath it, which are plain object types, are flattened over their fragments first.

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, OperationType, Selection,
    SelectionSet,
};
use async_graphql::{InputType, Name, Positioned, Variables};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// The root and its namespaces.
const FLATTENED_LEVELS: u32 = 2;

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// Merges the repeated fields of every operation of a valid document.
pub(super) fn merge(document: &mut ExecutableDocument, variables: &Variables) {
    let fragments = std::mem::take(&mut document.fragments);
    let operations = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(operations) => operations.values_mut().collect(),
    };
    for operation in operations {
        let set = &mut operation.node.selection_set.node;
        match operation.node.ty {
            OperationType::Query | OperationType::Mutation => flatten(set, &fragments, variables, FLATTENED_LEVELS),
            OperationType::Subscription => merge_set(set),
        }
    }
    document.fragments = fragments;
}

/// Resolves fragments, `@skip` and `@include` on the top `levels`, where a field that runs twice would read or write
/// twice.
fn flatten(set: &mut SelectionSet, fragments: &Fragments, variables: &Variables, levels: u32) {
    let mut collected = Collected { fragments, variables, spread: HashSet::new(), fields: Vec::new() };
    collected.collect(std::mem::take(&mut set.items));
    set.items = merged(collected.fields);
    for selection in &mut set.items {
        if let Selection::Field(field) = &mut selection.node {
            let children = &mut field.node.selection_set.node;
            if levels > 1 { flatten(children, fragments, variables, levels - 1) } else { merge_set(children) }
        }
    }
}

/// The fields of one selection set, over its fragments.
struct Collected<'a> {
    fragments: &'a Fragments,
    variables: &'a Variables,
    /// The fragments that were spread: spread again, they add nothing.
    spread: HashSet<&'a Name>,
    fields: Vec<Positioned<Selection>>,
}

impl Collected<'_> {
    fn collect(&mut self, items: Vec<Positioned<Selection>>) {
        for item in items {
            if is_left_out(item.node.directives(), self.variables) {
                continue;
            }
            match item.node {
                Selection::Field(mut field) => {
                    field.node.directives.retain(|directive| !is_condition(directive));
                    self.fields.push(Positioned::new(Selection::Field(field), item.pos));
                }
                Selection::InlineFragment(fragment) => self.collect(fragment.node.selection_set.node.items),
                Selection::FragmentSpread(spread) => {
                    if let Some((name, fragment)) = self.fragments.get_key_value(&spread.node.fragment_name.node)
                        && self.spread.insert(name)
                    {
                        self.collect(fragment.node.selection_set.node.items.clone());
                    }
                }
            }
        }
    }
}

fn is_condition(directive: &Positioned<Directive>) -> bool {
    matches!(directive.node.name.node.as_str(), "skip" | "include")
}

/// Whether `@skip` or `@include` leaves the selection out. `variables` are coerced, and hold the defaults.
fn is_left_out(directives: &[Positioned<Directive>], variables: &Variables) -> bool {
    directives.iter().filter(|directive| is_condition(directive)).any(|directive| {
        let wanted = directive.node.name.node == "include";
        let condition = directive.node.get_argument("if").map(|value| value.node.clone());
        let value =
            condition.and_then(|value| value.into_const_with(|name| variables.get(&name).cloned().ok_or(())).ok());
        bool::parse(value).unwrap_or_default() != wanted
    })
}

/// Merges the repeated fields of a selection set and of all sets beneath it.
fn merge_set(set: &mut SelectionSet) {
    set.items = merged(std::mem::take(&mut set.items));
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) => merge_set(&mut field.node.selection_set.node),
            Selection::InlineFragment(fragment) => merge_set(&mut fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// The selections with the fields of one response key merged; a field with directives stays by itself.
fn merged(items: Vec<Positioned<Selection>>) -> Vec<Positioned<Selection>> {
    let mut merged: Vec<Positioned<Selection>> = Vec::with_capacity(items.len());
    let mut places: IndexMap<Name, usize> = IndexMap::new();
    for item in items {
        if let Selection::Field(field) = &item.node
            && field.node.directives.is_empty()
        {
            let key = field.node.response_key().node.clone();
            if let Some(place) = places.get(&key)
                && let Selection::Field(first) = &mut merged[*place].node
            {
                append(&mut first.node, &field.node);
                continue;
            }
            places.insert(key, merged.len());
        }
        merged.push(item);
    }
    merged
}

fn append(first: &mut Field, again: &Field) {
    first.selection_set.node.items.extend(again.selection_set.node.items.iter().cloned());
}
