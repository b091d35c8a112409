//! Judging documents as a filter, to be held against graphql-js: each line of the input is a JSON string that holds a
//! document; each line of the output is a JSON list of the codes of its problems. Documents are payload queries, whatever
//! the event type, or with the argument `management` calls of the management API, whatever the variables.

use hookgraph_domain::problem::Problem;
use hookgraph_schema::CallChecker;
use hookgraph_schema::document::DocumentChecker;
use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("management") {
        let checker = CallChecker::for_management().map_err(io::Error::other)?;
        answer(|text| checker.problems(text))
    } else {
        let checker = DocumentChecker::for_payloads().map_err(io::Error::other)?;
        answer(|text| checker.problems_without_event(text))
    }
}

fn answer(judge: impl Fn(&str) -> Vec<Problem>) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let problems = judge(&text);
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
        writeln!(out, "{}", serde_json::Value::from(codes))?;
    }
    out.flush()
}
