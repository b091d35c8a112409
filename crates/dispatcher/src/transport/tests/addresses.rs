//! The address filter: on names through a scripted resolver, and on literal hosts.

use super::servers::{answering, silent};
use super::{Noon, TIMEOUT_MS, loopback_allowed, post};
use crate::transport::{HttpTransport, NameResolver, TransportOptions};
use async_trait::async_trait;
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::ports::Transport;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// Answers each look-up with the next of its answers.
struct Scripted(Mutex<VecDeque<io::Result<Vec<IpAddr>>>>);

#[async_trait]
impl NameResolver for Scripted {
    async fn addresses(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        self.0.lock().pop_front().expect("one more answer than planned")
    }
}

fn resolving(rules: AddressRules, answers: Vec<io::Result<Vec<IpAddr>>>) -> HttpTransport {
    let names = Arc::new(Scripted(Mutex::new(answers.into())));
    let options = TransportOptions { names, ..TransportOptions::default() };
    HttpTransport::with(rules, Arc::new(Noon), options).expect("a transport")
}

fn addresses(texts: &[&str]) -> io::Result<Vec<IpAddr>> {
    Ok(texts.iter().map(|text| text.parse().expect("an address")).collect())
}

#[tokio::test]
async fn loopback_is_refused_unless_allowed_in_every_spelling_of_a_literal() {
    let server = silent().await;
    let port = server.address.port();
    let transport = resolving(AddressRules::default(), vec![]);
    for host in
        ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "0", "[::ffff:127.0.0.1]", "[::1]", "[::]"]
    {
        let url = url::Url::parse(&format!("http://{host}:{port}/")).expect("a URL");
        let exchange = transport.send(&post(url.as_str()), TIMEOUT_MS).await;
        assert_eq!(exchange.code, OutcomeCode::AddressRefused, "{host}");
        let detail = exchange.detail.expect("words");
        assert!(detail.contains(" is in ") && detail.contains("which webhooks may not call"), "{detail}");
    }
    assert!(!server.seen.is_finished());
}

#[tokio::test]
async fn a_name_with_a_refused_answer_is_refused_and_nobody_is_told_which_address_it_has() {
    let refused = vec!["8.8.4.0/24".parse().expect("a range")];
    let rules = AddressRules { refused, ..AddressRules::default() };
    for address in ["10.0.0.5", "169.254.169.254", "fd00::5", "8.8.4.4"] {
        let transport = resolving(rules.clone(), vec![addresses(&[address])]);
        let exchange = transport.send(&post("http://inside.example/"), TIMEOUT_MS).await;
        assert_eq!(exchange.code, OutcomeCode::AddressRefused, "{address}");
        assert_eq!(exchange.detail.as_deref(), Some("the name leads to an address that webhooks may not call"));
        assert_eq!(exchange.remote_address, None);
    }
}

#[tokio::test]
async fn a_name_with_public_and_private_answers_is_refused_whatever_their_order() {
    for answers in [["93.184.215.14", "127.0.0.1"], ["127.0.0.1", "93.184.215.14"], ["2606:4700::1111", "fd00::1"]] {
        let transport = resolving(AddressRules::default(), vec![addresses(&answers)]);
        let exchange = transport.send(&post("http://mixed.example/"), TIMEOUT_MS).await;
        assert_eq!(exchange.code, OutcomeCode::AddressRefused, "{answers:?}");
    }
}

#[tokio::test]
async fn the_address_dialled_is_the_one_that_was_checked() {
    let server = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let transport = resolving(loopback_allowed(), vec![addresses(&["127.0.0.1"])]);
    let url = format!("http://receiver.example:{}/", server.address.port());
    let exchange = transport.send(&post(url), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::Delivered);
    assert_eq!(exchange.remote_address, Some(server.address.to_string()));
    assert!(server.seen.await.expect("a request").contains("host: receiver.example:"));
}

#[tokio::test]
async fn a_name_that_is_bound_anew_is_checked_anew() {
    let server = answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://rebinding.example:{}/", server.address.port());
    let transport = resolving(loopback_allowed(), vec![addresses(&["127.0.0.1"]), addresses(&["169.254.169.254"])]);
    assert_eq!(transport.send(&post(url.clone()), TIMEOUT_MS).await.code, OutcomeCode::Delivered);
    assert_eq!(transport.send(&post(url), TIMEOUT_MS).await.code, OutcomeCode::AddressRefused);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_says_so() {
    let unknown = io::Error::new(io::ErrorKind::NotFound, "no such host");
    let transport = resolving(loopback_allowed(), vec![Err(unknown), Ok(vec![])]);
    let failed = transport.send(&post("https://nowhere.example/"), TIMEOUT_MS).await;
    assert_eq!(failed.code, OutcomeCode::DnsFailed);
    assert_eq!(failed.detail.as_deref(), Some("the name does not resolve: no such host"));
    let empty = transport.send(&post("https://nowhere.example/"), TIMEOUT_MS).await;
    assert_eq!(empty.code, OutcomeCode::DnsFailed);
}

#[tokio::test]
async fn a_look_up_for_which_this_server_has_no_socket_blames_no_receiver() {
    const EMFILE: i32 = 24;
    let transport = resolving(loopback_allowed(), vec![Err(io::Error::from_raw_os_error(EMFILE))]);
    let exchange = transport.send(&post("https://receiver.example/"), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::ServerFault);
    assert_eq!(exchange.detail.as_deref(), Some("this server has no free socket"));
}

#[tokio::test]
async fn the_systems_resolver_is_filtered_alike() {
    let transport = HttpTransport::new(AddressRules::default(), Arc::new(Noon)).expect("a transport");
    let exchange = transport.send(&post("http://localhost/"), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::AddressRefused);
}
