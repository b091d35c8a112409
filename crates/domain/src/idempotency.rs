//! Answers that are kept under an idempotency key: the same key with the same request gets the same answer again, and
//! nothing is written twice.

use crate::ids::TenantId;

/// Under which name a request's `extensions` hold the key. Over HTTP the header `idempotency-key` says the same.
pub const IDEMPOTENCY_EXTENSION: &str = "idempotencyKey";

/// Which answer: one request may change things in several steps, each of which commits by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey {
    /// Whose key: tenants never meet each other's.
    pub tenant_id: TenantId,
    /// The key, in the caller's words.
    pub key: String,
    /// Which change of the request.
    pub step: i64,
}

/// The answer of a change, kept with the change in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Which.
    pub key: AnswerKey,
    /// Of the whole request: another one under the same key is refused.
    pub request_sha256: [u8; 32],
    /// What the change answered, as JSON of whoever wrote it.
    pub answer: String,
}

/// Why a text is no idempotency key; none where it is one.
pub fn key_problem(key: &str) -> Option<String> {
    let max = crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
    if key.is_empty() || key.len() > max {
        return Some(format!("an idempotency key has 1 to {max} bytes, this one has {}", key.len()));
    }
    let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    (!is_plain).then(|| "an idempotency key is ASCII without spaces and control characters".to_owned())
}

#[cfg(test)]
mod tests {
    use super::key_problem;
    use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;

    #[test]
    fn a_key_is_plain_text_of_a_bounded_length() {
        assert_eq!(key_problem("0198b6a0-5c1e-7f00-8000-00000000a001"), None);
        assert_eq!(key_problem(&"k".repeat(IDEMPOTENCY_KEY_BYTES_MAX)), None);
        for wrong in ["", "a b", "a\u{0}", "é", &"k".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1)] {
            assert!(key_problem(wrong).is_some(), "{wrong:?}");
        }
    }
}
