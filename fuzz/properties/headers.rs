//! Header rules: what is saved can be sent as it is, on one line, and replaces nothing of ours.

use hookgraph_domain::address::AddressRules;
use hookgraph_domain::flow::FlowDraft;
use hookgraph_domain::limits::{HEADERS_BYTES_MAX, HEADERS_MAX};
use hookgraph_domain::webhook::{Header, HttpMethod};
use hookgraph_domain::webhook_rules::{self, WebhookDraft, is_reserved_header};

/// Names and values, divided by NUL.
pub fn hold(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\0');
    let mut headers = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        headers.push(Header { name: name.to_owned(), value: value.to_owned(), is_secret: false });
    }
    let draft = WebhookDraft {
        name: "fuzz".to_owned(),
        concern: "orders".to_owned(),
        event: "create".to_owned(),
        method: HttpMethod::Post,
        url: "https://receiver.example/".to_owned(),
        headers,
        graphql_query: None,
        timeout_ms: None,
        retry_delays_s: None,
        flow: FlowDraft::default(),
    };
    let Ok(saved) = webhook_rules::check(&draft, &AddressRules::default(), "input") else { return };
    assert!(saved.headers.len() <= HEADERS_MAX);
    let bytes: usize = saved.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    assert!(bytes <= HEADERS_BYTES_MAX);
    for (at, Header { name, value, .. }) in saved.headers.iter().enumerate() {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'), "{name:?}");
        assert_eq!(*name, name.to_lowercase());
        assert!(!is_reserved_header(name), "{name}");
        assert!(value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)), "{value:?}");
        assert_eq!(value.trim(), value, "{name}");
        assert!(saved.headers[..at].iter().all(|other| other.name != *name), "{name} is there twice");
    }
}
