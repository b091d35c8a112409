//! The cost of a document, counted once for each fragment: a bomb of fragments that spread each other is measured in
//! the time it takes to read it.

use super::problems::{problem, problem_at};
use crate::limits::DocumentLimits;
use apollo_compiler::ast::{Definition, Document, Field, FragmentDefinition, OperationDefinition, Selection, Value};
use apollo_compiler::response::JsonMap;
use apollo_compiler::{Name, Node, Schema};
use hookgraph_domain::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use hookgraph_domain::problem::Problem;
use std::collections::HashMap;

/// The cost of a selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Fields; a field beneath a page or a plain list counts once for each of its places.
    pub complexity: u32,
    /// Fields; a field beneath a page or a plain list counts once.
    pub fields: u32,
    /// Fields within each other.
    pub depth: u32,
    /// Aliases.
    pub aliases: u32,
    /// The largest size of a page that the selection names.
    pub page: u32,
    /// The part of the complexity that the lists of a page have, where the selection is a page's.
    pub listed: u32,
    /// Lists of the schema's own description within each other, beneath `__schema` or `__type`.
    pub introspection_lists: u32,
}

/// The names of a page's lists of its nodes.
pub(crate) const PAGE_LISTS: [&str; 2] = ["edges", "nodes"];

/// Plain lists: lists that are no pages and are read for themselves, by their type and field, and the number of places
/// that they count as where no size is named. They weigh in calls alone: see [`DocumentLimits::weighs_plain_lists`].
///
/// A list that may hold a thousand counts as the largest page: few tenants have more, and a size that is named is no
/// larger. A call has room for 500 fields of each; counted as a thousand, a list of webhooks with all their fields
/// would be refused. A list that belongs to one object and mostly holds a handful counts as a page without a size, so
/// that a page of events with their matches and attempts fits. Lists of records that belong to records are not here:
/// they are bounded as they are read (`RECORDS_READ_MAX` of `hookgraph_pim`).
pub(crate) const PLAIN_LISTS: [(&str, &str, u32); 9] = [
    ("AccessTokenQueries", "getMany", PAGE_SIZE_MAX),
    ("Delivery", "attempts", PAGE_SIZE_DEFAULT),
    ("Event", "matches", PAGE_SIZE_DEFAULT),
    ("EventMutations", "publishMany", PAGE_SIZE_MAX),
    ("GridQueries", "getMany", PAGE_SIZE_MAX),
    ("ItemQueries", "getMany", PAGE_SIZE_MAX),
    // The list holds the variants that its arguments name.
    ("ProductQueries", "getVariants", PAGE_SIZE_DEFAULT),
    ("Webhook", "pastInvocations", 50),
    ("WebhookQueries", "getMany", PAGE_SIZE_MAX),
];

/// The lists of the schema's description: a document can go round in them.
const INTROSPECTION_LISTS: [&str; 4] = ["fields", "interfaces", "possibleTypes", "inputFields"];

/// The value that a size counts as where it is a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sizes<'a> {
    /// The largest page: no allowed value makes the document cost more.
    Largest,
    /// One place: no value makes the document cost less.
    Smallest,
    /// The value of the variable in one request.
    Given {
        /// The name of the operation that runs: only this one is measured.
        operation: Option<&'a Name>,
        /// The coerced variables of the request.
        values: &'a JsonMap,
    },
}

impl Sizes<'_> {
    fn is_measured(self, operation: &OperationDefinition) -> bool {
        match self {
            Sizes::Given { operation: runs, .. } => operation.name.as_ref() == runs,
            Sizes::Largest | Sizes::Smallest => true,
        }
    }

    /// How many places a variable counts as; none where the request gives it no value.
    fn of_variable(self, name: &Name) -> Option<u32> {
        match self {
            Sizes::Largest => Some(PAGE_SIZE_MAX),
            Sizes::Smallest => Some(1),
            Sizes::Given { values, .. } => {
                let value = values.get(name.as_str()).filter(|value| !value.is_null())?;
                Some(value.as_i64().map_or(PAGE_SIZE_MAX, |number| u32::try_from(number).unwrap_or(1).max(1)))
            }
        }
    }

    /// How many nodes a page may hold by the sizes that its field names: the largest of them, whichever is obeyed. None
    /// where it names no size.
    fn places(self, field: &Field) -> Option<u32> {
        let is_size = |name: &Name| matches!(name.as_str(), "first" | "last" | "limit");
        let sizes = field.arguments.iter().filter(|argument| is_size(&argument.name));
        let places = |value: &Value| match value {
            Value::Null => None,
            Value::Int(number) => {
                Some(number.try_to_i32().ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1))
            }
            Value::Variable(name) => self.of_variable(name),
            _ => Some(PAGE_SIZE_MAX),
        };
        sizes.filter_map(|argument| places(argument.value.as_ref())).max()
    }
}

impl Cost {
    fn beside(self, other: Self) -> Self {
        Self {
            complexity: self.complexity.saturating_add(other.complexity),
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
            aliases: self.aliases.saturating_add(other.aliases),
            page: self.page.max(other.page),
            listed: self.listed.saturating_add(other.listed),
            introspection_lists: self.introspection_lists.max(other.introspection_lists),
        }
    }

    /// The cost of a field that counts as `places`, where its selection costs `self`. `places` is none where the field
    /// names no size.
    fn beneath(self, field: &Field, places: Option<u32>) -> Self {
        // The fields of a page beside its lists count once.
        let (many, default) = if self.listed > 0 { (self.listed, PAGE_SIZE_DEFAULT) } else { (self.complexity, 1) };
        let places = places.unwrap_or(default);
        let complexity =
            many.saturating_mul(places).saturating_add(self.complexity.saturating_sub(many)).saturating_add(1);
        Self {
            complexity,
            fields: self.fields.saturating_add(1),
            depth: self.depth.saturating_add(1),
            aliases: self.aliases.saturating_add(u32::from(field.alias.is_some())),
            page: self.page.max(places),
            listed: if PAGE_LISTS.contains(&field.name.as_str()) { complexity } else { 0 },
            introspection_lists: self
                .introspection_lists
                .saturating_add(u32::from(INTROSPECTION_LISTS.contains(&field.name.as_str()))),
        }
    }
}

/// The cost of a document: the sum of its operations that may run.
///
/// # Errors
/// The first limit that the document exceeds. Fields that the schema does not know count once: the validation refuses
/// them.
pub(crate) fn measure<'a>(
    document: &'a Document,
    schema: &'a Schema,
    limits: &'a DocumentLimits,
    sizes: Sizes<'a>,
) -> Result<Cost, Problem> {
    let fragments = document.definitions.iter().filter_map(|definition| match definition {
        Definition::FragmentDefinition(fragment) => Some((&fragment.name, fragment)),
        _ => None,
    });
    let mut meter = Meter { document, schema, limits, sizes, fragments: fragments.collect(), known: HashMap::new() };
    let operations = document.definitions.iter().filter_map(Definition::as_operation_definition).count();
    if operations > limits.operations_max {
        let message = format!("the document holds {operations} operations, {} are allowed", limits.operations_max);
        return Err(problem("DOCUMENT_TOO_MANY_OPERATIONS", message));
    }
    let mut cost = Cost::default();
    let operations = document.definitions.iter().filter_map(Definition::as_operation_definition);
    for operation in operations.filter(|operation| sizes.is_measured(operation)) {
        let root = schema.root_operation(operation.operation_type);
        cost = cost.beside(meter.selections(&operation.selection_set, root)?);
    }
    // Fragments that nothing spreads are measured too: a circle among them must not reach the next parsers.
    for name in meter.fragments.keys().copied().collect::<Vec<_>>() {
        meter.fragment(name)?;
    }
    for (code, what, found, max) in [
        ("DOCUMENT_TOO_DEEP", "depth", cost.depth, limits.depth_max),
        ("DOCUMENT_TOO_COMPLEX", "complexity", cost.complexity, limits.complexity_max),
        ("DOCUMENT_TOO_MANY_FIELDS", "number of fields", cost.fields, limits.fields_max),
        ("DOCUMENT_TOO_MANY_ALIASES", "number of aliases", cost.aliases, limits.aliases_max),
    ] {
        if found > max {
            let mut message = format!("the document's {what} is {found}, {max} are allowed");
            if code == "DOCUMENT_TOO_COMPLEX" && cost.page > PAGE_SIZE_MAX {
                message += &format!(": it asks for a page of {}, and a page is from 1 to {PAGE_SIZE_MAX}", cost.page);
            }
            return Err(problem(code, message));
        }
    }
    Ok(cost)
}

struct Meter<'a> {
    document: &'a Document,
    schema: &'a Schema,
    limits: &'a DocumentLimits,
    sizes: Sizes<'a>,
    fragments: HashMap<&'a Name, &'a Node<FragmentDefinition>>,
    /// The costs of fragments; none for one that is being measured, which is in a circle if it is met again.
    known: HashMap<&'a Name, Option<Cost>>,
}

impl<'a> Meter<'a> {
    /// The cost of selections of the type `on`, which is none where the schema does not know the type.
    fn selections(&mut self, selections: &'a [Selection], on: Option<&'a Name>) -> Result<Cost, Problem> {
        self.check_width(selections)?;
        let mut cost = Cost::default();
        for selection in selections {
            cost = cost.beside(match selection {
                Selection::Field(field) => self.field(field, on)?,
                Selection::InlineFragment(fragment) => {
                    self.selections(&fragment.selection_set, fragment.type_condition.as_ref().or(on))?
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.fragment_name)?,
            });
        }
        Ok(cost)
    }

    fn field(&mut self, field: &'a Node<Field>, on: Option<&'a Name>) -> Result<Cost, Problem> {
        let schema = self.schema;
        let definition = on.and_then(|on| schema.type_field(on, &field.name).ok());
        let of = definition.map(|definition| definition.ty.inner_named_type());
        let beneath = self.selections(&field.selection_set, of)?;
        let (lists, max) = (beneath.introspection_lists, self.limits.introspection_lists_max);
        if matches!(field.name.as_str(), "__schema" | "__type") && lists > max {
            let message = format!("introspection nests {lists} lists, {max} are allowed");
            let location = field.location();
            return Err(problem_at("INTROSPECTION_TOO_DEEP", message, &self.document.sources, location));
        }
        let plain = || plain_places(on.filter(|_| self.limits.weighs_plain_lists)?, &field.name);
        Ok(beneath.beneath(field, self.sizes.places(field).or_else(plain)))
    }

    /// Refuses selections for which a validator compares or complains once for each: the same key many times, or many
    /// directives.
    fn check_width(&self, selections: &'a [Selection]) -> Result<(), Problem> {
        let too_many = |code, message, node| Err(problem_at(code, message, &self.document.sources, node));
        let mut counts: HashMap<&Name, usize> = HashMap::new();
        for selection in selections {
            let (directives, location) = match selection {
                Selection::Field(field) => (&field.directives, field.location()),
                Selection::InlineFragment(fragment) => (&fragment.directives, fragment.location()),
                Selection::FragmentSpread(spread) => (&spread.directives, spread.location()),
            };
            if directives.len() > self.limits.directives_max {
                let message =
                    format!("{} directives at one place, {} are allowed", directives.len(), self.limits.directives_max);
                return too_many("DOCUMENT_TOO_MANY_DIRECTIVES", message, location);
            }
            let Selection::Field(field) = selection else { continue };
            let count = counts.entry(field.response_name()).or_default();
            *count += 1;
            if *count > self.limits.repeats_max {
                let message = format!(
                    "the field {} is asked for more than {} times",
                    field.response_name(),
                    self.limits.repeats_max
                );
                return too_many("DOCUMENT_TOO_MANY_REPEATS", message, location);
            }
        }
        Ok(())
    }

    fn fragment(&mut self, name: &'a Name) -> Result<Cost, Problem> {
        let Some(&fragment) = self.fragments.get(name) else {
            return Ok(Cost::default()); // unknown: the validation says so
        };
        match self.known.get(name) {
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => {
                let message = format!("the fragment {name} spreads itself");
                return Err(problem_at("FRAGMENT_CYCLE", message, &self.document.sources, fragment.location()));
            }
            None => {}
        }
        self.known.insert(name, None);
        let cost = self.selections(&fragment.selection_set, Some(&fragment.type_condition))?;
        self.known.insert(name, Some(cost));
        Ok(cost)
    }
}

/// How many places a plain list counts as; none for a field that is none.
fn plain_places(on: &Name, field: &Name) -> Option<u32> {
    let mut lists = PLAIN_LISTS.iter();
    lists.find(|(of, list, _)| (*of, *list) == (on.as_str(), field.as_str())).map(|(_, _, places)| *places)
}
