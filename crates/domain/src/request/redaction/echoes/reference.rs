//! What `without` has to find, by the plainest road: every reading by itself, on a copy, with the origin of every byte.

use super::{CUT_SECRET_BYTES_MIN, Encoding, is_begun_escape, replaced};
use std::ops::Range;

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

/// The text without the secrets, and which of [`READINGS`] found one.
fn without(text: &str, secrets: &[&str], is_cut: bool) -> (String, [bool; READINGS.len()]) {
    let mut found = Vec::new();
    let finds = READINGS.map(|encodings| {
        let found_before = found.len();
        if let Some(reading) = Reading::through(text, encodings) {
            for secret in secrets {
                found.extend(reading.echoes(secret));
                found.extend(reading.begun(secret).filter(|_| is_cut).map(|begun| begun..text.len()));
            }
        }
        found.len() > found_before
    });
    (replaced(text, found), finds)
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

    fn echoes<'a>(&'a self, secret: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        self.text.match_indices(secret).map(|(at, _)| self.starts[at]..self.starts[at + secret.len()])
    }

    fn begun(&self, secret: &str) -> Option<usize> {
        let escape = self.text.rfind(['\\', '%']).filter(|at| is_begun_escape(&self.text.as_bytes()[*at..]));
        let begun = |end: usize| {
            let is_beginning = |length: &usize| self.text.as_bytes()[..end].ends_with(&secret.as_bytes()[..*length]);
            let length = (CUT_SECRET_BYTES_MIN..secret.len()).rev().find(is_beginning)?;
            Some(self.starts[end - length])
        };
        [Some(self.text.len()), escape].into_iter().flatten().filter_map(begun).min()
    }
}

/// Pseudo-random numbers of a seed, by the xorshift of Marsaglia's "Xorshift RNGs".
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Sets of secrets: some within, behind or across one another, some too short to be looked for, some that repeat themselves.
const SECRETS: [&[&str]; 8] = [
    &["Bearer a/b\"c\\d<e>+f=", "a/b\"c\\d<e>+f="],
    &["tops3cret", "tops3cret-and-more", "s3cret-a"],
    &["abcdefgh-", "h-ijklmnop", "p ab"],
    &["aaaaaaaa", "aaaa%aaa", "a\\a\\a\\a\\"],
    &["100%+ é😀 \\u0041", "é😀", "%41%41%4"],
    &["ab c", "+", "\\"],
    &["", "a b"],
    &[],
];

/// Text with no meaning: escapes, escapes without their ends, escapes of what is no ASCII, and characters of every length.
const NOISE: &str =
    r#"\ \\ \" \/ \n \t \u \u00 \u004 \u0041 \u005c \u0025 \u00e9 \\u0061 % %4 %41 %5C %e9 %zz + é 😀 a"#;

/// The character as one of the encoders that are undone may write it, or as none of them does.
fn written(character: char, numbers: &mut Numbers) -> String {
    let escapes = [
        format!("\\u{:04x}", u32::from(character)),
        format!("%{:02X}", u32::from(character)),
        format!("\\{character}"),
        format!("\\u0025{:02x}", u32::from(character)),
        format!("\\\\u{:04x}", u32::from(character)),
        if character == ' ' { ["+", "\\u002b"][numbers.below(2)].to_owned() } else { format!("\\\\\\{character}") },
    ];
    escapes[numbers.below(escapes.len())].clone()
}

/// Noise with secrets in it, some of them escaped in part, and some without their ends.
fn text_with(secrets: &[&str], numbers: &mut Numbers) -> String {
    let noise: Vec<_> = NOISE.split(' ').collect();
    let mut text = String::new();
    for _ in 0..numbers.below(8) {
        if secrets.is_empty() || numbers.below(2) == 0 {
            text.push_str(numbers.one_of(&noise));
            continue;
        }
        let secret = numbers.one_of(secrets);
        let escaped_of_8 = numbers.one_of(&[0, 1, 4]);
        let is_whole = numbers.below(4) > 0;
        let kept = if is_whole { usize::MAX } else { numbers.below(secret.len() + 1) };
        for character in secret.chars().take(kept) {
            if numbers.below(8) < escaped_of_8 {
                text.push_str(&written(character, numbers));
            } else {
                text.push(character);
            }
        }
    }
    let cut = if numbers.below(2) == 0 { numbers.below(4) } else { 0 };
    for _ in 0..cut {
        text.pop();
    }
    text
}

fn assert_agreed(text: &str, secrets: &[&str], is_cut: bool) -> [bool; READINGS.len()] {
    let (expected, finds) = without(text, secrets, is_cut);
    assert_eq!(super::without(text.to_owned(), secrets, is_cut), expected, "{text:?} {secrets:?} {is_cut}");
    finds
}

#[test]
fn every_reading_finds_what_its_definition_finds() {
    for (text, secret, reading) in [
        ("é tops3cret tops3cret", "tops3cret", 0),
        (r"é top\u00733cret\n", "tops3cret", 1),
        (r"é top\\u00733cret\\n", "tops3cret", 2),
        ("é %74ops3cret 100%", "tops3cret", 3),
        ("é ab+c+%2Dand-more+", "ab c ", 4),
        (r"é \u0025\u0037\u0034ops3cret %", "tops3cret", 5),
        (r"é\/+\u002574ops3cret+", "tops3cret", 6),
        (r"é ab\u002bc", "ab c", 6),
    ] {
        for secrets in SECRETS {
            for (at, character) in text.char_indices() {
                for is_cut in [false, true] {
                    assert_agreed(&text[..at + character.len_utf8()], secrets, is_cut);
                }
            }
        }
        assert!(assert_agreed(text, &[secret], false)[reading], "{text}");
    }
}

#[test]
fn pseudo_random_texts_are_read_as_the_definition_reads_them() {
    let mut finds = [0; READINGS.len()];
    let mut nothing = 0;
    for seed in 1..=5_000 {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let secrets = numbers.one_of(&SECRETS);
        let text = text_with(secrets, &mut numbers);
        for is_cut in [false, true] {
            let found = assert_agreed(&text, secrets, is_cut);
            nothing += usize::from(found == [false; READINGS.len()]);
            finds.iter_mut().zip(found).for_each(|(finds, is_found)| *finds += usize::from(is_found));
        }
    }
    assert!(nothing > 1_000 && finds.iter().all(|finds| *finds > 1_000), "{nothing} {finds:?}");
}
