//! Requests over HTTP: any body and any query string is a request or a refusal that says why.

use hookgraph_server::http::parse;

pub fn hold(data: &[u8]) {
    if let Err(message) = parse::body(data) {
        assert!(!message.is_empty());
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(message) = parse::query_string(text)
    {
        assert!(!message.is_empty());
    }
}
