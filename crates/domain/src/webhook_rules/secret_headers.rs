//! Header values marked secret: never shown, so whoever changes a webhook sends them back as they were shown, empty.

use crate::problem::Problem;
use crate::webhook::{Header, Webhook};
use url::Url;

/// A header as a user writes it.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderDraft {
    /// In any case.
    pub name: String,
    /// The value; none for that of the saved webhook, and so is an empty one of a header that is secret there.
    pub value: Option<String>,
    /// Whether it is secret; none for as it is in the saved webhook.
    pub is_secret: Option<bool>,
}

/// Headers with the values that they keep filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilledHeaders {
    /// As the other rules judge them.
    pub headers: Vec<Header>,
    /// The names of those whose secret value was kept.
    pub kept: Vec<String>,
    /// What of them cannot be kept.
    pub problems: Vec<Problem>,
}

/// Fills in what a draft keeps of the saved headers. `path` is where the headers stand, e.g. `input.headers`.
pub fn fill(given: &[HeaderDraft], saved: &[Header], path: &str) -> FilledHeaders {
    let mut filled = FilledHeaders::default();
    for (index, draft) in given.iter().enumerate() {
        match filled_one(draft, saved) {
            Ok((header, is_kept)) => {
                if is_kept && header.is_secret {
                    filled.kept.push(header.name.clone());
                }
                filled.headers.push(header);
            }
            Err((code, message)) => {
                filled.problems.push(Problem::new(format!("{path}.{index}.value"), code, message));
                // Keeps the places of the others.
                let (name, value) = (draft.name.clone(), String::new());
                filled.headers.push(Header { name, value, is_secret: false });
            }
        }
    }
    filled
}

fn filled_one(draft: &HeaderDraft, saved: &[Header]) -> Result<(Header, bool), (&'static str, String)> {
    let name = draft.name.to_ascii_lowercase();
    let before = saved.iter().find(|header| header.name == name);
    let was_secret = before.is_some_and(|header| header.is_secret);
    let is_secret = draft.is_secret.unwrap_or(was_secret);
    if let Some(value) = draft.value.clone().filter(|value| !value.is_empty() || !was_secret) {
        if is_secret && value.trim().is_empty() {
            return Err(("HEADER_SECRET_EMPTY", format!("{name} is secret: give its value")));
        }
        return Ok((Header { name, value, is_secret }, false));
    }
    match before {
        None => Err(("HEADER_VALUE_MISSING", format!("{name} is new: give its value"))),
        Some(_) if was_secret && !is_secret => {
            Err(("HEADER_SECRET_HIDDEN", format!("{name} is secret: give its value anew to show it from now on")))
        }
        Some(before) => Ok((Header { name, value: before.value.clone(), is_secret }, true)),
    }
}

/// Refuses to send kept secrets to another origin: whoever may change a webhook, but did not know them, would get to know
/// them so.
pub fn check_origin(saved: &Webhook, url: &str, kept: &[String], path: &str) -> Option<Problem> {
    let origin = |url: &str| Url::parse(url).map(|url| url.origin());
    let name = kept.first()?;
    if matches!((origin(&saved.url), origin(url)), (Ok(before), Ok(after)) if before == after) {
        return None;
    }
    let message = format!("the URL leads to another origin: give the value of {name} anew, or leave the header out");
    Some(Problem::new(path, "HEADER_SECRET_ELSEWHERE", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::webhook;

    fn draft(name: &str, value: Option<&str>, is_secret: Option<bool>) -> HeaderDraft {
        HeaderDraft { name: name.to_owned(), value: value.map(str::to_owned), is_secret }
    }

    fn saved() -> Vec<Header> {
        vec![
            Header { name: "authorization".to_owned(), value: "Bearer s3cret".to_owned(), is_secret: true },
            Header { name: "x-plain".to_owned(), value: "plain".to_owned(), is_secret: false },
        ]
    }

    #[test]
    fn what_is_sent_back_as_it_was_shown_is_kept() {
        for (draft, expected) in [
            (draft("Authorization", Some(""), Some(true)), ("Bearer s3cret", true, true)),
            (draft("authorization", Some(""), None), ("Bearer s3cret", true, true)),
            (draft("authorization", None, None), ("Bearer s3cret", true, true)),
            (draft("x-plain", Some("plain"), Some(false)), ("plain", false, false)),
            (draft("x-plain", None, None), ("plain", false, false)),
            (draft("x-plain", Some(""), None), ("", false, false)),
            (draft("x-plain", None, Some(true)), ("plain", true, true)),
            (draft("authorization", Some("Bearer other"), None), ("Bearer other", true, false)),
            (draft("authorization", Some("shown"), Some(false)), ("shown", false, false)),
            (draft("x-new", Some("new"), Some(true)), ("new", true, false)),
            (draft("x-new", Some(""), None), ("", false, false)),
        ] {
            let filled = fill(std::slice::from_ref(&draft), &saved(), "input.headers");
            assert_eq!(filled.problems, []);
            let Header { value, is_secret, .. } = &filled.headers[0];
            assert_eq!((value.as_str(), *is_secret, !filled.kept.is_empty()), expected, "{}", draft.name);
        }
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        for (draft, code) in [
            (draft("authorization", Some(""), Some(false)), "HEADER_SECRET_HIDDEN"),
            (draft("x-new", None, None), "HEADER_VALUE_MISSING"),
            (draft("x-new", Some(" "), Some(true)), "HEADER_SECRET_EMPTY"),
            (draft("x-plain", Some(""), Some(true)), "HEADER_SECRET_EMPTY"),
        ] {
            let problems = fill(&[draft], &saved(), "input.headers").problems;
            assert_eq!((problems[0].code.as_str(), problems[0].path.as_str()), (code, "input.headers.0.value"));
        }
    }

    #[test]
    fn a_kept_secret_goes_to_no_other_origin() {
        let kept = ["authorization".to_owned()];
        for (url, is_refused) in [
            ("https://receiver.example/other?path=1", false),
            ("https://receiver.example:443/hook", false),
            ("https://receiver.example:8443/hook", true),
            ("http://receiver.example/hook", true),
            ("https://attacker.example/hook", true),
            ("no url", true),
        ] {
            assert_eq!(check_origin(&webhook(), url, &kept, "input.headers").is_some(), is_refused, "{url}");
            assert_eq!(check_origin(&webhook(), url, &[], "input.headers"), None);
        }
    }
}
