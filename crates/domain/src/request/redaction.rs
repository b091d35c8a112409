//! Redaction: what the log keeps of a request's headers, and a preview shows.

mod echoes;

use super::TEST_HEADER;
use crate::attempt::{Exchange, OutcomeCode, OutgoingRequest, ResponseHead};
use crate::limits::SECRET_ECHO_BYTES_MIN;
use crate::signing::{JWT_HEADER, SIGNATURE_HEADER};
use crate::webhook::{Header, Webhook};

/// What stands in the log for a secret.
const REDACTED: &str = "[redacted]";
/// The headers whose values the log keeps: those that hookgraph sets. A webhook's own may bear a secret under any name.
const KEPT: [&str; 9] = [
    "accept",
    "content-type",
    "traceparent",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    TEST_HEADER,
    SIGNATURE_HEADER,
    JWT_HEADER,
];

/// The request as the log keeps it: the values of the webhook's own headers are replaced by `[redacted]`.
///
/// Our own signatures stay: they are no secrets, can be replayed for [`crate::limits::SIGNATURE_VALID_S`] alone, and are
/// what one needs to find out why a receiver refuses a request.
pub fn redacted(request: OutgoingRequest, webhook: &Webhook) -> OutgoingRequest {
    with_headers(request, |name| is_kept(name) && secret_of(webhook, name).is_none())
}

/// The request as a preview shows it: the values of headers that are marked secret are replaced by `[redacted]`.
pub fn masked(request: OutgoingRequest, webhook: &Webhook) -> OutgoingRequest {
    with_headers(request, |name| secret_of(webhook, name).is_none())
}

/// The request without its signatures, which are replaced by `[redacted]`: signed content of a reader's choice would pass for
/// ours at its receiver.
pub fn without_signatures(request: OutgoingRequest) -> OutgoingRequest {
    let is_signature = |name: &str| [SIGNATURE_HEADER, JWT_HEADER].iter().any(|own| own.eq_ignore_ascii_case(name));
    with_headers(request, |name| !is_signature(name))
}

/// The exchange as the log keeps it: a receiver may answer with what it was sent, so the values of headers that are marked
/// secret are taken out of the answer too, also where it writes them as JSON and URLs do.
pub fn redacted_exchange(exchange: Exchange, webhook: &Webhook) -> Exchange {
    let secrets: Vec<&str> = webhook.headers.iter().filter(|header| header.is_secret).flat_map(parts).collect();
    if secrets.is_empty() {
        return exchange;
    }
    let without = |text: String| echoes::without(text, &secrets, false);
    let is_cut = exchange.response_truncated || !is_answered(exchange.code);
    let response = exchange.response.map(|head| ResponseHead {
        headers: head.headers.into_iter().map(|(name, value)| (name, without(value))).collect(),
        ..head
    });
    Exchange {
        detail: exchange.detail.map(without),
        response,
        response_body: exchange.response_body.map(|body| echoes::without(body, &secrets, is_cut)),
        ..exchange
    }
}

/// Whether the answer was read as far as it is kept. A failure before that cuts it anywhere.
fn is_answered(code: OutcomeCode) -> bool {
    matches!(code, OutcomeCode::Delivered | OutcomeCode::HttpStatus | OutcomeCode::Redirect | OutcomeCode::Gone)
}

/// A secret value, and what stands behind its scheme (`Bearer …`), where they are long enough to be told from other text.
fn parts(header: &Header) -> impl Iterator<Item = &str> {
    let value = header.value.as_str();
    let behind = value.split_once(' ').map(|(_, behind)| behind);
    [Some(value), behind].into_iter().flatten().filter(|part| part.len() >= SECRET_ECHO_BYTES_MIN)
}

fn secret_of<'a>(webhook: &'a Webhook, name: &str) -> Option<&'a Header> {
    webhook.headers.iter().find(|header| header.is_secret && header.name.eq_ignore_ascii_case(name))
}

fn with_headers(mut request: OutgoingRequest, is_kept: impl Fn(&str) -> bool) -> OutgoingRequest {
    for (name, value) in &mut request.headers {
        if !is_kept(name) {
            REDACTED.clone_into(value);
        }
    }
    request
}

fn is_kept(name: &str) -> bool {
    KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::webhook;

    fn with_secret(name: &str, value: &str) -> Webhook {
        let header = Header { name: name.to_owned(), value: value.to_owned(), is_secret: true };
        Webhook { headers: vec![header], ..webhook() }
    }

    #[test]
    fn a_header_marked_secret_is_redacted_under_any_name() {
        let headers = [("user-agent", "s3cret"), ("x-plain", "plain"), ("webhook-id", "1")];
        let request = OutgoingRequest {
            method: "POST".to_owned(),
            url: "https://receiver.example/".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: None,
        };
        let values = |request: OutgoingRequest| request.headers.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        let webhook = with_secret("user-agent", "s3cret");
        assert_eq!(values(redacted(request.clone(), &webhook)), ["[redacted]", "[redacted]", "1"]);
        assert_eq!(values(masked(request, &webhook)), ["[redacted]", "plain", "1"]);
    }

    #[test]
    fn signatures_are_taken_out_and_what_else_is_sent_stays() {
        let request = OutgoingRequest {
            method: "GET".to_owned(),
            url: "https://receiver.example/?a=1".to_owned(),
            headers: [JWT_HEADER, "Webhook-Signature", "webhook-id", "webhook-timestamp", "authorization"]
                .map(|name| (name.to_owned(), "value".to_owned()))
                .to_vec(),
            body: None,
        };
        let shown = without_signatures(request.clone());
        let values: Vec<_> = shown.headers.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, [REDACTED, REDACTED, "value", "value", "value"]);
        assert_eq!((shown.method, shown.url, shown.body), (request.method, request.url, request.body));
    }

    fn echo(secret: &str) -> Exchange {
        Exchange {
            code: OutcomeCode::HttpStatus,
            detail: Some(format!("detail {secret}")),
            response: Some(ResponseHead { status: 400, headers: vec![("x-echo".to_owned(), secret.to_owned())] }),
            response_body: Some(format!(r#"{{"authorization":"{secret}","again":"{secret}"}}"#)),
            response_truncated: false,
            retry_after_ms: None,
            remote_address: None,
            duration_ms: 1,
        }
    }

    #[test]
    fn a_secret_that_a_receiver_answers_with_is_taken_out() {
        let webhook = with_secret("authorization", "Bearer tops3cret");
        for echoed in ["Bearer tops3cret", "tops3cret", "Bearer%20tops3cret", r"top\u00733cret"] {
            assert_eq!(redacted_exchange(echo(echoed), &webhook), echo(REDACTED));
        }
        let short = "x".repeat(SECRET_ECHO_BYTES_MIN - 1);
        assert_eq!(redacted_exchange(echo(&short), &with_secret("x-pin", &short)), echo(&short));
    }

    #[test]
    fn where_an_answer_is_cut_within_a_secret_its_beginning_is_taken_out() {
        let webhook = with_secret("authorization", "tops3cret");
        let kept = |code, response_truncated| {
            let body = Some("authorization: tops3c".to_owned());
            let exchange = Exchange { code, response_truncated, response_body: body, ..echo("") };
            redacted_exchange(exchange, &webhook).response_body.unwrap()
        };
        assert_eq!(kept(OutcomeCode::HttpStatus, false), "authorization: tops3c");
        assert_eq!(kept(OutcomeCode::HttpStatus, true), "authorization: [redacted]");
        assert_eq!(kept(OutcomeCode::Timeout, false), "authorization: [redacted]");
    }

    #[test]
    fn a_webhooks_own_headers_are_redacted_and_ours_are_not() {
        for (name, is_secret) in [
            ("authorization", true),
            ("Proxy-Authorization", true),
            ("cookie", true),
            ("x-api-key", true),
            ("x-auth", true),
            ("x-shared-secret", true),
            ("x-signature", true),
            ("x-access-token", true),
            ("x-pin", true),
            ("content-type", false),
            ("user-agent", false),
            ("accept", false),
            ("traceparent", false),
            ("webhook-id", false),
            ("webhook-timestamp", false),
            ("webhook-test", false),
            ("webhook-signature", false),
            ("x-crystallize-signature", false),
        ] {
            assert_eq!(!is_kept(name), is_secret, "{name}");
        }
        let request = OutgoingRequest {
            method: "POST".to_owned(),
            url: "https://receiver.example/".to_owned(),
            headers: vec![
                ("authorization".to_owned(), "Bearer abc".to_owned()),
                ("accept".to_owned(), "*/*".to_owned()),
            ],
            body: Some("{}".into()),
        };
        let kept = redacted(request.clone(), &webhook());
        assert_eq!(kept.headers[0].1, "[redacted]");
        assert_eq!((&kept.headers[1], &kept.body, &kept.url), (&request.headers[1], &request.body, &request.url));
    }
}
