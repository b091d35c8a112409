//! Secrets in what a receiver answers: as they were sent, and as common encoders write them in JSON and in URLs.

#[cfg(test)]
mod reference;

use super::REDACTED;
use std::borrow::Cow;
use std::iter;
use std::ops::Range;

/// The shortest beginning of a secret that is looked for at the end of an answer that was cut, in bytes: shorter ones say
/// little, and end other text too.
const CUT_SECRET_BYTES_MIN: usize = 4;
/// The longest escape whose end is missing, in bytes: `\u007`.
const BEGUN_ESCAPE_BYTES_MAX: usize = 5;

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

/// The text with `[redacted]` in the place of each secret; where its end was cut off, in that of a secret's beginning too.
///
/// Every answer to a webhook with a secret header comes through here, and most hold neither a secret nor an escape: such a
/// text is searched where it stands, and returned as it came (`a_text_without_a_secret_is_not_copied`).
pub(super) fn without(text: String, secrets: &[&str], is_cut: bool) -> String {
    let found = found(&text, secrets, is_cut);
    if found.is_empty() { text } else { replaced(&text, found) }
}

/// Where the secrets are in the text as it came, and as each encoding and each within JSON may have written it. A reading with
/// nothing to undo is another of them (`every_reading_finds_what_its_definition_finds`).
fn found(text: &str, secrets: &[&str], is_cut: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let plain = Reading { text: Cow::Borrowed(text), source: None };
    let json = plain.undone(Encoding::Json);
    for reading in [Some(&plain), json.as_ref()].into_iter().flatten() {
        reading.find(secrets, is_cut, &mut found);
        let found_before = found.len();
        if let Some(url) = reading.undone(Encoding::Url) {
            url.find(secrets, is_cut, &mut found);
        }
        if !reading.text.contains('+') {
            // A form reads as a URL does, and finds the same: no secret shows it but an empty one.
            found.extend_from_within(found_before..);
        } else if let Some(form) = reading.undone(Encoding::Form) {
            form.find(secrets, is_cut, &mut found);
        }
    }
    if let Some(json_in_json) = json.as_ref().and_then(|json| json.undone(Encoding::Json)) {
        json_in_json.find(secrets, is_cut, &mut found);
    }
    found
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

/// A text as it came, or with escapes undone.
struct Reading<'a> {
    text: Cow<'a, str>,
    /// What was undone, and in which reading.
    source: Option<(Encoding, &'a Reading<'a>)>,
}

impl<'a> Reading<'a> {
    /// None where there is nothing to undo.
    fn undone(&'a self, encoding: Encoding) -> Option<Self> {
        let mut escapes = encoding.escapes(&self.text).peekable();
        escapes.peek()?;
        let (mut text, mut end) = (String::with_capacity(self.text.len()), 0);
        for (escape, character) in escapes {
            text.push_str(&self.text[end..escape.start]);
            text.push(character);
            end = escape.end;
        }
        text.push_str(&self.text[end..]);
        Some(Self { text: Cow::Owned(text), source: Some((encoding, self)) })
    }

    /// Adds where the secrets are in the text that came.
    fn find(&self, secrets: &[&str], is_cut: bool, found: &mut Vec<Range<usize>>) {
        for secret in secrets {
            self.trace(self.text.match_indices(secret).map(|(at, _)| at..at + secret.len()), found);
            if is_cut {
                self.trace(self.begun(secret).map(|at| at..self.text.len()), found);
            }
        }
    }

    /// Adds the ranges, which are in order and apart, as those of the text that came. Escapes are looked for again rather than
    /// remembered, since secrets are few.
    fn trace(&self, ranges: impl IntoIterator<Item = Range<usize>>, found: &mut Vec<Range<usize>>) {
        let found_before = found.len();
        found.extend(ranges);
        let mut source = self.source;
        while let Some((encoding, reading)) = source {
            let mut escapes = encoding.escapes(&reading.text).peekable();
            // By how much the escapes before a position are longer than their characters.
            let mut longer_by = 0;
            for position in found[found_before..].iter_mut().flat_map(|range| [&mut range.start, &mut range.end]) {
                while let Some((escape, _)) = escapes.next_if(|(escape, _)| escape.start - longer_by < *position) {
                    longer_by += escape.len() - 1;
                }
                *position += longer_by;
            }
            source = reading.source;
        }
    }

    /// From where on the text is the beginning of the secret, perhaps with a part of an escape behind it.
    fn begun(&self, secret: &str) -> Option<usize> {
        let (bytes, secret) = (self.text.as_bytes(), secret.as_bytes());
        let last = bytes.len().saturating_sub(BEGUN_ESCAPE_BYTES_MAX);
        let mark = bytes[last..].iter().rposition(|byte| matches!(byte, b'\\' | b'%')).map(|at| last + at);
        let escape = mark.filter(|at| is_begun_escape(&bytes[*at..]));
        let begun = |end: usize| {
            let near = &bytes[end.saturating_sub(secret.len())..end];
            // Most texts end without any beginning, which is seen without counting how long it is.
            let is_near = near.windows(CUT_SECRET_BYTES_MIN).any(|bytes| secret.starts_with(bytes));
            let length = if is_near { beginning_at_end(near, secret) } else { 0 };
            (length >= CUT_SECRET_BYTES_MIN).then(|| end - length)
        };
        [Some(bytes.len()), escape].into_iter().flatten().filter_map(begun).min()
    }
}

impl Encoding {
    /// Where escapes are in the text, and the characters that they stand for.
    fn escapes(self, text: &str) -> impl Iterator<Item = (Range<usize>, char)> {
        let mut at = 0;
        iter::from_fn(move || {
            loop {
                let start = at + self.mark(&text[at..])?;
                let escape = self.escape(&text.as_bytes()[start..]);
                at = start + escape.map_or(1, |(_, length)| length);
                if let Some((character, _)) = escape {
                    return Some((start..at, character));
                }
            }
        })
    }

    /// Where the text has the first byte that an escape can begin with.
    fn mark(self, text: &str) -> Option<usize> {
        match self {
            Self::Json => text.find('\\'),
            Self::Url => text.find('%'),
            Self::Form => text.bytes().position(|byte| matches!(byte, b'%' | b'+')),
        }
    }

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
    fn a_text_without_a_secret_is_not_copied() {
        for text in ["", r#"{"a":"é","line\nbreak":"100%, %zz"}"#, r#"a+b \"quoted\" %41"#] {
            let text = text.to_owned();
            let came_at = text.as_ptr();
            let kept = without(text, &[SECRET, BEHIND_SCHEME], true);
            assert_eq!(kept.as_ptr(), came_at, "{kept}");
        }
        let plain = Reading { text: r#"{"a":"é","line\nbreak":"100%, %zz"}"#.into(), source: None };
        for encoding in [Encoding::Json, Encoding::Url, Encoding::Form] {
            assert!(plain.undone(encoding).is_none(), "nothing to undo, so no reading is made");
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
