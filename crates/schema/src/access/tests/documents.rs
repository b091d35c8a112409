//! Documents made from a schema: one that reaches each field, with the least arguments it takes.

use apollo_compiler::ast::{FieldDefinition, Type};
use apollo_compiler::schema::{ExtendedType, ObjectType};
use apollo_compiler::validation::Valid;
use apollo_compiler::{Name, Schema};
use std::collections::{BTreeMap, VecDeque};

/// Input objects within each other: what is needed is no deeper.
const INPUT_DEPTH_MAX: usize = 6;

pub struct Made {
    /// `query`, `mutation` or `subscription`.
    pub operation: &'static str,
    pub type_name: String,
    pub field: String,
    pub document: String,
}

/// A document for every field of every object type, by the shortest way from a root. `ids` is what ids are filled with; with
/// `optional` those that may be left out too.
pub fn all(schema: &Valid<Schema>, ids: &str, optional: bool) -> Vec<Made> {
    let definition = &schema.schema_definition;
    let roots =
        [("query", &definition.query), ("mutation", &definition.mutation), ("subscription", &definition.subscription)];
    let mut made = Vec::new();
    for (operation, root) in roots {
        let Some(root) = root else { continue };
        let mut ways: BTreeMap<Name, Vec<String>> = BTreeMap::from([(root.name.clone(), Vec::new())]);
        let mut waiting = VecDeque::from([root.name.clone()]);
        while let Some(type_name) = waiting.pop_front() {
            let Some(object) = object(schema, &type_name) else { continue };
            for (name, field) in &object.fields {
                let mut way = ways[&type_name].clone();
                way.push(format!("{name}{}", arguments(schema, field, ids, optional)));
                let target = field.ty.inner_named_type();
                let document = document(schema, operation, &way, target);
                let (type_name, field) = (type_name.to_string(), name.to_string());
                made.push(Made { operation, type_name, field, document });
                for reached in objects_of(schema, target) {
                    if !ways.contains_key(&reached) {
                        let mut way = way.clone();
                        if reached != *target {
                            way.push(format!("... on {reached}"));
                        }
                        ways.insert(reached.clone(), way);
                        waiting.push_back(reached);
                    }
                }
            }
        }
    }
    made
}

/// The object types that a value of that type may be of.
pub fn objects_of(schema: &Schema, name: &Name) -> Vec<Name> {
    match schema.types.get(name) {
        Some(ExtendedType::Object(_)) => vec![name.clone()],
        Some(ExtendedType::Union(union)) => union.members.iter().map(|member| member.name.clone()).collect(),
        Some(ExtendedType::Interface(_)) => {
            let implements = |object: &ObjectType| object.implements_interfaces.iter().any(|one| one.name == *name);
            let types = schema.types.iter();
            types
                .filter(|(_, ty)| matches!(ty, ExtendedType::Object(object) if implements(object)))
                .map(|(name, _)| name.clone())
                .collect()
        }
        _ => Vec::new(),
    }
}

pub fn object<'a>(schema: &'a Schema, name: &Name) -> Option<&'a ObjectType> {
    match schema.types.get(name) {
        Some(ExtendedType::Object(object)) => Some(object),
        _ => None,
    }
}

fn document(schema: &Schema, operation: &str, way: &[String], target: &Name) -> String {
    let selection = selection(schema, target);
    let closing = "}".repeat(way.len());
    format!("{operation} {{ {}{selection} {closing}", way.join(" { "))
}

/// Every field without arguments that holds no object, so that what leaks is seen.
fn selection(schema: &Schema, target: &Name) -> String {
    let fields = match schema.types.get(target) {
        Some(ExtendedType::Object(object)) => &object.fields,
        Some(ExtendedType::Interface(interface)) => &interface.fields,
        Some(ExtendedType::Union(_)) => return " { __typename }".to_owned(),
        _ => return String::new(),
    };
    let is_leaf = |field: &FieldDefinition| {
        let ty = schema.types.get(field.ty.inner_named_type());
        field.arguments.is_empty()
            && field.directives.is_empty()
            && matches!(ty, Some(ExtendedType::Scalar(_) | ExtendedType::Enum(_)))
    };
    let leaves: Vec<_> = fields.iter().filter(|(_, field)| is_leaf(field)).map(|(name, _)| name.as_str()).collect();
    format!(" {{ __typename {} }}", leaves.join(" "))
}

fn arguments(schema: &Schema, field: &FieldDefinition, ids: &str, optional: bool) -> String {
    let wanted = field
        .arguments
        .iter()
        .filter(|argument| argument.is_required() || (optional && argument.ty.inner_named_type().as_str() == "ID"));
    let written: Vec<_> =
        wanted.map(|argument| format!("{}: {}", argument.name, literal(schema, &argument.ty, ids, 0))).collect();
    if written.is_empty() { String::new() } else { format!("({})", written.join(", ")) }
}

fn literal(schema: &Schema, ty: &Type, ids: &str, depth: usize) -> String {
    if ty.is_list() {
        return format!("[{}]", literal(schema, ty.item_type(), ids, depth));
    }
    let name = ty.inner_named_type();
    match schema.types.get(name) {
        Some(ExtendedType::Enum(names)) => names.values.keys().next().map(ToString::to_string).unwrap_or_default(),
        Some(ExtendedType::InputObject(input)) => {
            let is_one_of = input.directives.iter().any(|directive| directive.name == "oneOf");
            let needed = input.fields.values().filter(|field| field.is_required() && depth < INPUT_DEPTH_MAX);
            let mut fields: Vec<_> = needed.collect();
            if is_one_of {
                fields.extend(input.fields.values().take(1));
            }
            // What chooses of everything wants that said.
            fields.extend(input.fields.get("all"));
            let written: Vec<_> = fields
                .into_iter()
                .map(|field| format!("{}: {}", field.name, literal(schema, &field.ty, ids, depth + 1)))
                .collect();
            format!("{{{}}}", written.join(", "))
        }
        _ => match name.as_str() {
            "ID" => format!("{ids:?}"),
            "Int" | "PositiveInt" | "NonNegativeInt" => "1".to_owned(),
            "Float" => "1.0".to_owned(),
            "Boolean" => "true".to_owned(),
            "DateTime" => "\"2030-01-01T00:00:00.000Z\"".to_owned(),
            "Date" => "\"2030-01-01\"".to_owned(),
            "EmailAddress" => "\"ada@example.com\"".to_owned(),
            "JSON" => "{}".to_owned(),
            _ => "\"x\"".to_owned(),
        },
    }
}
