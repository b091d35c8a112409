//! Slugs: the forms of names in paths.

use crate::limits::SLUG_CHARS_MAX;

/// A name as a part of a path: lower-case letters and digits with dashes between. A name without any becomes
/// `untitled`.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        match plain(c) {
            Some(text) => slug.push_str(text),
            None if c.is_alphanumeric() => slug.push(c),
            None if c == '\'' || c == '\u{2019}' || is_combining(c) => {}
            None if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            None => {}
        }
    }
    let cut: String = slug.chars().take(SLUG_CHARS_MAX).collect();
    let trimmed = cut.trim_end_matches('-');
    if trimmed.is_empty() { "untitled".to_owned() } else { trimmed.to_owned() }
}

/// The slug itself, then the slug with `-1`, with `-2` …
pub(crate) fn candidates(slug: &str) -> impl Iterator<Item = String> {
    let numbered = (1..).map({
        let slug = slug.to_owned();
        move |n: u32| format!("{slug}-{n}")
    });
    std::iter::once(slug.to_owned()).chain(numbered)
}

fn is_combining(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

/// A lower-case Latin letter without its accent, as ASCII.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ğ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'ı' => "i",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => "o",
        'œ' => "oe",
        'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'ť' | 'ț' => "t",
        'þ' => "th",
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_lower_case_words_with_dashes_between() {
        for (name, expected) in [
            ("Red Chair", "red-chair"),
            ("  Blåbær & Crème brûlée!  ", "blabaer-creme-brulee"),
            ("Straße/№ 5", "strasse-5"),
            ("Don't panic", "dont-panic"),
            ("e\u{301}te\u{301}", "ete"),
            ("椅子 01", "椅子-01"),
            ("../..", "untitled"),
            ("", "untitled"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
        assert_eq!(slug(&"long ".repeat(100)).chars().count(), SLUG_CHARS_MAX);
    }

    #[test]
    fn candidates_count_up() {
        let first: Vec<_> = candidates("chair").take(3).collect();
        assert_eq!(first, ["chair", "chair-1", "chair-2"]);
    }
}
