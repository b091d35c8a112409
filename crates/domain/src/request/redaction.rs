//! Redaction: what the log keeps of a request's headers.

use crate::attempt::OutgoingRequest;
use crate::signing::{JWT_HEADER, SIGNATURE_HEADER};

/// What stands in the log for a secret.
const REDACTED: &str = "[redacted]";
/// A header whose name contains one of these bears a secret.
const SECRET_WORDS: [&str; 12] = [
    "auth",
    "cookie",
    "credential",
    "jwt",
    "key",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "session",
    "signature",
    "token",
];

/// The request as the log keeps it: values of headers that bear secrets are replaced by `[redacted]`.
///
/// Our own signatures stay: they are no secrets, can be replayed for [`crate::limits::SIGNATURE_VALID_S`] alone, and are
/// what one needs to find out why a receiver refuses a request.
pub fn redacted(request: &OutgoingRequest) -> OutgoingRequest {
    let kept = |(name, value): &(String, String)| {
        (name.clone(), if bears_secret(name) { REDACTED.to_owned() } else { value.clone() })
    };
    OutgoingRequest { headers: request.headers.iter().map(kept).collect(), ..request.clone() }
}

fn bears_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_ours = name == JWT_HEADER || name == SIGNATURE_HEADER;
    !is_ours && (name.starts_with("proxy-") || SECRET_WORDS.iter().any(|word| name.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_bear_secrets_are_redacted_and_our_signatures_are_not() {
        for (name, is_secret) in [
            ("authorization", true),
            ("Proxy-Authorization", true),
            ("cookie", true),
            ("x-api-key", true),
            ("x-auth", true),
            ("x-shared-secret", true),
            ("x-signature", true),
            ("x-access-token", true),
            ("content-type", false),
            ("user-agent", false),
            ("accept", false),
            ("webhook-id", false),
            ("webhook-timestamp", false),
            ("webhook-signature", false),
            ("x-crystallize-signature", false),
        ] {
            assert_eq!(bears_secret(name), is_secret, "{name}");
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
