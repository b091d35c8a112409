//! HTTP/2 that breaks its own rules (RFC 9113): frames written by hand, over TLS.

use crate::{Case, INTERIM_ALLOCATED_BYTES_MAX, case};
use hookgraph_domain::attempt::OutcomeCode::{ConnectionClosed, ProtocolError, Timeout};
use hookgraph_testkit::hostile::Act::{Flood, Listen, Say, Stall};
use hookgraph_testkit::hostile::{Certificate, Layer};

const H2: Layer = Layer::Tls(Certificate::Trusted, "h2");
const NOT_HTTP: &str = "the answer is not valid HTTP, or its head is longer than what is read";
const NO_ANSWER: &str = "no answer within 300 ms";

/// An empty SETTINGS frame, as every server begins with.
const SETTINGS: &[u8] = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";

pub const CASES: &[Case] = &[
    case("no settings", H2, &[Listen, Stall], Timeout, NO_ANSWER),
    case("settings, and nothing more", H2, &[Listen, Say(SETTINGS), Stall], Timeout, NO_ANSWER),
    case(
        "no window for the body",
        H2,
        &[Listen, Say(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00"), Stall],
        Timeout,
        NO_ANSWER,
    ),
    case(
        "resets the stream",
        H2,
        &[Listen, Say(SETTINGS), Say(b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x02"), Stall],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "goes away",
        H2,
        &[Listen, Say(SETTINGS), Say(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"), Stall],
        ProtocolError,
        NOT_HTTP,
    ),
    case("closes", H2, &[Listen, Say(SETTINGS)], ConnectionClosed, "before the answer ended"),
    case(
        "endless continuations",
        H2,
        // Headers that do not end, then continuations of a literal header each.
        &[
            Listen,
            Say(SETTINGS),
            Say(b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x88"),
            Flood(b"\x00\x00\x05\x09\x00\x00\x00\x00\x01\x00\x01x\x01y"),
        ],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "endless empty continuations",
        H2,
        &[
            Listen,
            Say(SETTINGS),
            Say(b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x88"),
            Flood(b"\x00\x00\x00\x09\x00\x00\x00\x00\x01"),
        ],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "ping flood",
        H2,
        &[Listen, Say(SETTINGS), Flood(b"\x00\x00\x08\x06\x00\x00\x00\x00\x00pingping")],
        Timeout,
        NO_ANSWER,
    ),
    case("settings flood", H2, &[Listen, Flood(SETTINGS)], Timeout, NO_ANSWER),
    Case {
        allocated_bytes_max: INTERIM_ALLOCATED_BYTES_MAX,
        ..case(
            "1xx flood",
            H2,
            // `:status 100` as a literal of an indexed name.
            &[Listen, Say(SETTINGS), Flood(b"\x00\x00\x05\x01\x04\x00\x00\x00\x01\x08\x03100")],
            Timeout,
            NO_ANSWER,
        )
    },
    case(
        "a frame of 16 MB",
        H2,
        &[Listen, Say(SETTINGS), Say(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"), Flood(b"x")],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "data before its head",
        H2,
        &[Listen, Say(SETTINGS), Say(b"\x00\x00\x04\x00\x01\x00\x00\x00\x01data"), Stall],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "data on a stream that nobody opened",
        H2,
        &[Listen, Say(SETTINGS), Say(b"\x00\x00\x04\x00\x01\x00\x00\x00\x07data"), Stall],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "a window beyond 31 bits",
        H2,
        &[Listen, Say(SETTINGS), Say(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff"), Stall],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "headers that cannot be unpacked",
        H2,
        &[Listen, Say(SETTINGS), Say(b"\x00\x00\x02\x01\x05\x00\x00\x00\x01\xff\xff"), Stall],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "a push that nobody asked for",
        H2,
        &[Listen, Say(SETTINGS), Say(b"\x00\x00\x05\x05\x04\x00\x00\x00\x01\x00\x00\x00\x02\x88"), Stall],
        ProtocolError,
        NOT_HTTP,
    ),
    case(
        "speaks HTTP/1.1 after all",
        H2,
        &[Listen, Say(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Stall],
        ProtocolError,
        NOT_HTTP,
    ),
];
