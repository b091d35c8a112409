//! Finds words of a text that its parsed document does not hold.
//!
//! apollo-parser passes over words that it does not need: of `get(id language: "en")` it takes the second argument and
//! is silent about the first. The document that is proven would then not be the one that is written. So the words of
//! the text (names, numbers, strings) are compared with those of the tree, one by one.

use super::scan::string_end;

/// The places of a tree's words in its text, in the order of the text.
#[derive(Default)]
pub(super) struct Words(Vec<Word>);

enum Word {
    /// The byte where a word of the tree begins.
    At(usize),
    /// The `on` before a type, whose place the tree does not tell.
    On,
}

impl Words {
    /// Counts in the word that begins at that byte.
    pub fn hold(&mut self, offset: usize) {
        self.0.push(Word::At(offset));
    }

    /// Counts in the `on` that comes next.
    pub fn hold_on(&mut self) {
        self.0.push(Word::On);
    }

    /// The first word of the text that the tree does not hold.
    pub fn missing(&self, text: &str) -> Option<usize> {
        let mut held = self.0.iter();
        words(text).find(|found| match held.next() {
            Some(Word::At(offset)) => offset != found,
            Some(Word::On) => !text[*found..].starts_with("on"),
            None => true,
        })
    }
}

/// The byte where each word of a text without comments begins.
fn words(text: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at;
            let run = |is_part: fn(&u8) -> bool| start + bytes[start..].iter().take_while(|byte| is_part(byte)).count();
            at = match bytes[start] {
                b'"' => string_end(bytes, start),
                b'0'..=b'9' | b'-' => run(is_in_number),
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => run(is_in_name),
                _ => {
                    at += 1;
                    continue;
                }
            };
            return Some(start);
        }
        None
    })
}

fn is_in_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

fn is_in_number(byte: &u8) -> bool {
    is_in_name(byte) || matches!(byte, b'.' | b'+' | b'-')
}

#[cfg(test)]
mod tests {
    use super::{Words, words};

    #[test]
    fn words_are_names_numbers_and_strings() {
        let text = "query($a:[ID!]=[\"x y\"]){a...F b(c:-1.5e+3 d:\"\"\"e f\"\"\")}";
        let found: Vec<_> = words(text).map(|at| text[at..].chars().next().unwrap()).collect();
        assert_eq!(found.iter().collect::<String>(), "qaI\"aFbc-d\"");
    }

    #[test]
    fn a_word_that_is_not_held_is_found_where_it_stands() {
        let text = "{ ... on A { b c } }";
        let mut held = Words::default();
        held.hold_on();
        held.hold(9);
        held.hold(13);
        assert_eq!(held.missing(text), Some(15));
        held.hold(15);
        assert_eq!(held.missing(text), None);
    }
}
