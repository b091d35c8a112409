//! Exchanges without a whole answer.

use super::servers::{answering, endless, serving, silent};
use super::{SHORT_TIMEOUT_MS, TIMEOUT_MS, post, transport};
use hookgraph_domain::attempt::{Exchange, OutcomeCode};
use hookgraph_domain::ports::Transport;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

async fn exchanged(answer: &'static str) -> Exchange {
    let server = answering(answer).await;
    transport().send(&post(server.url()), TIMEOUT_MS).await
}

#[tokio::test]
async fn a_closed_port_is_a_failed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let exchange = transport().send(&post(format!("http://{address}/")), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::ConnectFailed);
    assert_eq!(exchange.detail.as_deref(), Some("the connection was refused"));
    assert_eq!(exchange.remote_address, Some(address.to_string()));
    assert_eq!(exchange.response_body, None);
}

#[tokio::test]
async fn a_receiver_that_never_answers_runs_into_the_deadline() {
    let server = silent().await;
    let exchange = transport().send(&post(server.url()), SHORT_TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::Timeout);
    assert_eq!(exchange.detail.as_deref(), Some("no answer within 50 ms"));
    assert!(exchange.duration_ms >= u64::from(SHORT_TIMEOUT_MS));
}

#[tokio::test]
async fn a_receiver_that_never_accepts_runs_into_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let exchange = transport().send(&post(format!("https://{address}/")), SHORT_TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::Timeout);
}

#[tokio::test]
async fn a_body_that_never_ends_below_the_cap_runs_into_the_deadline_and_keeps_the_head() {
    let server = serving(async |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
        std::future::pending::<()>().await;
    })
    .await;
    let exchange = transport().send(&post(server.url()), SHORT_TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::Timeout);
    assert_eq!(exchange.detail.as_deref(), Some("the answer did not end within 50 ms"));
    assert_eq!(exchange.response.map(|head| head.status), Some(200));
    assert_eq!(exchange.response_body.as_deref(), Some("half"));
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_closed() {
    assert_eq!(exchanged("").await.code, OutcomeCode::ConnectionClosed);
}

#[tokio::test]
async fn a_connection_closed_in_the_head_is_closed() {
    assert_eq!(exchanged("HTTP/1.1 200 OK\r\nx-a").await.code, OutcomeCode::ConnectionClosed);
}

#[tokio::test]
async fn a_connection_closed_in_the_body_is_closed_and_keeps_what_came() {
    let exchange = exchanged("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    assert_eq!(exchange.code, OutcomeCode::ConnectionClosed);
    assert_eq!(exchange.response_body.as_deref(), Some("half"));
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_protocol_error() {
    let exchange = exchanged("SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    assert_eq!(exchange.code, OutcomeCode::ProtocolError);
    assert!(!exchange.detail.expect("words").contains("SSH"));
}

#[tokio::test]
async fn a_broken_chunk_is_a_protocol_error() {
    let exchange = exchanged("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n").await;
    assert_eq!(exchange.code, OutcomeCode::ProtocolError);
}

#[tokio::test]
async fn a_head_without_end_is_a_protocol_error() {
    let server = endless("HTTP/1.1 200 OK\r\nx-endless: ").await;
    let exchange = transport().send(&post(server.url()), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::ProtocolError);
}
