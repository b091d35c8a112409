//! What goes out, to the byte.

use super::servers::{answering, read_request, serving, silent};
use super::{TIMEOUT_MS, post, transport};
use hookgraph_domain::attempt::{OutcomeCode, OutgoingRequest};
use hookgraph_domain::ports::Transport;
use tokio::io::AsyncWriteExt;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn a_request_goes_out_with_its_headers_in_order_and_its_exact_body() {
    let server = answering(OK).await;
    let request = OutgoingRequest {
        method: "PATCH".to_owned(),
        url: format!("{}a%20b/?q=%C3%A4&r=1", server.url()),
        headers: vec![header("x-first", "1"), header("content-type", "application/json"), header("x-ü", "")],
        body: Some("{\"ü\":\"\u{2028}\"}".into()),
    };
    let mut sendable = request.clone();
    sendable.headers[2] = header("x-umlaut", "grün");
    transport().send(&sendable, TIMEOUT_MS).await;
    let seen = server.seen.await.expect("a request");
    assert!(seen.starts_with(
        "PATCH /a%20b/?q=%C3%A4&r=1 HTTP/1.1\r\nx-first: 1\r\ncontent-type: application/json\r\nx-umlaut: grün\r\n"
    ));
    assert!(seen.ends_with("\r\n\r\n{\"ü\":\"\u{2028}\"}"));
    let unsendable = transport().send(&request, TIMEOUT_MS).await;
    assert_eq!(unsendable.code, OutcomeCode::InvalidRequest);
}

#[tokio::test]
async fn a_get_goes_out_without_a_body() {
    let server = answering(OK).await;
    let request = OutgoingRequest { method: "GET".to_owned(), body: None, ..post(server.url()) };
    assert_eq!(transport().send(&request, TIMEOUT_MS).await.code, OutcomeCode::Delivered);
    let seen = server.seen.await.expect("a request");
    assert!(seen.starts_with("GET / HTTP/1.1\r\n"));
    assert!(!seen.contains("content-length"));
    assert!(seen.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn a_delete_goes_out_with_its_body() {
    let server = answering(OK).await;
    let request = OutgoingRequest { method: "DELETE".to_owned(), ..post(server.url()) };
    transport().send(&request, TIMEOUT_MS).await;
    assert!(server.seen.await.expect("a request").ends_with("\r\n\r\n{\"a\":1}"));
}

#[tokio::test]
async fn a_url_that_would_be_sent_otherwise_than_signed_is_not_sent() {
    let server = silent().await;
    let port = server.address.port();
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("HTTP://127.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://127.0.0.1:{port}/a/../b"),
        format!("http://127.0.0.1:{port}/ü"),
        "http://".to_owned(),
        "file:///etc/passwd".to_owned(),
        "not a url".to_owned(),
    ] {
        let exchange = transport().send(&post(url.clone()), TIMEOUT_MS).await;
        assert_eq!(exchange.code, OutcomeCode::InvalidRequest, "{url}");
    }
    assert!(!server.seen.is_finished());
}

#[tokio::test]
async fn a_header_that_would_inject_another_is_not_sent_and_its_value_not_told() {
    let server = silent().await;
    let request = OutgoingRequest { headers: vec![header("x-a", "secret\r\nx-b: 2")], ..post(server.url()) };
    let exchange = transport().send(&request, TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::InvalidRequest);
    assert_eq!(exchange.detail.as_deref(), Some("the value of header x-a cannot be sent"));
}

#[tokio::test]
async fn a_second_request_goes_over_the_same_connection() {
    // It accepts one connection alone.
    let server = serving(async |mut stream| {
        let _ = stream.write_all(OK.as_bytes()).await;
        read_request(&mut stream).await;
        let _ = stream.write_all(OK.as_bytes()).await;
    })
    .await;
    let transport = transport();
    for _ in 0..2 {
        let exchange = transport.send(&post(server.url()), TIMEOUT_MS).await;
        assert_eq!(exchange.code, OutcomeCode::Delivered);
    }
}
