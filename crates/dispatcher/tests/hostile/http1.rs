//! Plain HTTP/1.1, and what is none.

use crate::{Case, LONG_MS, SHORT_MS, case, post};
use hookgraph_dispatcher::transport::HttpTransport;
use hookgraph_domain::attempt::OutcomeCode::{
    ConnectionClosed, Delivered, Gone, HttpStatus, ProtocolError, Redirect, Timeout,
};
use hookgraph_domain::ports::Transport;
use hookgraph_testkit::hostile::Act::{Drip, Flood, HalfClose, Listen, Repeat, Reset, Say, Stall};
use hookgraph_testkit::hostile::{HostileReceiver, Layer::Plain};

const CLOSED: &str = "the connection was closed before the answer ended";
const NOT_HTTP: &str = "the answer is not valid HTTP, or its head is longer than what is read";
const NO_ANSWER: &str = "no answer within 300 ms";
const NO_END: &str = "the answer did not end within 300 ms";
const NOT_TEXT: &str = "the answer's body is not text";

/// A kibibyte of one header's value.
const KIBIBYTE: &[u8] = &[b'x'; 1024];

pub const CASES: &[Case] = &[
    case("never answers", Plain, &[Listen, Stall], Timeout, NO_ANSWER),
    case("never reads", Plain, &[Stall], Timeout, NO_ANSWER),
    case("a byte at a time, in the head", Plain, &[Listen, Drip(b"HTTP/1.1 200 OK\r\nx: y\r\n")], Timeout, NO_ANSWER),
    case(
        "a byte at a time, in the body",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n"), Drip(b"x")],
        Timeout,
        NO_END,
    ),
    case("stops in the head", Plain, &[Listen, Say(b"HTTP/1.1 200 OK\r\nx-a"), Stall], Timeout, NO_ANSWER),
    case(
        "stops in the body",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Stall],
        Timeout,
        NO_END,
    ),
    case("endless body", Plain, &[Listen, Say(b"HTTP/1.1 200 OK\r\n\r\n"), Flood(b"x")], Delivered, ""),
    case(
        "endless chunks",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Flood(b"4\r\nxxxx\r\n")],
        Delivered,
        "",
    ),
    case(
        "endless chunks of nothing but their extensions",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;"), Flood(b"x")],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "endless trailers",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"), Flood(b"x: y\r\n")],
        ProtocolError,
        NOT_HTTP,
    ),
    case("endless headers", Plain, &[Listen, Say(b"HTTP/1.1 200 OK\r\n"), Flood(b"x: y\r\n")], ProtocolError, NOT_HTTP),
    case("endless header", Plain, &[Listen, Say(b"HTTP/1.1 200 OK\r\nx: "), Flood(b"y")], ProtocolError, NOT_HTTP),
    case(
        "a header of 100 MB",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\nx: "), Repeat(KIBIBYTE, 100 * 1024), Say(b"\r\ncontent-length: 0\r\n\r\n")],
        ProtocolError,
        NOT_HTTP,
    ),
    case("endless reason", Plain, &[Listen, Say(b"HTTP/1.1 200 "), Flood(b"OK ")], ProtocolError, NOT_HTTP),
    case("endless empty lines", Plain, &[Listen, Flood(b"\r\n")], ProtocolError, NOT_HTTP),
    case("1xx flood", Plain, &[Listen, Flood(b"HTTP/1.1 100 Continue\r\n\r\n")], Timeout, NO_ANSWER),
    case("103 flood", Plain, &[Listen, Flood(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")], Timeout, NO_ANSWER),
    case(
        "switches protocols",
        Plain,
        &[Listen, Say(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), Flood(b"x")],
        HttpStatus,
        "",
    ),
    case(
        "gzip bomb",
        Plain,
        // Zeros without end, in stored form: unpacked they are no smaller. Only the header asks for unpacking.
        &[
            Listen,
            Say(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
            Flood(b"\xec\xc1\x01\x01\x00\x00\x00\x80\x90\xfe\xaf\xee\x08\x0a"),
        ],
        Delivered,
        NOT_TEXT,
    ),
    case("resets before its answer", Plain, &[Listen, Reset], ConnectionClosed, CLOSED),
    case(
        "resets in its body",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"), Reset],
        ConnectionClosed,
        CLOSED,
    ),
    case("closes before its answer", Plain, &[Listen], ConnectionClosed, CLOSED),
    case("closes its side, and reads on", Plain, &[Listen, HalfClose], ConnectionClosed, CLOSED),
    case("closes in its head", Plain, &[Listen, Say(b"HTTP/1.1 200 OK\r\nx-a")], ConnectionClosed, CLOSED),
    case(
        "closes in its chunks",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nab")],
        ConnectionClosed,
        CLOSED,
    ),
    case("speaks SSH", Plain, &[Listen, Say(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), Stall], ProtocolError, NOT_HTTP),
    case("speaks HTTP/0.9", Plain, &[Listen, Say(b"<html>hello</html>\r\n\r\n")], ProtocolError, NOT_HTTP),
    case("speaks HTTP/3.0", Plain, &[Listen, Say(b"HTTP/3.0 200 OK\r\n\r\n")], ProtocolError, NOT_HTTP),
    case(
        "speaks HTTP/2 unasked",
        Plain,
        &[Listen, Say(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), Stall],
        ProtocolError,
        NOT_HTTP,
    ),
    case("a status of two digits", Plain, &[Listen, Say(b"HTTP/1.1 20 OK\r\n\r\n")], ProtocolError, NOT_HTTP),
    case(
        "a status that is none",
        Plain,
        &[Listen, Say(b"HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n")],
        HttpStatus,
        "",
    ),
    case(
        "two lengths",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab")],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "a negative length",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n")],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "a length beyond 64 bits",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n")],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "a chunk beyond 64 bits",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n")],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "a header with a NUL",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n")],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "a header that is not UTF-8",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\nx: \xff\xfe\r\ncontent-length: 0\r\n\r\n")],
        Delivered,
        "",
    ),
    case(
        "a body that is not UTF-8",
        Plain,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\xff\xfe\0a")],
        Delivered,
        NOT_TEXT,
    ),
    case(
        "Retry-After of a thousand years",
        Plain,
        &[Listen, Say(b"HTTP/1.1 503 Busy\r\nretry-after: 31557600000\r\ncontent-length: 0\r\n\r\n")],
        HttpStatus,
        "",
    ),
    case(
        "Retry-After in the year 3026",
        Plain,
        &[Listen, Say(b"HTTP/1.1 429 Busy\r\nretry-after: Wed, 25 Nov 3026 12:00:00 GMT\r\ncontent-length: 0\r\n\r\n")],
        HttpStatus,
        "",
    ),
    case(
        "leads to the metadata service",
        Plain,
        &[Listen, Say(b"HTTP/1.1 307 Go\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n")],
        Redirect,
        "",
    ),
    case(
        "leads to itself",
        Plain,
        &[Listen, Say(b"HTTP/1.1 308 Go\r\nlocation: /\r\nrefresh: 0; url=/\r\ncontent-length: 0\r\n\r\n")],
        Redirect,
        "",
    ),
    case("is gone, at length", Plain, &[Listen, Say(b"HTTP/1.1 410 Gone\r\n\r\n"), Flood(b"gone")], Gone, ""),
];

pub async fn never_accepted(transport: &HttpTransport) -> Option<String> {
    let receiver = HostileReceiver::absent(Plain).await;
    let exchange = transport.send(&post(receiver.url("127.0.0.1")), SHORT_MS).await;
    (exchange.code != Timeout).then(|| format!("never accepts: {}", exchange.code.as_str()))
}

/// A second answer behind the first is none to the next request on that connection.
pub async fn answering_ahead(transport: &HttpTransport) -> Option<String> {
    let twice: &[_] = &[
        Listen,
        Say(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        Stall,
    ];
    let receiver = HostileReceiver::playing(Plain, twice).await;
    for _ in 0..20 {
        let exchange = transport.send(&post(receiver.url("127.0.0.1")), LONG_MS).await;
        if exchange.code != HttpStatus {
            return Some(format!("answers ahead: {}", exchange.code.as_str()));
        }
    }
    None
}
