//! Strips a document of the parts without a meaning for its execution: commas, byte order marks, comments, and
//! descriptions.
//!
//! The specification tells a parser to pass over the first three, and apollo-parser does not everywhere: it stumbles
//! over a comma where it looks two tokens ahead, as in `... , on Order`. Descriptions of operations, fragments and
//! variables came with the edition of September 2025, which it does not know. So they are stripped before it reads the
//! text. Lines and columns stay as they were.

use super::scan::string_end;
use super::validator::is_string;
use std::borrow::Cow;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const DESCRIBED: [&str; 4] = ["query", "mutation", "subscription", "fragment"];

/// The text with spaces for commas, byte order marks and descriptions, and without comments. Other strings stay.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let mut reader = Reader { text, at: 0, brackets: Vec::new(), before: None };
    let mut plain = String::new();
    let mut kept = 0;
    while let Some((start, end)) = reader.next_idle() {
        plain.push_str(&text[kept..start]);
        match text.as_bytes()[start] {
            b'#' => {}
            b'"' => plain.extend(text[start..end].chars().map(|c| if matches!(c, '\n' | '\r') { c } else { ' ' })),
            _ => plain.push(' '),
        }
        kept = end;
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    plain.push_str(&text[kept..]);
    Cow::Owned(plain)
}

/// A reader that goes through a text token by token.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The open brackets.
    brackets: Vec<u8>,
    /// The last byte of the token before.
    before: Option<u8>,
}

impl Reader<'_> {
    /// The start and end of the next part without a meaning; blank space is left as it is.
    fn next_idle(&mut self) -> Option<(usize, usize)> {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            let start = self.at;
            self.at = idle_end(bytes, start).unwrap_or(start);
            if self.at > start {
                return Some((start, self.at));
            }
            match bytes[start] {
                b'"' => {
                    self.at = string_end(bytes, start).min(bytes.len());
                    if self.is_description(start) {
                        return Some((start, self.at));
                    }
                    self.before = Some(b'"');
                    continue;
                }
                b'(' | b'[' | b'{' => self.brackets.push(bytes[start]),
                b')' | b']' | b'}' => drop(self.brackets.pop()),
                _ => {}
            }
            self.at = start + 1;
            if !is_blank(bytes[start]) {
                self.before = Some(bytes[start]);
            }
        }
        None
    }

    /// Whether the string from `start` up to the reader is the description of the definition after it.
    fn is_description(&self, start: usize) -> bool {
        let bytes = self.text.as_bytes();
        let mut next = self.at;
        while next < bytes.len() {
            next = match idle_end(bytes, next) {
                Some(end) => end,
                None if is_blank(bytes[next]) => next + 1,
                None => break,
            };
        }
        let described = &bytes[next..];
        let describes = match self.brackets.last() {
            None => {
                matches!(self.before, None | Some(b'}'))
                    && DESCRIBED.iter().any(|word| described.starts_with(word.as_bytes()))
            }
            // A string after an equals sign is a default value.
            Some(b'(') => self.before != Some(b'=') && described.first() == Some(&b'$'),
            Some(_) => false,
        };
        describes && is_string(&self.text[start..self.at])
    }
}

/// The byte after a comma, byte order mark or comment that begins there.
fn idle_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes[at] {
        b',' => Some(at + 1),
        b'#' => Some(bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r')).map_or(bytes.len(), |n| at + n)),
        _ => bytes[at..].starts_with(BYTE_ORDER_MARK).then_some(at + BYTE_ORDER_MARK.len()),
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::plain;
    use std::borrow::Cow;

    #[test]
    fn ignored_tokens_become_spaces_where_they_stood() {
        for (text, expected) in [
            ("{ ...,on Order,{ id } }", "{ ... on Order { id } }"),
            ("\u{feff}{ a\u{feff},b }", " { a  b }"),
            ("{ a # b, \u{e9} {\n b }#", "{ a \n b }"),
            ("{ a #b\r\n,b #c\rd }", "{ a \r\n b \rd }"),
            (",", " "),
            ("#", ""),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn descriptions_become_spaces_where_they_stood() {
        for (text, expected) in [
            ("\"d\"#c\n,query Q { a }\"é\"fragment F on A { b }", "   \n query Q { a }   fragment F on A { b }"),
            ("\"\"\"d\n\"e\" \"\"\"mutation M { a }", "    \n       mutation M { a }"),
            ("query ( \"d\" $a: Int = 1, \"d\", $b: Int) { c }", "query (     $a: Int = 1       $b: Int) { c }"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn other_strings_stay_as_they_are() {
        for text in [
            r#"{ a(b: ",#\",#" c: "") }"#,
            "{ a(b: \"\"\"\n, # \\\"\"\" ,\u{feff}\"\"\") }",
            "{ a(b: \"\u{feff}\u{e9}\") }",
            "{ a(b: \"unended, # \\",
            "{ a(b: \"\"\"unended, #",
            "\"d\" { a }",
            "\"d\" \"e\" query { a }",
            "\"\\z\" query { a }",
            "query \"d\" fragment { a }",
            "query ($a: String = \"d\" $b: Int) { a(b: [\"d\" $a]) }",
            "{ a(b: \"d\" fragment: \"d\") }",
        ] {
            assert!(matches!(plain(text), Cow::Borrowed(_)), "{text:?}");
        }
        assert_eq!(plain("{ a(b: \"#\", c: 1) # \"\n, }"), "{ a(b: \"#\"  c: 1) \n  }");
    }
}
