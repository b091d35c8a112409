//! The specification's validation, by apollo-compiler on our own SDL, and by our own code for the rules that it lacks.

use super::follow_ups::without_follow_ups;
use super::plain::plain;
use super::problems::{placed, problem, problem_at};
use super::scan::scan;
use super::sha256_hex;
use super::{hints, input_rules, values};
use crate::limits::{CALL_DOCUMENT, DocumentLimits};
use apollo_compiler::ast::Document;
use apollo_compiler::executable::Operation;
use apollo_compiler::parser::Parser;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::{DiagnosticList, Valid};
use apollo_compiler::{ExecutableDocument, Schema};
use hookgraph_domain::problem::Problem;
use std::sync::Arc;

/// The version of the rules beside the schema. It is raised where a rule gets stricter: stored documents are then
/// checked again.
const RULES_VERSION: u32 = 2;

/// Rules of the grammar within each other: the parser's own default.
const RULES_NESTED_MAX: usize = 500;

/// Validates documents against one SDL. Clones share the schema.
#[derive(Clone)]
pub struct Validator {
    pub(crate) schema: Arc<Valid<Schema>>,
    rules_sha256: Arc<str>,
    suggests: bool,
}

impl Validator {
    /// A validator of documents of that schema.
    ///
    /// # Errors
    /// The fault of the SDL.
    pub fn of_sdl(sdl: &str) -> Result<Self, String> {
        let schema = Schema::parse_and_validate(sdl, "schema.graphql").map_err(|error| error.to_string())?;
        Ok(Self {
            schema: Arc::new(schema),
            rules_sha256: sha256_hex(&format!("{RULES_VERSION}\n{sdl}")).into(),
            suggests: true,
        })
    }

    /// The validator, which suggests names that are like an unknown one only if `suggests`.
    #[must_use]
    pub(crate) fn suggesting_if(self, suggests: bool) -> Self {
        Self { suggests, ..self }
    }

    /// SHA-256 of the SDL and of the version of the rules, lower-case hex.
    pub fn rules_sha256(&self) -> &str {
        &self.rules_sha256
    }

    /// The document with its types.
    ///
    /// # Errors
    /// Every problem of the document.
    pub(crate) fn proven(&self, document: &Document) -> Result<Valid<ExecutableDocument>, Vec<Problem>> {
        let duplicates = input_rules::duplicate_fields(document);
        match document.to_executable_validate(&self.schema) {
            Ok(executable) => {
                let mut problems = duplicates;
                problems.extend(input_rules::misfits(&self.schema, &executable));
                if problems.is_empty() { Ok(executable) } else { Err(problems) }
            }
            Err(error) => {
                let mut problems = duplicates;
                problems.extend(self.translated(&error.errors));
                Err(without_follow_ups(document, problems))
            }
        }
    }

    /// Every problem of the document.
    #[cfg(test)]
    pub(crate) fn problems(&self, document: &Document) -> Vec<Problem> {
        self.proven(document).err().unwrap_or_default()
    }

    fn translated(&self, diagnostics: &DiagnosticList) -> Vec<Problem> {
        let translate = |diagnostic: apollo_compiler::diagnostic::Diagnostic<'_, _>| {
            let data: &apollo_compiler::validation::DiagnosticData = diagnostic.error;
            let code = data.unstable_error_name().map_or_else(|| "INVALID_DOCUMENT".to_owned(), screaming);
            let message = data.unstable_compat_message().unwrap_or_else(|| data.to_string());
            let message = hints::hinted(&self.schema, message, self.suggests);
            match diagnostic.line_column_range() {
                Some(range) => placed(problem(&code, message), range.start.line, range.start.column),
                None => problem(&code, message),
            }
        };
        diagnostics.iter().map(translate).collect()
    }

    /// The problems of the values of an operation's variables.
    pub(crate) fn value_problems(&self, operation: &Operation, values: &JsonMap) -> Vec<Problem> {
        values::problems(&self.schema, operation, values, self.suggests)
    }
}

/// The problem that keeps a text from being read as a GraphQL document of a call of any schema.
pub fn syntax_problem(text: &str) -> Option<Problem> {
    let read = scan(text, &CALL_DOCUMENT).and_then(|()| {
        parse(text, &CALL_DOCUMENT)
            .map_err(|problems| problems.into_iter().next().unwrap_or_else(|| problem("SYNTAX", "")))
    });
    read.err()
}

#[cfg(test)]
thread_local! {
    /// How many documents this thread has parsed.
    pub(crate) static PARSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Parses a document that the scan has let through.
pub(crate) fn parse(text: &str, limits: &DocumentLimits) -> Result<Document, Vec<Problem>> {
    #[cfg(test)]
    PARSED.set(PARSED.get() + 1);
    // A bracket is several rules of the grammar: the scan has bounded the brackets, and this limit bounds the stack.
    let mut parser = Parser::new().recursion_limit(RULES_NESTED_MAX).token_limit(limits.bytes_max);
    parser.parse_ast(&*plain(text), "document.graphql").map_err(|error| {
        let sources = error.partial.sources.clone();
        let syntax_problem = |diagnostic: apollo_compiler::diagnostic::Diagnostic<'_, _>| {
            let data: &apollo_compiler::validation::DiagnosticData = diagnostic.error;
            let message = data.to_string();
            match diagnostic.line_column_range() {
                Some(range) => placed(problem("SYNTAX", message), range.start.line, range.start.column),
                None => problem_at("SYNTAX", message, &sources, None),
            }
        };
        // Only the first error is told: after it, the parser guesses what the text is.
        let problems = error.errors.iter().map(syntax_problem);
        problems.min_by_key(|problem| (problem.line, problem.column)).into_iter().collect()
    })
}

/// Whether a text is one string literal.
pub(super) fn is_string(text: &str) -> bool {
    Parser::new().parse_ast(format!("{{ f(a: {text}) }}"), "string.graphql").is_ok()
}

/// `UndefinedField` as `UNDEFINED_FIELD`.
fn screaming(name: &str) -> String {
    let mut code = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_uppercase() && !code.is_empty() {
            code.push('_');
        }
        code.push(c.to_ascii_uppercase());
    }
    code
}
