//! URLs and addresses: what is saved is in its normal form and leads nowhere that is refused, in any of its spellings.

use hookgraph_domain::address::AddressRules;
use hookgraph_domain::flow::FlowDraft;
use hookgraph_domain::webhook::HttpMethod;
use hookgraph_domain::webhook_rules::{self, WebhookDraft};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

pub fn hold(data: &[u8]) {
    if let Ok(url) = std::str::from_utf8(data) {
        of_url(url);
    }
    if let Some(bits) = data.first_chunk::<4>() {
        of_address(Ipv4Addr::from(*bits));
    }
    if let Some(bits) = data.first_chunk::<16>() {
        let _ = AddressRules::default().check(Ipv6Addr::from(*bits).into());
    }
}

fn of_url(text: &str) {
    let rules = AddressRules::default();
    let draft = WebhookDraft {
        name: "fuzz".to_owned(),
        concern: "orders".to_owned(),
        event: "create".to_owned(),
        method: HttpMethod::Post,
        url: text.to_owned(),
        headers: Vec::new(),
        graphql_query: None,
        timeout_ms: None,
        retry_delays_s: None,
        flow: FlowDraft::default(),
    };
    let Ok(saved) = webhook_rules::check(&draft, &rules, "input") else { return };
    let url = Url::parse(&saved.url).expect("what is saved is a URL");
    assert_eq!(url.as_str(), saved.url, "what is saved is in its normal form");
    assert!(matches!(url.scheme(), "http" | "https"));
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    match url.host().expect("what is saved has a host") {
        Host::Ipv4(address) => assert!(is_public(address), "{text:?} leads to {address}"),
        Host::Ipv6(address) => assert!(rules.check(address.into()).is_ok(), "{text:?} leads to {address}"),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            assert!(name != "localhost" && !name.ends_with(".localhost"), "{text:?} leads to {name}");
            assert!(name.parse::<IpAddr>().is_err() || text.contains(".."), "{text:?} is an address as a name: {name}");
        }
    }
}

fn of_address(address: Ipv4Addr) {
    let rules = AddressRules::default();
    let is_allowed = rules.check(address.into()).is_ok();
    assert!(!is_allowed || is_public(address), "{address}");
    assert_eq!(rules.check(address.to_ipv6_mapped().into()).is_ok(), is_allowed, "{address}, mapped");
}

/// What the standard library says of the same, in other words.
fn is_public(address: Ipv4Addr) -> bool {
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_unspecified()
        || address.is_multicast())
}
