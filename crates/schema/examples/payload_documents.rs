//! Judging payload documents as a filter, to be held against graphql-js: each line of the input is a JSON string that holds a
//! document; each line of the output is a JSON list of the codes of its problems, whatever the event type.

use hookgraph_schema::document::DocumentChecker;
use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let checker = DocumentChecker::for_payloads().map_err(io::Error::other)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let problems = checker.problems_without_event(&text);
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_str()).collect();
        writeln!(out, "{}", serde_json::Value::from(codes))?;
    }
    out.flush()
}
