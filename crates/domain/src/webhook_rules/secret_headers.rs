//! Header values marked secret: never shown, so whoever changes a webhook sends them back as they were shown, empty. Which
//! URLs their values, and a client key, are kept for is said here too.

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
    /// The places and names of those whose secret value was kept.
    pub kept: Vec<(usize, String)>,
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
                    filled.kept.push((index, header.name.clone()));
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

/// Refuses to send kept header values to another URL, whatever its query: whoever may change a webhook, but did not know them,
/// would get to know them so. On a host that many share, another path is another one's. `are_given` says whether the input gives the
/// headers: only then they have places of their own.
pub fn check_kept_headers(
    saved: &Webhook,
    url: &str,
    kept: &[(usize, String)],
    (path, are_given): (&str, bool),
) -> Option<Problem> {
    let (index, name) = kept.first()?;
    if has_same(&saved.url, url, without_query) {
        return None;
    }
    let message =
        format!("the URL is another one before its query: give the value of {name} anew, or leave the header out");
    let path = if are_given { format!("{path}.{index}.value") } else { path.to_owned() };
    Some(Problem::new(path, "HEADER_SECRET_ELSEWHERE", message))
}

/// Refuses to prove to another origin, by a kept client key, who calls: whoever may change a webhook, but was not given the key,
/// could pass for its owner there. TLS ends at an origin: the path does not matter.
pub fn check_kept_client_key(saved: &Webhook, url: &str, path: &str) -> Option<Problem> {
    if has_same(&saved.url, url, Url::origin) {
        return None;
    }
    let message = "the URL leads to another origin: give the client key anew, or leave the client certificate out";
    Some(Problem::new(path, "CLIENT_KEY_ELSEWHERE", message))
}

/// Whether that part of both is there and the same.
fn has_same<T: PartialEq>(before: &str, after: &str, part: impl Fn(&Url) -> T) -> bool {
    let part_of = |url: &str| Url::parse(url).ok().map(|url| part(&url));
    part_of(before).is_some_and(|of_before| Some(of_before) == part_of(after))
}

fn without_query(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
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

    /// URLs beside `https://receiver.example/hook`, and whether kept headers and a kept client key go there.
    const BESIDE: [(&str, bool, bool); 11] = [
        ("https://receiver.example/hook", true, true),
        ("https://receiver.example/hook?other=1", true, true),
        ("https://RECEIVER.example:443/./hook", true, true),
        ("https://receiver.example/other", false, true),
        ("https://receiver.example/hook/", false, true),
        ("https://receiver.example/", false, true),
        ("https://receiver.example:8443/hook", false, false),
        ("http://receiver.example/hook", false, false),
        ("https://attacker.example/hook", false, false),
        ("https://attacker.example/?https://receiver.example/hook", false, false),
        ("no url", false, false),
    ];

    #[test]
    fn a_kept_secret_goes_to_no_other_url_whatever_the_query() {
        let kept = [(1, "authorization".to_owned())];
        let path = ("input.headers", true);
        for (url, goes, _) in BESIDE {
            let problem = check_kept_headers(&webhook(), url, &kept, path);
            assert_eq!(problem.is_none(), goes, "{url}");
            if let Some(problem) = problem {
                assert_eq!(
                    (problem.code.as_str(), problem.path.as_str()),
                    ("HEADER_SECRET_ELSEWHERE", "input.headers.1.value")
                );
                assert!(problem.message.contains("authorization"), "{}", problem.message);
            }
            assert_eq!(check_kept_headers(&webhook(), url, &[], path), None);
        }
        let saved = Webhook { url: "https://receiver.example/hook?before=1".to_owned(), ..webhook() };
        assert_eq!(check_kept_headers(&saved, "https://receiver.example/hook", &kept, path), None);
        let left_out = check_kept_headers(&saved, "https://other.example/", &kept, ("input.headers", false));
        assert_eq!(left_out.map(|problem| problem.path).as_deref(), Some("input.headers"));
    }

    #[test]
    fn a_kept_client_key_is_used_for_no_other_origin() {
        for (url, _, goes) in BESIDE {
            let problem = check_kept_client_key(&webhook(), url, "input.tls.clientKey");
            assert_eq!(problem.is_none(), goes, "{url}");
            if let Some(problem) = problem {
                let told = (problem.code.as_str(), problem.path.as_str());
                assert_eq!(told, ("CLIENT_KEY_ELSEWHERE", "input.tls.clientKey"));
            }
        }
    }
}
