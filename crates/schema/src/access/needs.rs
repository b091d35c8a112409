//! The permissions that a document needs: its fields name them in the schema.

use apollo_compiler::ast::Value;
use apollo_compiler::collections::HashSet;
use apollo_compiler::executable::{Operation, Selection, SelectionSet};
use apollo_compiler::schema::{ExtendedType, FieldDefinition};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Name, Schema};
use hookgraph_domain::permission::{Permission, PermissionSet};

/// The directive by which a field names a permission that it needs.
pub(crate) const REQUIRES: &str = "requires";

/// The permissions that an operation needs with any variables: a field that `@skip` leaves out counts too. Each
/// fragment is read once.
pub(crate) fn of_operation(
    schema: &Valid<Schema>,
    document: &Valid<ExecutableDocument>,
    operation: &Operation,
) -> PermissionSet {
    let mut reader = Reader { schema, document, read: HashSet::default(), needed: PermissionSet::NONE };
    reader.selections(&operation.selection_set);
    reader.needed
}

/// The permissions that a field names.
pub(crate) fn of_field(field: &FieldDefinition) -> impl Iterator<Item = Permission> {
    field.directives.iter().filter(|directive| directive.name == REQUIRES).filter_map(|directive| {
        match directive.arguments.first().map(|argument| argument.value.as_ref()) {
            Some(Value::Enum(name)) => Permission::from_name(name),
            _ => None,
        }
    })
}

struct Reader<'a> {
    schema: &'a Valid<Schema>,
    document: &'a Valid<ExecutableDocument>,
    read: HashSet<&'a Name>,
    needed: PermissionSet,
}

impl<'a> Reader<'a> {
    fn selections(&mut self, set: &'a SelectionSet) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    self.add(&field.definition);
                    self.implementations(&set.ty, &field.name);
                    self.selections(&field.selection_set);
                }
                Selection::InlineFragment(fragment) => self.selections(&fragment.selection_set),
                Selection::FragmentSpread(spread) => {
                    let Some((name, fragment)) = self.document.fragments.get_key_value(&spread.fragment_name) else {
                        continue;
                    };
                    if self.read.insert(name) {
                        self.selections(&fragment.selection_set);
                    }
                }
            }
        }
    }

    /// Adds the permissions of a field of an interface in every type that implements it: the record's type resolves the
    /// field.
    fn implementations(&mut self, type_name: &Name, field: &Name) {
        if !matches!(self.schema.types.get(type_name), Some(ExtendedType::Interface(_))) {
            return;
        }
        for implementation in self.schema.types.values() {
            if let ExtendedType::Object(object) = implementation
                && object.implements_interfaces.iter().any(|interface| interface.name == *type_name)
                && let Some(definition) = object.fields.get(field)
            {
                self.add(definition);
            }
        }
    }

    fn add(&mut self, field: &FieldDefinition) {
        self.needed = of_field(field).fold(self.needed, PermissionSet::with);
    }
}
