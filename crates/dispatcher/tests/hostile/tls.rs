//! TLS that is none, stalls, or shows the wrong certificate.

use crate::{Case, LONG_MS, case, post};
use hookgraph_dispatcher::transport::HttpTransport;
use hookgraph_domain::attempt::OutcomeCode::{ConnectFailed, ConnectionClosed, Timeout, TlsFailed};
use hookgraph_domain::ports::Transport;
use hookgraph_testkit::hostile::Act::{Drip, Flood, Listen, Reset, Say, Stall};
use hookgraph_testkit::hostile::{Certificate, HostileReceiver, Layer};

const HTTP_1: Layer = Layer::Tls(Certificate::Trusted, "http/1.1");
const NO_ANSWER: &str = "no answer within 300 ms";

pub const CASES: &[Case] = &[
    case("stalls in the handshake", Layer::InsteadOfTls, &[Listen, Stall], Timeout, NO_ANSWER),
    case("stalls in a record", Layer::InsteadOfTls, &[Listen, Say(b"\x16\x03\x03\x40\x00"), Stall], Timeout, NO_ANSWER),
    case("a byte at a time", Layer::InsteadOfTls, &[Listen, Drip(b"\x16\x03\x03\x01\x00")], Timeout, NO_ANSWER),
    case(
        "speaks plain HTTP",
        Layer::InsteadOfTls,
        &[Listen, Say(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
        TlsFailed,
        "the receiver does not speak TLS on this port",
    ),
    case("speaks noise", Layer::InsteadOfTls, &[Listen, Flood(b"\xde\xad\xbe\xef")], TlsFailed, "does not speak TLS"),
    case("cuts the handshake", Layer::InsteadOfTls, &[Listen], TlsFailed, "was closed during the TLS handshake"),
    case("resets in the handshake", Layer::InsteadOfTls, &[Listen, Reset], ConnectFailed, "the connection was reset"),
    case(
        "refuses the handshake",
        Layer::InsteadOfTls,
        &[Listen, Say(b"\x15\x03\x03\x00\x02\x02\x28"), Stall],
        TlsFailed,
        "the receiver ended the TLS handshake",
    ),
    case(
        "an expired certificate",
        Layer::Tls(Certificate::Expired, "http/1.1"),
        &[Listen, Stall],
        TlsFailed,
        "the certificate",
    ),
    case(
        "chooses a protocol that was not offered",
        Layer::Tls(Certificate::Trusted, "spdy/3"),
        &[Listen, Stall],
        TlsFailed,
        "the receiver ended the TLS handshake",
    ),
    case("never answers over TLS", HTTP_1, &[Listen, Stall], Timeout, NO_ANSWER),
    case(
        "ends without saying that it does",
        HTTP_1,
        // Without TLS' own goodbye, who cut the body off cannot be told.
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Reset],
        ConnectionClosed,
        "the connection was closed before the answer ended",
    ),
];

/// To a transport that does not trust it.
pub const UNTRUSTED: Case = case(
    "a certificate that nobody trusts",
    HTTP_1,
    &[Listen, Stall],
    TlsFailed,
    "the certificate's issuer is not trusted",
);

pub async fn under_another_name(transport: &HttpTransport) -> Option<String> {
    let receiver = HostileReceiver::playing(HTTP_1, &[Listen, Stall]).await;
    let exchange = transport.send(&post(receiver.url("localhost")), LONG_MS).await;
    let is_refused =
        exchange.code == TlsFailed && exchange.detail.as_deref() == Some("the certificate is for another name");
    (!is_refused).then(|| format!("another name: {} ({:?})", exchange.code.as_str(), exchange.detail))
}
