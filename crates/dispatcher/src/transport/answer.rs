//! The answer, as far as it is kept: a capped head, the first bytes of the body, made text.

use super::failure::Failure;
use crate::limits::RESPONSE_HEADERS_MAX;
use hookgraph_domain::attempt::{Exchange, OutcomeCode, ResponseHead};
use hookgraph_domain::limits::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEADERS_BYTES_MAX, RETRY_AFTER_MS_MAX};
use hookgraph_domain::time::Timestamp;
use http::{HeaderMap, header};
use std::net::SocketAddr;

/// What has come of an answer so far; it stays readable when the rest never comes.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) remote_address: Option<SocketAddr>,
    head: Option<ResponseHead>,
    retry_after_ms: Option<u64>,
    body: Vec<u8>,
    truncated: bool,
}

impl Answer {
    /// Keeps the head of a response that came at that time.
    pub(super) fn head(&mut self, response: &reqwest::Response, now: Timestamp) {
        self.remote_address = response.remote_addr().or(self.remote_address);
        self.retry_after_ms = retry_after_ms(response.headers(), now);
        let headers = kept_headers(response.headers());
        self.head = Some(ResponseHead { status: response.status().as_u16(), headers });
    }

    /// Reads the body up to the cap. Dropping the response then closes the connection, or resets the stream.
    pub(super) async fn body(&mut self, mut response: reqwest::Response) -> Result<(), reqwest::Error> {
        while let Some(chunk) = response.chunk().await? {
            let room = RESPONSE_BODY_BYTES_MAX - self.body.len();
            if chunk.len() > room {
                self.body.extend_from_slice(&chunk[..room]);
                self.truncated = true;
                break;
            }
            self.body.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// The exchange that this answer, whole or cut short by a failure, amounts to.
    pub(super) fn into_exchange(self, failure: Option<Failure>, duration_ms: u64) -> Exchange {
        let (code, failed) = match (failure, &self.head) {
            (Some(failure), _) => (failure.code, Some(failure.detail)),
            (None, Some(head)) => (code_of_status(head.status), None),
            (None, None) => (OutcomeCode::ProtocolError, Some("no answer".to_owned())),
        };
        let (body, binary) = text_of(self.body, self.truncated);
        let binary_note = binary.then_some("the answer's body is not text: what could not be read is shown as U+FFFD");
        Exchange {
            code,
            detail: failed.or(binary_note.map(str::to_owned)),
            response_body: self.head.is_some().then_some(body),
            response: self.head,
            response_truncated: self.truncated,
            retry_after_ms: self.retry_after_ms,
            remote_address: self.remote_address.map(|address| address.to_string()),
            duration_ms,
        }
    }
}

fn code_of_status(status: u16) -> OutcomeCode {
    match status {
        200..=299 => OutcomeCode::Delivered,
        300..=399 => OutcomeCode::Redirect,
        410 => OutcomeCode::Gone,
        _ => OutcomeCode::HttpStatus,
    }
}

/// The headers, in the order received, as many as fit.
fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut bytes = 0;
    let mut kept = Vec::new();
    for (name, value) in headers.iter().take(RESPONSE_HEADERS_MAX) {
        bytes += name.as_str().len() + value.len();
        if bytes > RESPONSE_HEADERS_BYTES_MAX {
            break;
        }
        kept.push((name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    }
    kept
}

/// The body as text that every store can hold, and whether something of it could not be read. A character that the cap
/// cuts in two is left out.
fn text_of(mut bytes: Vec<u8>, truncated: bool) -> (String, bool) {
    if truncated
        && let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    let text = String::from_utf8_lossy(&bytes);
    let binary = matches!(text, std::borrow::Cow::Owned(_)) || text.contains('\0');
    (text.replace('\0', "\u{FFFD}"), binary)
}

/// `Retry-After` (RFC 9110, 10.2.3) in milliseconds from now, capped: seconds, or a date, of which a past one means now.
fn retry_after_ms(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait_ms = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits beyond 64 bits are a very long wait, not none.
        text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000)
    } else {
        let at = Timestamp::from(httpdate::parse_http_date(text).ok()?);
        u64::try_from((at - now).num_milliseconds()).unwrap_or(0)
    };
    Some(wait_ms.min(RETRY_AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    /// Over HTTP/1 the client itself reads no more.
    #[test]
    fn so_many_headers_are_kept_the_first_of_them() {
        let of = |count: usize| -> HeaderMap {
            let name = |number: usize| HeaderName::try_from(format!("x-{number}")).expect("a name");
            (0..count).map(|number| (name(number), HeaderValue::from_static("v"))).collect()
        };
        let kept = kept_headers(&of(RESPONSE_HEADERS_MAX));
        assert_eq!(kept.len(), RESPONSE_HEADERS_MAX);
        assert_eq!(kept_headers(&of(RESPONSE_HEADERS_MAX + 1)), kept);
    }
}
