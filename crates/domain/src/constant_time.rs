//! The one comparison of what strangers may guess at: tokens' hashes, signatures, and what is kept by its hash.

use subtle::ConstantTimeEq;

/// Whether both are the same, in a time that tells nothing of where they differ; lengths are no secret.
///
/// Held by `secrets_are_compared_in_constant_time_and_nowhere_else` of the architecture tests.
#[must_use]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn bytes_are_the_same_where_each_is() {
        assert!(same(b"", b"") && same(b"abc", b"abc"));
        for other in [&b"abd"[..], b"bbc", b"ab", b"abcd", b""] {
            assert!(!same(b"abc", other), "{other:?}");
        }
    }
}
