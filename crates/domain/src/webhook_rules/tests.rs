//! Webhook rules by table.

use super::*;
use crate::flow::Ordering;
use crate::limits::{HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX};
use proptest::prelude::*;

fn draft() -> WebhookDraft {
    WebhookDraft {
        name: "Orders".to_owned(),
        concern: "orders".to_owned(),
        event: "create".to_owned(),
        method: HttpMethod::Post,
        url: "https://receiver.example/hook".to_owned(),
        headers: Vec::new(),
        graphql_query: None,
        timeout_ms: None,
        retry_delays_s: None,
        flow: Default::default(),
    }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), value: value.to_owned(), is_secret: false }
}

fn checked(draft: &WebhookDraft) -> Result<CheckedWebhook, Vec<String>> {
    let tagged = |problem: Problem| format!("{} {}", problem.path, problem.code);
    check(draft, &AddressRules::default(), "input").map_err(|problems| problems.into_iter().map(tagged).collect())
}

fn one_problem(draft: &WebhookDraft) -> String {
    match checked(draft) {
        Err(problems) if problems.len() == 1 => problems[0].clone(),
        other => panic!("not one problem: {other:?}"),
    }
}

#[test]
fn a_plain_draft_gets_the_defaults() {
    let checked = checked(&draft()).unwrap();
    assert_eq!(checked.timeout_ms, TIMEOUT_MS_DEFAULT);
    assert_eq!(checked.retry_delays_s, RETRY_DELAYS_S_DEFAULT);
    assert_eq!(checked.event_type, EventTypeKey::new("orders", "create"));
    assert_eq!(checked.graphql_query, None);
}

#[test]
fn what_an_update_leaves_as_it_is_saved_is_not_judged() {
    let saved = Webhook {
        name: "n".repeat(WEBHOOK_NAME_CHARS_MAX + 1),
        event_type: EventTypeKey::new("orders", "forgotten"),
        url: "http://127.0.0.1/".to_owned(),
        headers: vec![header("host", "a")],
        timeout_ms: TIMEOUT_MS_MAX + 1,
        retry_delays_s: vec![0],
        flow: FlowSettings { concurrency: 0, ..Default::default() },
        ..crate::sample::webhook()
    };
    let kept = WebhookDraft {
        name: saved.name.clone(),
        event: "forgotten".to_owned(),
        url: saved.url.clone(),
        headers: saved.headers.clone(),
        timeout_ms: Some(saved.timeout_ms.into()),
        retry_delays_s: Some(vec![0]),
        flow: saved.flow.into(),
        ..draft()
    };
    let judged = |draft: &WebhookDraft| check_changed(draft, &saved, &AddressRules::default(), "input");
    let unchanged = judged(&kept).unwrap();
    assert_eq!((&unchanged.url, unchanged.timeout_ms, unchanged.flow), (&saved.url, saved.timeout_ms, saved.flow));
    assert_eq!((&unchanged.headers, &unchanged.event_type), (&saved.headers, &saved.event_type));
    assert_eq!(judged(&WebhookDraft { name: "Other".to_owned(), ..kept.clone() }).unwrap().name, "Other");
    assert_eq!(judged(&WebhookDraft { headers: Vec::new(), ..kept.clone() }).unwrap().headers, []);
    let ordered = FlowDraft { ordering: Ordering::ByRecord, ..saved.flow.into() };
    let ordered = judged(&WebhookDraft { flow: ordered, ..kept.clone() }).unwrap().flow;
    assert_eq!(ordered, FlowSettings { ordering: Ordering::ByRecord, ..saved.flow });
    let elsewhere = judged(&WebhookDraft { url: "http://127.0.0.2/".to_owned(), ..kept.clone() }).unwrap_err();
    assert_eq!((elsewhere.len(), elsewhere[0].code.as_str()), (1, "URL_ADDRESS_REFUSED"));
    assert!(checked(&kept).unwrap_err().len() > 5, "all of it is judged where the whole is");
}

#[test]
fn who_can_allow_an_address_is_told_only_where_somebody_can() {
    let rules = AddressRules { refused: vec!["8.8.4.0/24".parse().unwrap()], ..AddressRules::default() };
    for (url, told) in [
        ("http://8.8.4.4/", "; whoever runs this server refuses it"),
        ("http://10.0.0.1/", "; whoever runs this server can allow addresses"),
    ] {
        let problems = check(&WebhookDraft { url: url.to_owned(), ..draft() }, &rules, "input").unwrap_err();
        assert!(problems[0].message.ends_with(told), "{}", problems[0].message);
    }
}

#[test]
fn urls_are_normalised_as_whatwg_says() {
    for (given, normalised) in [
        ("HTTPS://Receiver.Example", "https://receiver.example/"),
        (" https://receiver.example:443/a/../b ", "https://receiver.example/b"),
        ("http://receiver.example:8080/a b?q=é", "http://receiver.example:8080/a%20b?q=%C3%A9"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https:\\\\receiver.example\\x", "https://receiver.example/x"),
        ("http://134744072/", "http://8.8.8.8/"),
    ] {
        let checked = checked(&WebhookDraft { url: given.to_owned(), ..draft() });
        assert_eq!(checked.map(|checked| checked.url), Ok(normalised.to_owned()), "{given}");
    }
}

#[test]
fn urls_that_cannot_or_may_not_be_called_are_refused() {
    let long = format!("https://receiver.example/{}", "x".repeat(URL_BYTES_MAX));
    for (url, code) in [
        ("", "URL_INVALID"),
        ("receiver.example/hook", "URL_INVALID"),
        ("https://", "URL_INVALID"),
        ("https://receiver.example/\r\nhost: other", "URL_INVALID"),
        ("https://receiver.example/\t", "URL_INVALID"),
        ("ftp://receiver.example/", "URL_SCHEME"),
        ("file:///etc/passwd", "URL_SCHEME"),
        ("javascript:alert(1)", "URL_SCHEME"),
        ("https://user@receiver.example/", "URL_CREDENTIALS"),
        ("https://:secret@receiver.example/", "URL_CREDENTIALS"),
        ("https://receiver.example/#part", "URL_FRAGMENT"),
        ("https://receiver.example/#", "URL_FRAGMENT"),
        (long.as_str(), "URL_TOO_LONG"),
        ("https://receiver.example:0/", "URL_PORT"),
        ("http://127.0.0.1/", "URL_ADDRESS_REFUSED"),
        ("http://017700000001/", "URL_ADDRESS_REFUSED"),
        ("http://[::ffff:169.254.169.254]/latest", "URL_ADDRESS_REFUSED"),
        ("http://localhost:8080/", "URL_ADDRESS_REFUSED"),
    ] {
        assert_eq!(one_problem(&WebhookDraft { url: url.to_owned(), ..draft() }), format!("input.url {code}"), "{url}");
    }
}

#[test]
fn header_names_are_lowered_and_values_trimmed() {
    let draft = WebhookDraft { headers: vec![header("Hello-Test", " a\tb "), header("User-Agent", "")], ..draft() };
    assert_eq!(checked(&draft).unwrap().headers, [header("hello-test", "a\tb"), header("user-agent", "")]);
}

#[test]
fn headers_that_could_harm_are_refused_each_in_its_place() {
    for (name, value, problem) in [
        ("", "x", "name HEADER_NAME_INVALID"),
        ("a b", "x", "name HEADER_NAME_INVALID"),
        ("a:", "x", "name HEADER_NAME_INVALID"),
        ("a\r\nb", "x", "name HEADER_NAME_INVALID"),
        ("é", "x", "name HEADER_NAME_INVALID"),
        ("x", "a\r\nb: c", "value HEADER_VALUE_INVALID"),
        ("x", "a\n", "value HEADER_VALUE_INVALID"),
        ("x", "a\0", "value HEADER_VALUE_INVALID"),
        ("x", "\u{7f}", "value HEADER_VALUE_INVALID"),
        ("x", "é", "value HEADER_VALUE_INVALID"),
        ("Accept", "again", "name HEADER_DUPLICATE"),
        ("Host", "x", "name HEADER_RESERVED"),
        ("Proxy-Authorization", "x", "name HEADER_RESERVED"),
        ("X-Crystallize-Signature", "x", "name HEADER_RESERVED"),
    ] {
        let draft = WebhookDraft { headers: vec![header("accept", "*/*"), header(name, value)], ..draft() };
        assert_eq!(one_problem(&draft), format!("input.headers.1.{problem}"), "{name:?}: {value:?}");
    }
    for name in RESERVED_HEADERS {
        let draft = WebhookDraft { headers: vec![header(&name.to_uppercase(), "x")], ..draft() };
        assert_eq!(one_problem(&draft), "input.headers.0.name HEADER_RESERVED", "{name}");
    }
}

#[test]
fn headers_have_limits() {
    let many = |count: usize| (0..count).map(|index| header(&format!("x-{index}"), "")).collect();
    let large = |count: usize| (0..count).map(|index| header(&format!("x{index}"), &"v".repeat(4094))).collect();
    for (headers, problem) in [
        (many(HEADERS_MAX), None),
        (many(HEADERS_MAX + 1), Some("input.headers HEADERS_TOO_MANY")),
        (vec![header(&"n".repeat(HEADER_NAME_BYTES_MAX), "")], None),
        (vec![header(&"n".repeat(HEADER_NAME_BYTES_MAX + 1), "")], Some("input.headers.0.name HEADER_NAME_TOO_LONG")),
        (vec![header("n", &"v".repeat(HEADER_VALUE_BYTES_MAX))], None),
        (
            vec![header("n", &"v".repeat(HEADER_VALUE_BYTES_MAX + 1))],
            Some("input.headers.0.value HEADER_VALUE_TOO_LONG"),
        ),
        (large(4), None),
        (large(5), Some("input.headers HEADERS_TOO_LONG")),
    ] {
        let result = checked(&WebhookDraft { headers, ..draft() });
        assert_eq!(result.err(), problem.map(|problem| vec![problem.to_owned()]));
    }
}

#[test]
fn an_unknown_event_type_is_refused_with_the_nearest_names() {
    let unknown = |concern: &str, event: &str| {
        let draft = WebhookDraft { concern: concern.to_owned(), event: event.to_owned(), ..draft() };
        check(&draft, &AddressRules::default(), "input").unwrap_err().remove(0)
    };
    let problem = unknown("orders", "created");
    assert_eq!((problem.path.as_str(), problem.code.as_str()), ("input.event", "EVENT_TYPE_UNKNOWN"));
    assert!(problem.message.contains("did you mean orders/create"), "{}", problem.message);
    assert_eq!(unknown("order", "create").path, "input.concern");
}

#[test]
fn names_documents_timeouts_and_schedules_have_limits() {
    let named = |name: &str| WebhookDraft { name: name.to_owned(), ..draft() };
    assert_eq!(checked(&named(" Ørders ")).unwrap().name, "Ørders");
    assert_eq!(one_problem(&named(" ")), "input.name NAME_EMPTY");
    assert_eq!(one_problem(&named("a\nb")), "input.name NAME_INVALID");
    assert!(checked(&named(&"é".repeat(WEBHOOK_NAME_CHARS_MAX))).is_ok());
    assert_eq!(one_problem(&named(&"é".repeat(WEBHOOK_NAME_CHARS_MAX + 1))), "input.name NAME_TOO_LONG");

    let with_query = |query: String| WebhookDraft { graphql_query: Some(query), ..draft() };
    assert_eq!(checked(&with_query(String::new())).unwrap().graphql_query, None);
    assert_eq!(checked(&with_query(" \n".to_owned())).unwrap().graphql_query, None);
    assert!(checked(&with_query("q".repeat(DOCUMENT_BYTES_MAX))).is_ok());
    let too_long = with_query("q".repeat(DOCUMENT_BYTES_MAX + 1));
    assert_eq!(one_problem(&too_long), "input.graphqlQuery DOCUMENT_TOO_LONG");

    let with_timeout = |timeout_ms: i64| WebhookDraft { timeout_ms: Some(timeout_ms), ..draft() };
    for timeout_ms in [i64::from(TIMEOUT_MS_MIN), i64::from(TIMEOUT_MS_MAX)] {
        assert_eq!(i64::from(checked(&with_timeout(timeout_ms)).unwrap().timeout_ms), timeout_ms);
    }
    for timeout_ms in [i64::MIN, -1, 0, i64::from(TIMEOUT_MS_MIN) - 1, i64::from(TIMEOUT_MS_MAX) + 1, i64::MAX] {
        assert_eq!(one_problem(&with_timeout(timeout_ms)), "input.timeoutMs TIMEOUT_OUT_OF_RANGE");
    }
    let with_delays = |delays: &[i64]| WebhookDraft { retry_delays_s: Some(delays.to_vec()), ..draft() };
    assert_eq!(checked(&with_delays(&[1, 60])).unwrap().retry_delays_s, [1, 60]);
    assert_eq!(checked(&with_delays(&[])).unwrap().retry_delays_s, [0u32; 0]);
    assert_eq!(one_problem(&with_delays(&[60, 0])), "input.retryDelaysS.1 RETRY_DELAY_OUT_OF_RANGE");
}

#[test]
fn all_problems_are_told_at_once() {
    let draft = WebhookDraft {
        name: String::new(),
        url: "no".to_owned(),
        headers: vec![header("host", "a\nb")],
        timeout_ms: Some(0),
        ..draft()
    };
    let problems = checked(&draft).unwrap_err();
    let codes: Vec<_> = problems.iter().filter_map(|problem| problem.split(' ').nth(1)).collect();
    assert_eq!(codes, ["NAME_EMPTY", "URL_INVALID", "HEADER_RESERVED", "HEADER_VALUE_INVALID", "TIMEOUT_OUT_OF_RANGE"]);
}

proptest! {
    #[test]
    fn what_was_checked_may_be_saved_again_as_it_is(url in "\\PC{0,40}", host in "[a-zA-Z0-9.-]{1,12}", name in any::<String>()) {
        for url in [url.clone(), format!("https://{host}/{url}")] {
            let given = WebhookDraft { url, headers: vec![header(&name, &name)], ..draft() };
            if let Ok(once) = checked(&given) {
                let again = WebhookDraft { url: once.url.clone(), headers: once.headers.clone(), ..given };
                prop_assert_eq!(checked(&again), Ok(once));
            }
        }
    }
}
