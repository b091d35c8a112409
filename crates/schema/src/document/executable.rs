//! Translates the document that is proven into the one that is executed.
//!
//! The executor has a parser of its own, whose grammar departs from the specification's: it takes no space within a
//! type (`[ ID ! ]`), no comment after `on`, no value of an enum that begins with `true`, no character written as
//! `\u{…}`. With two parsers, the document that is proven would not be the one that runs. So the executor's is not
//! used: there is one parser, and one reading of a text.
//!
//! The executor's validator passes over `__typename` with its directives, and then misses the variables of their
//! conditions. `__typename @skip(if: $b)` is translated to `... @skip(if: $b) { __typename }`, which means the same.

use super::places::Places;
use super::problems::{placed, problem};
use super::written::Words;
use crate::limits::WORD_SHOWN_CHARS_MAX;
use apollo_compiler::Node;
use apollo_compiler::ast;
use apollo_compiler::parser::SourceSpan;
use async_graphql::parser::types::{
    BaseType, Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition, FragmentSpread,
    InlineFragment, OperationDefinition, OperationType, Selection, SelectionSet, Type, TypeCondition,
    VariableDefinition,
};
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::{ConstValue, Value};
use hookgraph_domain::problem::Problem;
use serde_json::Number;
use std::collections::HashMap;

/// The executor's form of a document that is valid, except for words that the parser passed over.
///
/// # Errors
/// A word that the parser passed over, or a number that no JSON can hold.
pub(crate) fn executable(document: &ast::Document) -> Result<ExecutableDocument, Problem> {
    let text = document.sources.values().next().map_or("", |source| source.source_text());
    let mut translation = Translation { text, places: Places::of(text), words: Words::default() };
    let translated = translation.document(document)?;
    match translation.words.missing(text) {
        None => Ok(translated),
        Some(offset) => {
            let Pos { line, column } = translation.places.at(offset);
            let word =
                text[offset..].chars().take(WORD_SHOWN_CHARS_MAX).take_while(|c| c.is_alphanumeric() || *c == '_');
            let word: String = word.collect();
            let message = format!("syntax error: {word} is not expected here, or a colon is missing after it");
            Err(placed(problem("SYNTAX", message), line, column))
        }
    }
}

/// A translation: each node of the executor's form has its place in the text.
struct Translation<'a> {
    text: &'a str,
    places: Places,
    words: Words,
}

type Arguments = Vec<(Positioned<Name>, Positioned<Value>)>;

impl Translation<'_> {
    fn document(&mut self, document: &ast::Document) -> Result<ExecutableDocument, Problem> {
        let (mut fragments, mut named, mut anonymous) = (HashMap::new(), HashMap::new(), None);
        for definition in &document.definitions {
            let pos = self.place(definition.location());
            self.keyword(definition.location());
            match definition {
                ast::Definition::OperationDefinition(operation) => {
                    let translated = Positioned::new(self.operation(operation, pos)?, pos);
                    match &operation.name {
                        Some(name) => drop(named.insert(Name::new(name), translated)),
                        None => anonymous = Some(translated),
                    }
                }
                ast::Definition::FragmentDefinition(fragment) => {
                    let name = self.name(&fragment.name).node;
                    fragments.insert(name, Positioned::new(self.fragment(fragment, pos)?, pos));
                }
                // Nothing else is executable, and the validator has refused it.
                _ => {}
            }
        }
        let operations = anonymous.map_or(DocumentOperations::Multiple(named), DocumentOperations::Single);
        Ok(ExecutableDocument { operations, fragments })
    }

    /// Counts in the keyword that a definition begins with, if it has one.
    fn keyword(&mut self, location: Option<SourceSpan>) {
        let Some(offset) = location.map(|location| location.offset()) else { return };
        if ["query", "mutation", "subscription", "fragment"].iter().any(|word| self.text[offset..].starts_with(word)) {
            self.words.hold(offset);
        }
    }

    fn operation(&mut self, operation: &ast::OperationDefinition, pos: Pos) -> Result<OperationDefinition, Problem> {
        if let Some(name) = &operation.name {
            self.name(name);
        }
        let variables = operation.variables.iter().map(|variable| self.variable(variable)).collect::<Result<_, _>>()?;
        Ok(OperationDefinition {
            ty: match operation.operation_type {
                ast::OperationType::Query => OperationType::Query,
                ast::OperationType::Mutation => OperationType::Mutation,
                ast::OperationType::Subscription => OperationType::Subscription,
            },
            variable_definitions: variables,
            directives: self.directives(&operation.directives)?,
            selection_set: self.selections(&operation.selection_set, pos)?,
        })
    }

    fn variable(
        &mut self,
        variable: &Node<ast::VariableDefinition>,
    ) -> Result<Positioned<VariableDefinition>, Problem> {
        let translated = VariableDefinition {
            name: self.name(&variable.name),
            var_type: Positioned::new(self.type_of(&variable.ty), self.place(variable.ty.location())),
            default_value: variable.default_value.as_ref().map(|value| self.constant(value)).transpose()?,
            directives: self.directives(&variable.directives)?,
        };
        Ok(Positioned::new(translated, self.place(variable.location())))
    }

    fn type_of(&mut self, written: &ast::Type) -> Type {
        let (base, nullable) = match written {
            ast::Type::Named(name) => (BaseType::Named(self.name(name).node), true),
            ast::Type::NonNullNamed(name) => (BaseType::Named(self.name(name).node), false),
            ast::Type::List(item) => (BaseType::List(Box::new(self.type_of(item))), true),
            ast::Type::NonNullList(item) => (BaseType::List(Box::new(self.type_of(item))), false),
        };
        Type { base, nullable }
    }

    fn fragment(&mut self, fragment: &ast::FragmentDefinition, pos: Pos) -> Result<FragmentDefinition, Problem> {
        Ok(FragmentDefinition {
            type_condition: self.type_condition(&fragment.type_condition),
            directives: self.directives(&fragment.directives)?,
            selection_set: self.selections(&fragment.selection_set, pos)?,
        })
    }

    fn selections(&mut self, selections: &[ast::Selection], pos: Pos) -> Result<Positioned<SelectionSet>, Problem> {
        let items = selections.iter().map(|selection| self.selection(selection)).collect::<Result<_, _>>()?;
        Ok(Positioned::new(SelectionSet { items }, pos))
    }

    /// The recursion is as deep as the selections, whose nesting the scan has bounded.
    fn selection(&mut self, selection: &ast::Selection) -> Result<Positioned<Selection>, Problem> {
        let pos = self.place(selection.location());
        let translated = match selection {
            ast::Selection::Field(field) => self.field(field, pos)?,
            ast::Selection::FragmentSpread(spread) => {
                let fragment_name = self.name(&spread.fragment_name);
                let spread = FragmentSpread { fragment_name, directives: self.directives(&spread.directives)? };
                Selection::FragmentSpread(Positioned::new(spread, pos))
            }
            ast::Selection::InlineFragment(fragment) => {
                let fragment = InlineFragment {
                    type_condition: fragment.type_condition.as_ref().map(|name| self.type_condition(name)),
                    directives: self.directives(&fragment.directives)?,
                    selection_set: self.selections(&fragment.selection_set, pos)?,
                };
                Selection::InlineFragment(Positioned::new(fragment, pos))
            }
        };
        Ok(Positioned::new(translated, pos))
    }

    fn field(&mut self, field: &ast::Field, pos: Pos) -> Result<Selection, Problem> {
        let mut translated = Field {
            alias: field.alias.as_ref().map(|alias| self.name(alias)),
            name: self.name(&field.name),
            arguments: self.arguments(&field.arguments)?,
            directives: self.directives(&field.directives)?,
            selection_set: self.selections(&field.selection_set, pos)?,
        };
        if field.name != "__typename" || translated.directives.is_empty() {
            return Ok(Selection::Field(Positioned::new(translated, pos)));
        }
        let directives = std::mem::take(&mut translated.directives);
        let items = vec![Positioned::new(Selection::Field(Positioned::new(translated, pos)), pos)];
        let selection_set = Positioned::new(SelectionSet { items }, pos);
        let fragment = InlineFragment { type_condition: None, directives, selection_set };
        Ok(Selection::InlineFragment(Positioned::new(fragment, pos)))
    }

    fn directives(&mut self, directives: &ast::DirectiveList) -> Result<Vec<Positioned<Directive>>, Problem> {
        let translate = |directive: &Node<ast::Directive>| {
            let name = self.name(&directive.name);
            let translated = Directive { name, arguments: self.arguments(&directive.arguments)? };
            Ok(Positioned::new(translated, self.place(directive.location())))
        };
        directives.iter().map(translate).collect()
    }

    fn arguments(&mut self, given: &[Node<ast::Argument>]) -> Result<Arguments, Problem> {
        given.iter().map(|argument| Ok((self.name(&argument.name), self.value(&argument.value)?))).collect()
    }

    /// The recursion is as deep as the value, whose nesting the scan has bounded.
    fn value(&mut self, value: &Node<ast::Value>) -> Result<Positioned<Value>, Problem> {
        let pos = self.place(value.location());
        let is_word = !matches!(**value, ast::Value::Variable(_) | ast::Value::List(_) | ast::Value::Object(_));
        if let Some(location) = value.location().filter(|_| is_word) {
            self.words.hold(location.offset());
        }
        let translated = match &**value {
            ast::Value::Null => Value::Null,
            ast::Value::Enum(name) => Value::Enum(Name::new(name)),
            ast::Value::Variable(name) => Value::Variable(self.name(name).node),
            ast::Value::String(text) => Value::String(text.clone()),
            ast::Value::Float(float) => Value::Number(number(float.as_str(), pos)?),
            ast::Value::Int(int) => Value::Number(number(int.as_str(), pos)?),
            ast::Value::Boolean(is_true) => Value::Boolean(*is_true),
            ast::Value::List(items) => {
                Value::List(items.iter().map(|item| Ok(self.value(item)?.node)).collect::<Result<_, _>>()?)
            }
            ast::Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| Ok((self.name(name).node, self.value(value)?.node)));
                Value::Object(fields.collect::<Result<_, _>>()?)
            }
        };
        Ok(Positioned::new(translated, pos))
    }

    fn constant(&mut self, value: &Node<ast::Value>) -> Result<Positioned<ConstValue>, Problem> {
        let Positioned { pos, node } = self.value(value)?;
        let not_constant = || placed(problem("SYNTAX", "a default value holds no variables"), pos.line, pos.column);
        node.into_const().map(|node| Positioned::new(node, pos)).ok_or_else(not_constant)
    }

    fn type_condition(&mut self, name: &apollo_compiler::Name) -> Positioned<TypeCondition> {
        self.words.hold_on();
        let on = self.name(name);
        let pos = on.pos;
        Positioned::new(TypeCondition { on }, pos)
    }

    fn name(&mut self, name: &apollo_compiler::Name) -> Positioned<Name> {
        if let Some(location) = name.location() {
            self.words.hold(location.offset());
        }
        Positioned::new(Name::new(name), self.place(name.location()))
    }

    fn place(&self, location: Option<SourceSpan>) -> Pos {
        location.map(|location| self.places.at(location.offset())).unwrap_or_default()
    }
}

/// A number as JSON has it; the whole number -0 becomes 0, as JSON has no other.
fn number(text: &str, pos: Pos) -> Result<Number, Problem> {
    let text = if text == "-0" { "0" } else { text };
    text.parse().map_err(|_| {
        let message = "the number is larger than any that JSON can hold";
        placed(problem("INVALID_DOCUMENT", message), pos.line, pos.column)
    })
}

#[cfg(test)]
mod tests {
    use super::executable;
    use crate::document::parse;
    use crate::limits::{CALL_DOCUMENT, WORD_SHOWN_CHARS_MAX};
    use async_graphql::parser::types::{ExecutableDocument, Selection};
    use async_graphql_value::Value;
    use hookgraph_domain::problem::Problem;

    fn translated(text: &str) -> Result<ExecutableDocument, Problem> {
        executable(&parse(text, &CALL_DOCUMENT).map_err(|mut problems| problems.remove(0))?)
    }

    /// The value of the only argument of the only field.
    fn argument(value: &str) -> Value {
        let document = translated(&format!("{{ a(b: {value}) }}")).unwrap();
        let operation = document.operations.iter().next().unwrap().1;
        let Selection::Field(field) = &operation.node.selection_set.node.items[0].node else { panic!("no field") };
        field.node.arguments[0].1.node.clone()
    }

    #[test]
    fn what_the_executors_parser_would_not_read_is_read() {
        for text in [
            "{ ... , on A { b } ...,{ b } ...,@include(if: true) { b } ...,F } fragment F on A { b }",
            "query ( $ a : [ ID ! ] ! = [ \"x\" ] ) { a ( b : $ a ) }",
            "{ ...on#c\nA { b } } fragment#c\nF#c\non#c\nA { b }",
            "{ a(b: trueish c: nullable) }",
            "\u{feff},{ a,:,b @,skip(if:,true) },#",
            "{a...F}fragment F on A{query fragment on null true}",
            "subscription S { a } mutation on { a(b: {c: [$d \"e\" 1.5 null]}) } { b }",
        ] {
            assert_eq!(translated(text).map(drop), Ok(()), "{text}");
        }
    }

    #[test]
    fn values_are_those_of_the_specification() {
        let string = |text: &str| Value::String(text.to_owned());
        for (written, expected) in [
            (r#""\u{1F600}\uD83D\uDE00é\n\"""#, string("\u{1f600}\u{1f600}é\n\"")),
            ("\"\"\"\n    a\n      \"b\" # ,\\\"\"\"\n\n  \"\"\"", string("a\n  \"b\" # ,\"\"\"")),
            ("-0", Value::Number(0.into())),
            ("9223372036854775807", Value::Number(i64::MAX.into())),
            (
                "[{a: [NULL, null]}]",
                Value::List(vec![Value::Object(
                    [("a".to_owned(), Value::List(vec![Value::Enum(super::Name::new("NULL")), Value::Null]))]
                        .map(|(name, value)| (super::Name::new(name), value))
                        .into(),
                )]),
            ),
        ] {
            assert_eq!(argument(written), expected, "{written}");
        }
        assert_eq!(translated("{ a(b: 1e400) }").unwrap_err().code, "INVALID_DOCUMENT");
    }

    #[test]
    fn a_word_that_the_parser_passes_over_is_an_error_at_its_place() {
        let long = translated(&format!("{{ a({} b: 1) }}", "b".repeat(1_000))).unwrap_err();
        assert!(long.message.len() < WORD_SHOWN_CHARS_MAX + 80, "{}", long.message);
        for (text, column) in
            [("{ a(b b: 1) }", 5), ("{ a(é: 1) }", 5), ("{ a(b: 1 c) }", 10), ("{ a(b: {c d: 1}) }", 9)]
        {
            let problem = translated(text).unwrap_err();
            assert_eq!(
                (problem.code.as_str(), problem.line, problem.column),
                ("SYNTAX", Some(1), Some(column)),
                "{text}"
            );
        }
    }
}
