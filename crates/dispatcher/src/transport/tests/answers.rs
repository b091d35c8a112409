//! What is kept of answers.

use super::servers::{answering, endless};
use super::{TIMEOUT_MS, post, transport};
use hookgraph_domain::attempt::{Exchange, OutcomeCode};
use hookgraph_domain::limits::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEADERS_BYTES_MAX, RETRY_AFTER_MS_MAX};
use hookgraph_domain::ports::Transport;

async fn exchanged(answer: impl Into<Vec<u8>>) -> Exchange {
    let server = answering(answer).await;
    transport().send(&post(server.url()), TIMEOUT_MS).await
}

async fn code_of(status: u16) -> OutcomeCode {
    exchanged(format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n")).await.code
}

#[tokio::test]
async fn a_2xx_is_delivered_with_its_head_body_and_address() {
    let server = answering("HTTP/1.1 202 Accepted\r\nX-Request-Id: 7\r\ncontent-length: 2\r\n\r\nok").await;
    let exchange = transport().send(&post(server.url()), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::Delivered);
    assert_eq!(exchange.detail, None);
    let head = exchange.response.expect("a head");
    assert_eq!(head.status, 202);
    assert_eq!(head.headers[0], ("x-request-id".to_owned(), "7".to_owned()));
    assert_eq!(exchange.response_body.as_deref(), Some("ok"));
    assert!(!exchange.response_truncated);
    assert_eq!(exchange.remote_address, Some(server.address.to_string()));
}

#[tokio::test]
async fn each_status_has_its_code() {
    assert_eq!(code_of(204).await, OutcomeCode::Delivered);
    assert_eq!(code_of(304).await, OutcomeCode::Redirect);
    assert_eq!(code_of(404).await, OutcomeCode::HttpStatus);
    assert_eq!(code_of(410).await, OutcomeCode::Gone);
    assert_eq!(code_of(503).await, OutcomeCode::HttpStatus);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let location = target.url();
    let exchange = exchanged(format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")).await;
    assert_eq!(exchange.code, OutcomeCode::Redirect);
    assert!(!target.seen.is_finished());
}

#[tokio::test]
async fn informational_answers_before_the_answer_are_passed_over() {
    let exchange = exchanged(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(exchange.code, OutcomeCode::Delivered);
}

#[tokio::test]
async fn a_body_at_the_cap_is_kept_whole() {
    let body = "b".repeat(RESPONSE_BODY_BYTES_MAX);
    let exchange = exchanged(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(exchange.response_body, Some(body));
    assert!(!exchange.response_truncated);
}

#[tokio::test]
async fn a_body_over_the_cap_is_cut_and_says_so() {
    let body = "b".repeat(RESPONSE_BODY_BYTES_MAX + 1);
    let exchange = exchanged(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(exchange.code, OutcomeCode::Delivered);
    assert_eq!(exchange.response_body.map(|body| body.len()), Some(RESPONSE_BODY_BYTES_MAX));
    assert!(exchange.response_truncated);
}

#[tokio::test]
async fn an_endless_body_is_read_up_to_the_cap_and_the_connection_is_dropped() {
    let server = endless("HTTP/1.1 200 OK\r\n\r\n").await;
    let exchange = transport().send(&post(server.url()), TIMEOUT_MS).await;
    assert_eq!(exchange.code, OutcomeCode::Delivered);
    assert_eq!(exchange.response_body.map(|body| body.len()), Some(RESPONSE_BODY_BYTES_MAX));
}

#[tokio::test]
async fn a_character_that_the_cap_cuts_is_left_out() {
    let body = format!("{}ä", "b".repeat(RESPONSE_BODY_BYTES_MAX - 1));
    let exchange = exchanged(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(exchange.response_body.map(|body| body.len()), Some(RESPONSE_BODY_BYTES_MAX - 1));
    assert_eq!(exchange.detail, None);
}

#[tokio::test]
async fn a_binary_body_becomes_text_without_nul_and_is_noted() {
    let exchange = exchanged(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\na\0\xFFb".to_vec()).await;
    assert_eq!(exchange.code, OutcomeCode::Delivered);
    assert_eq!(exchange.response_body.as_deref(), Some("a\u{FFFD}\u{FFFD}b"));
    assert!(exchange.detail.expect("a note").contains("not text"));
}

#[tokio::test]
async fn headers_are_kept_as_far_as_the_cap_goes() {
    let padding: String = (0..20).map(|number| format!("x-{number}: {}\r\n", "v".repeat(1_000))).collect();
    let exchange = exchanged(format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{padding}\r\n")).await;
    let kept = exchange.response.expect("a head").headers;
    let bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(bytes <= RESPONSE_HEADERS_BYTES_MAX);
    assert!(kept.len() > 5);
}

#[tokio::test]
async fn a_compressed_body_is_not_decompressed() {
    let exchange = exchanged("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzzzz").await;
    assert_eq!(exchange.response_body.as_deref(), Some("zzzz"));
}

async fn retry_after_of(value: &str) -> Option<u64> {
    exchanged(format!("HTTP/1.1 503 Busy\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n")).await.retry_after_ms
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_or_as_a_date_and_capped() {
    assert_eq!(retry_after_of("120").await, Some(120_000));
    assert_eq!(retry_after_of("0").await, Some(0));
    assert_eq!(retry_after_of("Mon, 23 Nov 2026 12:01:30 GMT").await, Some(90_000));
    assert_eq!(retry_after_of("Monday, 23-Nov-26 12:01:30 GMT").await, Some(90_000));
    assert_eq!(retry_after_of("Mon, 23 Nov 2026 11:00:00 GMT").await, Some(0));
    assert_eq!(retry_after_of("99999999").await, Some(RETRY_AFTER_MS_MAX));
    assert_eq!(retry_after_of("99999999999999999999999").await, Some(RETRY_AFTER_MS_MAX));
    assert_eq!(retry_after_of("Fri, 31 Dec 9999 23:59:59 GMT").await, Some(RETRY_AFTER_MS_MAX));
}

#[tokio::test]
async fn a_retry_after_that_is_neither_is_none() {
    for value in ["soon", "-5", "1.5", "+3", ""] {
        assert_eq!(retry_after_of(value).await, None, "{value:?}");
    }
}
