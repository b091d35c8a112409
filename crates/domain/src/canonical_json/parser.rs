//! Parsing: what `JSON.parse` accepts, and nothing else.

use super::text::{push_escaped, push_unicode_escape, unquoted};
use crate::limits::JSON_DEPTH_MAX;
use indexmap::IndexMap;

/// A parsed text. Unlike `serde_json`'s it holds what only JavaScript can: lone surrogates, and numbers that overflow.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The nearest double; infinite where the text overflows.
    Number(f64),
    /// A string, kept as its canonical text with the quotes: equal strings have equal texts.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object. Keys are kept as strings are; the last of equal keys has its value in the place of the first.
    Object(IndexMap<String, Json>),
}

impl Json {
    /// An object's entries in the order of the text, each key as its own text; none for anything else.
    pub fn entries(&self) -> Option<impl Iterator<Item = (String, &Json)>> {
        match self {
            Json::Object(entries) => Some(entries.iter().map(|(quoted, value)| (unquoted(quoted), value))),
            _ => None,
        }
    }
}

/// A text that is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It breaks the grammar.
    #[error("no valid JSON at byte {at}: {expected} expected")]
    Syntax {
        /// Where, in bytes from 0.
        at: usize,
        /// What would be right there.
        expected: &'static str,
    },
    /// Too many arrays and objects within each other.
    #[error("the JSON nests deeper than {JSON_DEPTH_MAX}")]
    TooDeep,
}

/// Parses a whole text.
///
/// # Errors
/// [`ParseError`].
pub fn parse(text: &str) -> Result<Json, ParseError> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at == text.len() { Ok(value) } else { parser.fail("the end") }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Json, ParseError> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => self.string().map(Json::String),
            Some(b'{' | b'[') if depth == JSON_DEPTH_MAX => Err(ParseError::TooDeep),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.took("null") => Ok(Json::Null),
            _ if self.took("true") => Ok(Json::Bool(true)),
            _ if self.took("false") => Ok(Json::Bool(false)),
            _ => self.fail("a value"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, ParseError> {
        let mut entries = IndexMap::new();
        self.at += 1;
        self.skip_space();
        if self.took("}") {
            return Ok(Json::Object(entries));
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.skip_space();
            if !self.took(":") {
                return self.fail("a colon");
            }
            let value = self.value(depth)?;
            entries.insert(key, value);
            self.skip_space();
            if self.took("}") {
                return Ok(Json::Object(entries));
            }
            if !self.took(",") {
                return self.fail("a comma or a closing brace");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, ParseError> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.took("]") {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            if self.took("]") {
                return Ok(Json::Array(items));
            }
            if !self.took(",") {
                return self.fail("a comma or a closing bracket");
            }
        }
    }

    fn number(&mut self) -> Result<Json, ParseError> {
        let start = self.at;
        self.took("-");
        if !self.took("0") {
            self.digits()?;
        }
        if self.took(".") {
            self.digits()?;
        }
        if self.took("e") || self.took("E") {
            let _ = self.took("+") || self.took("-");
            self.digits()?;
        }
        match self.text[start..self.at].parse() {
            Ok(number) => Ok(Json::Number(number)),
            Err(_) => self.fail("a number"),
        }
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { self.fail("a digit") }
    }

    /// Reads a string into its canonical text.
    fn string(&mut self) -> Result<String, ParseError> {
        if !self.took("\"") {
            return self.fail("a string in double quotes");
        }
        let mut out = String::from("\"");
        loop {
            match self.text[self.at..].chars().next() {
                None => return self.fail("a closing quote"),
                Some('"') => {
                    self.at += 1;
                    out.push('"');
                    return Ok(out);
                }
                Some('\\') => self.escape(&mut out)?,
                Some(c) if c < ' ' => return self.fail("an escaped control character"),
                Some(c) => {
                    self.at += c.len_utf8();
                    out.push(c);
                }
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), ParseError> {
        self.at += 1;
        let Some(letter) = self.peek() else { return self.fail("an escape") };
        let c = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(out),
            _ => return self.fail("one of \" \\ / b f n r t u"),
        };
        self.at += 1;
        push_escaped(c, out);
        Ok(())
    }

    /// Reads `u` and four hex digits, with its other half where it is a high surrogate and that follows.
    fn unicode_escape(&mut self, out: &mut String) -> Result<(), ParseError> {
        let unit = self.code_unit()?;
        let after = self.at;
        if (0xD800..0xDC00).contains(&unit) && self.took("\\") && self.peek() == Some(b'u') {
            let low = self.code_unit()?;
            if (0xDC00..0xE000).contains(&low) {
                let scalar = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                out.extend(char::from_u32(scalar));
                return Ok(());
            }
        }
        self.at = after;
        match char::from_u32(unit) {
            Some(c) => push_escaped(c, out),
            None => push_unicode_escape(unit, out),
        }
        Ok(())
    }

    fn code_unit(&mut self) -> Result<u32, ParseError> {
        self.at += 1;
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let mut unit = 0;
        for digit in digits {
            match char::from(*digit).to_digit(16) {
                Some(digit) => unit = unit * 16 + digit,
                None => return self.fail("four hex digits"),
            }
        }
        if digits.len() < 4 {
            return self.fail("four hex digits");
        }
        self.at += 4;
        Ok(unit)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn took(&mut self, token: &str) -> bool {
        let is_there = self.text.as_bytes()[self.at..].starts_with(token.as_bytes());
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, ParseError> {
        Err(ParseError::Syntax { at: self.at, expected })
    }
}
