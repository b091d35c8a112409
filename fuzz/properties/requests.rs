//! Requests over HTTP: any body and any query string is a request or a refusal that says why.

use hookgraph_server::documents::Documents;
use hookgraph_server::http::parse;
use std::sync::LazyLock;

static DOCUMENTS: LazyLock<Documents> = LazyLock::new(Documents::default);

pub fn hold(data: &[u8]) {
    if let Err(refusal) = parse::body(data, &DOCUMENTS) {
        assert!(!refusal.message.is_empty());
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(refusal) = parse::query_string(text, &DOCUMENTS)
    {
        assert!(!refusal.message.is_empty());
    }
}
