//! Redaction: what the log keeps of a request's headers.

use crate::attempt::OutgoingRequest;
use crate::signing::{JWT_HEADER, SIGNATURE_HEADER};

/// What stands in the log for a secret.
const REDACTED: &str = "[redacted]";
/// The headers whose values the log keeps: those that hookgraph sets. A webhook's own may bear a secret under any name.
const KEPT: [&str; 8] = [
    "accept",
    "content-type",
    "traceparent",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    SIGNATURE_HEADER,
    JWT_HEADER,
];

/// The request as the log keeps it: the values of the webhook's own headers are replaced by `[redacted]`.
///
/// Our own signatures stay: they are no secrets, can be replayed for [`crate::limits::SIGNATURE_VALID_S`] alone, and are
/// what one needs to find out why a receiver refuses a request.
pub fn redacted(request: &OutgoingRequest) -> OutgoingRequest {
    let kept = |(name, value): &(String, String)| {
        (name.clone(), if is_kept(name) { value.clone() } else { REDACTED.to_owned() })
    };
    OutgoingRequest { headers: request.headers.iter().map(kept).collect(), ..request.clone() }
}

fn is_kept(name: &str) -> bool {
    KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            body: Some("{}".to_owned()),
        };
        let kept = redacted(&request);
        assert_eq!(kept.headers[0].1, "[redacted]");
        assert_eq!((&kept.headers[1], &kept.body, &kept.url), (&request.headers[1], &request.body, &request.url));
    }
}
