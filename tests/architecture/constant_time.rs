//! Secrets, and the values that are computed from them, are compared by one function, in constant time.

use super::sources;

/// Parts of the names of secrets, and of values that are computed from secrets.
const SECRET_WORDS: &[&str] = &["secret", "sha256", "signature", "hmac", "digest", "password", "token_text", "api_key"];

/// Comparisons of values that are no secrets: the end of the path, and a part of the line. (The claim `hmac` is a hash
/// of the request, without a key; the manifest is the operator's.)
const NO_SECRETS: &[(&str, &str)] = &[
    ("domain/src/verification/jwt.rs", "hmac_claim("),
    ("server/src/documents/manifest.rs", "super::sha256_of_hex(hash) == Some(super::sha256(text))"),
    ("pim/src/idempotency.rs", "kept.request_sha256 != step.request_sha256"),
    ("storage/src/migrate.rs", "sha256_hex(migration.sql) != *sha256"),
];

#[test]
fn secrets_are_compared_in_constant_time_and_nowhere_else() {
    let mut comparing = Vec::new();
    for (path, text) in sources() {
        if path.ends_with("tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let is_known = NO_SECRETS.iter().any(|(file, part)| path.ends_with(file) && line.contains(part));
            if !is_known && compared(line).any(|name| SECRET_WORDS.iter().any(|word| name.contains(word))) {
                comparing.push(format!("{path}: {line}"));
            }
        }
    }
    assert!(comparing.is_empty(), "compare with domain::constant_time::same: {comparing:#?}");
}

/// The words on either side of a line's `==` and `!=`, up to the next space, in lower case.
fn compared(line: &str) -> impl Iterator<Item = String> {
    let sides = |operator: &'static str| {
        let parts: Vec<_> = line.split(operator).collect();
        let pairs = parts.windows(2).map(|pair| [pair[0].split_whitespace().last(), pair[1].split_whitespace().next()]);
        pairs.flatten().flatten().map(str::to_lowercase).collect::<Vec<_>>()
    };
    sides(" == ").into_iter().chain(sides(" != "))
}

#[test]
fn a_comparison_is_seen_by_what_stands_on_its_sides() {
    let seen = |line: &str| compared(line).collect::<Vec<_>>();
    assert_eq!(seen("if hmac_sha256(a) == *b.signature {"), ["hmac_sha256(a)", "*b.signature"]);
    assert_eq!(seen("a.b != c && d == e"), ["d", "e", "a.b", "c"]);
    assert!(seen("let secret = signature;").is_empty());
}
