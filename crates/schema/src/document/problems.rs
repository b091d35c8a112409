//! Problems with their place in a document.

use super::QUERY_PATH;
use apollo_compiler::parser::{SourceMap, SourceSpan};
use hookgraph_domain::problem::Problem;

/// A problem of a document, without a place.
pub(crate) fn problem(code: &str, message: impl Into<String>) -> Problem {
    Problem::new(QUERY_PATH, code, message)
}

/// A problem at a byte of the text.
pub(crate) fn problem_at_byte(code: &str, message: impl Into<String>, text: &str, offset: usize) -> Problem {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    placed(problem(code, message), line, column)
}

/// A problem at a node of the parsed document.
pub(crate) fn problem_at(
    code: &str,
    message: impl Into<String>,
    sources: &SourceMap,
    location: Option<SourceSpan>,
) -> Problem {
    let problem = problem(code, message);
    match location.and_then(|location| location.line_column(sources)) {
        Some(place) => placed(problem, place.line, place.column),
        None => problem,
    }
}

/// The problem with a line and a column, both from 1.
pub(crate) fn placed(mut problem: Problem, line: usize, column: usize) -> Problem {
    problem.line = u32::try_from(line).ok();
    problem.column = u32::try_from(column).ok();
    problem
}

/// A name that is compared with others, in bytes: none of ours is half as long.
const NAME_COMPARED_BYTES_MAX: usize = 100;

/// The name that is most like `asked`, if one is like it at all.
pub(crate) fn nearest_name<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE_MIN: f64 = 0.75;
    if asked.len() > NAME_COMPARED_BYTES_MAX {
        return None;
    }
    let asked = asked.to_lowercase();
    let scored = known.map(|name| (strsim::jaro_winkler(&asked, &name.to_lowercase()), name));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (best.0 >= ALIKE_MIN).then_some(best.1)
}
