//! The address filter against its table of cases, `addresses.txt`: what is said when a webhook is saved, and what becomes
//! of a request.

use super::{Noon, post};
use crate::transport::look_ups::LookUps;
use crate::transport::names::{NameError, checked};
use crate::transport::{HttpTransport, NameResolver, TransportOptions};
use async_trait::async_trait;
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::flow::FlowDraft;
use hookgraph_domain::limits::TIMEOUT_MS_MIN;
use hookgraph_domain::ports::Transport;
use hookgraph_domain::webhook::HttpMethod;
use hookgraph_domain::webhook_rules::{self, WebhookDraft};
use parking_lot::Mutex;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use url::{Host, Url};

/// Cases under what an operator refuses and allows.
struct Section {
    rules: AddressRules,
    cases: Vec<Case>,
}

struct Case {
    line: usize,
    url: &'static str,
    answers: Answers,
    saved: &'static str,
    sent: &'static str,
}

/// What every name of a case resolves to; none where nothing may be looked up.
#[derive(Clone)]
struct Answers(Option<Result<Vec<IpAddr>, ()>>);

#[async_trait]
impl NameResolver for Answers {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let unplanned = || io::Error::other(format!("{name} must not be looked up"));
        let answers = self.0.clone().ok_or_else(unplanned)?;
        answers.map_err(|()| io::Error::new(io::ErrorKind::NotFound, "no such host"))
    }
}

/// Answers as the case at hand does.
#[derive(Default)]
struct OfCase(Mutex<Option<Answers>>);

#[async_trait]
impl NameResolver for OfCase {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let answers = self.0.lock().clone().expect("a case");
        answers.addresses(name).await
    }
}

fn answers(text: &str) -> Answers {
    Answers(match text {
        "-" => None,
        "failing" => Some(Err(())),
        "none" => Some(Ok(Vec::new())),
        texts => Some(Ok(texts.split(',').map(|text| text.parse().expect("an address")).collect())),
    })
}

fn rules(header: &str) -> AddressRules {
    let network =
        |word: &str| word.parse().unwrap_or_else(|_| word.parse::<IpAddr>().expect("a network or an address").into());
    let (mut rules, mut list) = (AddressRules::default(), "");
    for word in header.split_whitespace() {
        match (list, word) {
            (_, "refused" | "addresses" | "hosts") => list = word,
            ("refused", word) => rules.refused.push(network(word)),
            ("addresses", word) => rules.allowed.push(network(word)),
            ("hosts", word) => rules.allowed_hosts.push(word.parse().expect("a name")),
            (_, word) => panic!("{word} is of no list"),
        }
    }
    rules
}

fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (index, text) in include_str!("addresses.txt").lines().enumerate() {
        let line = index + 1;
        if let Some(header) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            sections.push(Section { rules: rules(header), cases: Vec::new() });
        } else if !text.is_empty() && !text.starts_with('#') {
            let cells: Vec<_> = text.split(" | ").collect();
            let [url, resolved, saved, sent] = cells[..] else { panic!("line {line}: {text}") };
            let case = Case { line, url, answers: answers(resolved), saved, sent };
            sections.last_mut().expect("a section").cases.push(case);
        }
    }
    sections
}

/// The code with which saving a webhook with that URL is refused, or `SAVED`.
fn saved(case: &Case, rules: &AddressRules) -> String {
    let draft = WebhookDraft {
        name: "Case".to_owned(),
        concern: "orders".to_owned(),
        event: "create".to_owned(),
        method: HttpMethod::Post,
        url: case.url.to_owned(),
        headers: Vec::new(),
        graphql_query: None,
        timeout_ms: None,
        retry_delays_s: None,
        flow: FlowDraft::default(),
    };
    match webhook_rules::check(&draft, rules, "input") {
        Ok(_) => "SAVED".to_owned(),
        Err(problems) => problems.into_iter().map(|problem| problem.code).collect::<Vec<_>>().join(", "),
    }
}

/// The code of a request to that URL, as it would be stored. One that nothing refuses is not sent, for its address is
/// somebody's: what is held is that its address and its name pass.
async fn sent(case: &Case, rules: &AddressRules, transport: &HttpTransport) -> &'static str {
    let url = Url::parse(case.url);
    if case.sent != "DIALLED" {
        let text = url.as_ref().map_or(case.url, Url::as_str);
        return transport.send(&post(text), TIMEOUT_MS_MIN).await.code.as_str();
    }
    let url = url.expect("a URL");
    let host = url.host().expect("a host");
    if rules.check_host(&host).is_err() {
        return OutcomeCode::AddressRefused.as_str();
    }
    let Host::Domain(name) = host else { return "DIALLED" };
    let names = LookUps::new(Arc::new(case.answers.clone()));
    match checked(&names, Some(rules), name).await {
        Ok(_) => "DIALLED",
        Err(NameError::Refused) => OutcomeCode::AddressRefused.as_str(),
        Err(_) => OutcomeCode::DnsFailed.as_str(),
    }
}

#[tokio::test]
async fn every_case_of_the_table_has_its_codes() {
    let (mut count, mut wrong) = (0, Vec::new());
    for Section { rules, cases } in sections() {
        let names = Arc::new(OfCase::default());
        let options = TransportOptions { names: names.clone(), ..TransportOptions::default() };
        let transport = HttpTransport::with(rules.clone(), Arc::new(Noon), options).expect("a transport");
        for case in &cases {
            *names.0.lock() = Some(case.answers.clone());
            let (saved, sent) = (saved(case, &rules), sent(case, &rules, &transport).await);
            if (saved.as_str(), sent) != (case.saved, case.sent) {
                wrong.push(format!("line {}: {} is {saved}, {sent}", case.line, case.url));
            }
        }
        count += cases.len();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 150, "{count} cases");
}
