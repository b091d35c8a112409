//! Secrets in what a receiver answers: as they were sent, and as common encoders write them in JSON and in URLs.

use super::REDACTED;
use std::ops::Range;

/// The shortest beginning of a secret that is looked for at the end of an answer that was cut, in bytes: shorter ones say
/// little, and end other text too.
const CUT_SECRET_BYTES_MIN: usize = 4;

/// How a text may have been encoded. Undoing finds a secret whichever characters the encoder chose to escape.
#[derive(Clone, Copy)]
enum Encoding {
    /// A JSON string.
    Json,
    /// A part of a URL.
    Url,
    /// The same, with `+` for a space.
    Form,
}

/// What is undone, one after the other, each time on the text as it came.
const READINGS: [&[Encoding]; 7] = [
    &[],
    &[Encoding::Json],
    &[Encoding::Json, Encoding::Json],
    &[Encoding::Url],
    &[Encoding::Form],
    &[Encoding::Json, Encoding::Url],
    &[Encoding::Json, Encoding::Form],
];

/// The text with `[redacted]` in the place of each secret; where its end was cut off, in that of a secret's beginning too.
pub(super) fn without(text: String, secrets: &[&str], is_cut: bool) -> String {
    let mut found = Vec::new();
    for reading in READINGS.into_iter().filter_map(|encodings| Reading::through(&text, encodings)) {
        for secret in secrets {
            found.extend(reading.echoes(secret));
            if is_cut && let Some(begun) = reading.begun(secret) {
                found.push(begun..text.len());
            }
        }
    }
    if found.is_empty() { text } else { replaced(&text, found) }
}

/// Ranges that overlap are one secret, or one within another.
fn replaced(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let (mut kept, mut end) = (String::with_capacity(text.len()), 0);
    for range in found {
        if range.start >= end {
            kept.push_str(&text[end..range.start]);
            kept.push_str(REDACTED);
        }
        end = end.max(range.end);
    }
    kept.push_str(&text[end..]);
    kept
}

/// A text with escapes undone.
struct Reading {
    text: String,
    /// Where each of its bytes begins in the text that came, and where that ends.
    starts: Vec<usize>,
}

impl Reading {
    /// None where one of the encodings has nothing to undo: that reading is another of [`READINGS`].
    fn through(text: &str, encodings: &[Encoding]) -> Option<Self> {
        let plain = Self { text: text.to_owned(), starts: (0..=text.len()).collect() };
        encodings.iter().try_fold(plain, |reading, encoding| reading.undone(*encoding))
    }

    fn undone(&self, encoding: Encoding) -> Option<Self> {
        let mut undone = Self { text: String::with_capacity(self.text.len()), starts: Vec::new() };
        let mut at = 0;
        while let Some(first) = self.text[at..].chars().next() {
            let plain = (first, first.len_utf8());
            let (character, length) = encoding.escape(&self.text.as_bytes()[at..]).unwrap_or(plain);
            undone.text.push(character);
            // An escape stands for one byte; any other character for as many as it has.
            undone.starts.extend(&self.starts[at..at + character.len_utf8()]);
            at += length;
        }
        undone.starts.push(self.starts[at]);
        (undone.text != self.text).then_some(undone)
    }

    /// Where the secret is in the text that came.
    fn echoes<'a>(&'a self, secret: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        self.text.match_indices(secret).map(|(at, _)| self.starts[at]..self.starts[at + secret.len()])
    }

    /// From where on the text that came is the beginning of the secret, perhaps with a part of an escape behind it.
    fn begun(&self, secret: &str) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let escape = self.text.rfind(['\\', '%']).filter(|at| is_begun_escape(&bytes[*at..]));
        let begun = |end: usize| {
            let length = beginning_at_end(&bytes[..end], secret.as_bytes());
            (length >= CUT_SECRET_BYTES_MIN).then(|| self.starts[end - length])
        };
        [Some(bytes.len()), escape].into_iter().flatten().filter_map(begun).min()
    }
}

impl Encoding {
    /// The character that an escape at the beginning of the bytes stands for, where it is ASCII as secrets are, and how long
    /// the escape is.
    fn escape(self, bytes: &[u8]) -> Option<(char, usize)> {
        match (self, bytes) {
            (Self::Json, [b'\\', byte @ (b'"' | b'\\' | b'/'), ..]) => Some((char::from(*byte), 2)),
            (Self::Json, [b'\\', b't', ..]) => Some(('\t', 2)),
            (Self::Json, [b'\\', b'u', b'0', b'0', high, low, ..]) => Some((ascii(*high, *low)?, 6)),
            (Self::Form, [b'+', ..]) => Some((' ', 1)),
            (Self::Url | Self::Form, [b'%', high, low, ..]) => Some((ascii(*high, *low)?, 3)),
            _ => None,
        }
    }
}

/// The ASCII character of two hexadecimal digits.
fn ascii(high: u8, low: u8) -> Option<char> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    char::from_u32(digit(high)? * 16 + digit(low)?).filter(char::is_ascii)
}

/// Whether the bytes are an escape whose end is missing.
fn is_begun_escape(bytes: &[u8]) -> bool {
    let digits = match bytes {
        [b'\\', b'u', digits @ ..] => digits,
        [b'%', digits @ ..] => return matches!(digits, [] | [b'0'..=b'7']),
        _ => return matches!(bytes, [b'\\']),
    };
    matches!(digits, [] | [b'0'] | [b'0', b'0'] | [b'0', b'0', b'0'..=b'7'])
}

/// How many bytes at the end of the text are a beginning of what is looked for, but not all of it. It is linear in their length
/// (Knuth, Morris and Pratt), whatever both consist of.
fn beginning_at_end(text: &[u8], sought: &[u8]) -> usize {
    let mut borders = vec![0; sought.len()];
    for at in 1..sought.len() {
        borders[at] = longer(sought, &borders, borders[at - 1], sought[at]);
    }
    let end = text.len().saturating_sub(sought.len().saturating_sub(1));
    text[end..].iter().fold(0, |length, byte| longer(sought, &borders, length, *byte))
}

/// How much of the beginning ends with the byte, where so much of it ended before the byte.
fn longer(sought: &[u8], borders: &[usize], mut length: usize, byte: u8) -> usize {
    while length > 0 && sought[length] != byte {
        length = borders[length - 1];
    }
    if sought[length] == byte { length + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "Bearer a/b\"c\\d<e>+f=";
    const BEHIND_SCHEME: &str = "a/b\"c\\d<e>+f=";

    #[test]
    fn a_secret_is_found_however_common_encoders_write_it() {
        let json = serde_json::to_string(SECRET).unwrap();
        let in_json = serde_json::to_string(&json).unwrap();
        for (encoder, echo) in [
            ("none", SECRET),
            ("serde_json", json.trim_matches('"')),
            ("PHP", r#"Bearer a\/b\"c\\d<e>+f="#),
            ("Go", r#"Bearer a/b\"c\\d\u003ce\u003e+f="#),
            (".NET", r"Bearer a/b\u0022c\\d\u003Ce\u003E\u002Bf="),
            ("JSON in JSON", in_json.trim_start_matches(['"', '\\']).trim_end_matches(['"', '\\'])),
            ("encodeURIComponent", "Bearer%20a%2Fb%22c%5Cd%3Ce%3E%2Bf%3D"),
            ("in lower case", "Bearer%20a%2fb%22c%5cd%3ce%3e%2bf%3d"),
            ("encodeURI", "Bearer%20a/b%22c%5Cd%3Ce%3E+f="),
            ("a form", "Bearer+a%2Fb%22c%5Cd%3Ce%3E%2Bf%3D"),
            ("a URL in JSON", r"Bearer%20a\/b%22c%5Cd%3Ce%3E+f="),
            ("a form in JSON", r"Bearer+a\/b%22c%5Cd%3Ce%3E%2Bf="),
        ] {
            let text = format!("é before {echo} behind {echo}");
            let kept = without(text, &[BEHIND_SCHEME, SECRET], false);
            assert_eq!(kept, "é before [redacted] behind [redacted]", "{encoder}");
        }
        assert_eq!(without("a\\tb\\tc\\td\\te".to_owned(), &["a\tb\tc\td\te"], false), REDACTED);
    }

    #[test]
    fn other_text_stays_to_the_byte() {
        let escapes = r#"{"path":"C:\\dir\/é","\u00e9":"%zz%e9%","\u00":"\"#;
        for text in ["", "100% of a+b", escapes, "Bearer a/b\"c\\d<e>+f"] {
            assert_eq!(without(text.to_owned(), &[SECRET], false), text);
        }
    }

    #[test]
    fn a_secret_that_begins_another_leaves_nothing_of_it() {
        let (short, long) = ("tops3cret", "tops3cret-and-more");
        for secrets in [[short, long], [long, short]] {
            assert_eq!(without(format!("{long} {short}{short}"), &secrets, false), "[redacted] [redacted][redacted]");
        }
        assert_eq!(without("abcdefgh-ijklmnop".to_owned(), &["abcdefgh-", "h-ijklmnop"], false), REDACTED);
    }

    #[test]
    fn where_a_text_is_cut_the_beginning_of_a_secret_is_taken_for_it() {
        let in_json = [r"Bearer a\/b\", r#"Bearer a\/b\"c\\d\u003"#];
        for cut in ["Bear", "Bearer a/b\"c\\d<e>+f", "Bearer%20a%2", "Bearer+"].into_iter().chain(in_json) {
            assert_eq!(without(format!("before {cut}"), &[SECRET], true), "before [redacted]", "{cut}");
            assert!(without(format!("before {cut}"), &[SECRET], false).ends_with(cut));
            assert!(without(format!("before {cut}."), &[SECRET], true).ends_with('.'));
        }
        let short = format!("before {}", &SECRET[..CUT_SECRET_BYTES_MIN - 1]);
        assert_eq!(without(short.clone(), &[SECRET], true), short);
    }

    #[test]
    fn the_longest_beginning_at_the_end_is_found() {
        for (text, secret, length) in [
            ("", "abcd", 0),
            ("ab", "abcd", 2),
            ("xxabcd", "abcd", 0),
            ("aaaa", "aaab", 3),
            ("abababa", "ababac", 5),
            ("abcabcab", "abcabcabd", 8),
            ("abcabcabx", "abcabcabd", 0),
        ] {
            assert_eq!(beginning_at_end(text.as_bytes(), secret.as_bytes()), length, "{text} {secret}");
        }
    }
}
