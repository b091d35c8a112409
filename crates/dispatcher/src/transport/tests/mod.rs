//! Exchanges with real sockets on the loopback address, each test with a hand-written server of its own.

mod address_table;
mod addresses;
mod answers;
mod failures;
mod mutual_tls;
mod proxied;
mod rebinding;
mod requests;
mod secure;
mod servers;
mod unanswered;

use super::*;
use chrono::{TimeZone, Utc};
use hookgraph_domain::time::Timestamp;

/// A clock that stands still at noon.
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Utc.with_ymd_and_hms(2026, 11, 23, 12, 0, 0).single().expect("a time that exists")
    }
}

fn loopback_allowed() -> AddressRules {
    let allowed = vec!["127.0.0.0/8".parse().expect("a range"), "::1/128".parse().expect("a range")];
    AddressRules { allowed, ..AddressRules::default() }
}

/// A transport for which loopback is allowed, as every test with a server needs.
fn transport() -> HttpTransport {
    HttpTransport::new(loopback_allowed(), Arc::new(Noon)).expect("a transport")
}

fn post(url: impl Into<String>) -> OutgoingRequest {
    OutgoingRequest {
        method: "POST".to_owned(),
        url: url.into(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Some("{\"a\":1}".into()),
    }
}

const TIMEOUT_MS: u32 = 5_000;
/// What a test whose server never answers waits.
const SHORT_TIMEOUT_MS: u32 = 50;
