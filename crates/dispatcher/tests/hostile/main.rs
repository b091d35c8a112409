//! Receivers that misbehave: each ends in its own code within its deadline, and costs no more memory than is bounded.
//!
//! A test program of its own, because it counts what the whole process allocates.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test program")]

mod http1;
mod http2;
mod tls;

use hookgraph_dispatcher::transport::{CertificateDer, HttpTransport, TransportOptions};
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::attempt::{Exchange, OutcomeCode, OutgoingRequest};
use hookgraph_domain::limits::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEADERS_BYTES_MAX, RETRY_AFTER_MS_MAX};
use hookgraph_domain::ports::Transport;
use hookgraph_testkit::hostile::{Act, HostileReceiver, Layer, trusted_certificate};
use hookgraph_testkit::{ManualClock, ScriptedReceiver};
use peak_alloc::PeakAlloc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The deadline of an exchange that must end before it, in milliseconds: a case that waits for it has failed.
const LONG_MS: u32 = 20_000;
/// The deadline of an exchange that ends with it, in milliseconds.
const SHORT_MS: u32 = 300;
/// The most that an exchange may allocate, in bytes, on this server's and on the hostile side together.
const ALLOCATED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The same where a receiver floods an HTTP/2 connection with interim answers, in bytes: h2 keeps the answers that
/// come in one turn of the connection, and moves them once more as they grow. 95,517,525 were measured on a busy
/// machine.
const INTERIM_ALLOCATED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The most that an exchange may still hold once its receiver is gone, in bytes.
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// The most that a receiver may send before it is cut off, in bytes, buffers of the system included.
const TAKEN_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One way to misbehave, and how an attempt at it ends.
struct Case {
    name: &'static str,
    layer: Layer,
    script: &'static [Act],
    code: OutcomeCode,
    /// What the attempt's words say; nothing where there are none.
    says: &'static str,
    allocated_bytes_max: usize,
}

const fn case(name: &'static str, layer: Layer, script: &'static [Act], code: OutcomeCode, says: &'static str) -> Case {
    Case { name, layer, script, code, says, allocated_bytes_max: ALLOCATED_BYTES_MAX }
}

fn transport(extra_roots: Vec<CertificateDer<'static>>) -> HttpTransport {
    let allowed = vec!["127.0.0.0/8".parse().unwrap()];
    let allowed_hosts = vec!["localhost".parse().unwrap()];
    let rules = AddressRules { allowed, allowed_hosts, ..AddressRules::default() };
    let options = TransportOptions { extra_roots, ..TransportOptions::default() };
    HttpTransport::with(rules, Arc::new(ManualClock::default()), options).unwrap()
}

fn trusting() -> HttpTransport {
    transport(vec![trusted_certificate()])
}

fn post(url: String) -> OutgoingRequest {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    OutgoingRequest { method: "POST".to_owned(), url, headers, body: Some("{\"a\":1}".into()) }
}

/// Sends to the receiver of the case, and answers the exchange and everything that is wrong with it.
async fn played(transport: &HttpTransport, case: &Case) -> (Exchange, Vec<String>) {
    let receiver = HostileReceiver::playing(case.layer, case.script).await;
    let timeout_ms = if case.code == OutcomeCode::Timeout { SHORT_MS } else { LONG_MS };
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    let exchange = transport.send(&post(receiver.url("127.0.0.1")), timeout_ms).await;
    let allocated = ALLOCATED.peak_usage().saturating_sub(before);
    let mut wrong = Vec::new();
    let detail = exchange.detail.clone().unwrap_or_default();
    if exchange.code != case.code || !detail.contains(case.says) || (case.says.is_empty() && !detail.is_empty()) {
        wrong.push(format!("{}: {} ({detail})", case.name, exchange.code.as_str()));
    }
    if allocated > case.allocated_bytes_max {
        wrong.push(format!("{}: {allocated} bytes were allocated", case.name));
    }
    if case.code != OutcomeCode::Timeout && receiver.written_bytes() > TAKEN_BYTES_MAX {
        wrong.push(format!("{}: {} bytes were taken", case.name, receiver.written_bytes()));
    }
    wrong.extend(kept_too_much(&exchange).map(|what| format!("{}: {what}", case.name)));
    drop(receiver);
    if timeout(Duration::from_millis(LONG_MS.into()), given_back(before)).await.is_err() {
        let kept = ALLOCATED.current_usage().saturating_sub(before);
        wrong.push(format!("{}: {kept} bytes are kept", case.name));
    }
    (exchange, wrong)
}

/// Waits until the memory of an exchange is given back: its connection has ended, and costs the next exchange nothing.
async fn given_back(before: usize) {
    while ALLOCATED.current_usage() > before + KEPT_BYTES_MAX {
        tokio::task::yield_now().await;
    }
}

fn kept_too_much(exchange: &Exchange) -> Option<String> {
    let headers = exchange.response.iter().flat_map(|head| &head.headers);
    let header_bytes: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
    // A byte that cannot be read becomes U+FFFD: three bytes for one.
    let body_bytes = exchange.response_body.as_ref().map_or(0, String::len) / 3;
    let is_kept = header_bytes > 3 * RESPONSE_HEADERS_BYTES_MAX
        || body_bytes > RESPONSE_BODY_BYTES_MAX
        || exchange.retry_after_ms.is_some_and(|wait_ms| wait_ms > RETRY_AFTER_MS_MAX);
    is_kept.then(|| format!("{header_bytes} bytes of headers, {body_bytes} of the body, {:?}", exchange.retry_after_ms))
}

/// All cases are one test, because allocations are counted for the whole process.
#[tokio::test]
async fn every_hostile_receiver_ends_in_its_own_code_with_bounded_memory() {
    let (trusting, doubting) = (trusting(), transport(Vec::new()));
    // Everything that is made once is made before anything is counted.
    let friendly = ScriptedReceiver::start().await;
    assert_eq!(trusting.send(&post(friendly.url("/")), LONG_MS).await.code, OutcomeCode::Delivered);
    let mut wrong = Vec::new();
    let cases: Vec<&Case> = http1::CASES.iter().chain(http2::CASES).chain(tls::CASES).collect();
    for case in &cases {
        wrong.extend(played(&trusting, case).await.1);
    }
    wrong.extend(played(&doubting, &tls::UNTRUSTED).await.1);
    wrong.extend(tls::under_another_name(&trusting).await);
    wrong.extend(http1::never_accepted(&trusting).await);
    wrong.extend(http1::answering_ahead(&trusting).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 40, "{} cases", cases.len());
    assert_eq!(trusting.send(&post(friendly.url("/")), LONG_MS).await.code, OutcomeCode::Delivered);
}
