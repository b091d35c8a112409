//! Canonical JSON as a filter, to be held against JavaScript's: each line of the input is a JSON string that holds a JSON
//! text; each line of the output is its canonical form as a JSON string, or `null` where the text is refused.

use hookgraph_domain::canonical_json;
use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        match canonical_json::from_text(&text) {
            Ok(canonical) => writeln!(out, "{}", serde_json::Value::from(canonical))?,
            Err(_) => writeln!(out, "null")?,
        }
    }
    out.flush()
}
