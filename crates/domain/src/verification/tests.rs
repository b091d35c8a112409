//! Verification of built requests, whole and tampered with.

use super::*;
use crate::attempt::OutgoingRequest;
use crate::payload::FrozenPayload;
use crate::request::build;
use crate::sample::{delivery, event, keys, now, signer, webhook};
use crate::signing::{JWT_HEADER, SIGNATURE_HEADER, SigningScheme};
use crate::webhook::{HttpMethod, Webhook};

fn saved(request: OutgoingRequest) -> SavedRequest {
    SavedRequest {
        method: request.method,
        url: request.url,
        webhook_url: None,
        headers: request.headers,
        body: request.body.as_deref().unwrap_or_default().to_owned(),
    }
}

fn sent(method: HttpMethod, url: &str, json: &str) -> SavedRequest {
    let webhook = Webhook { method, url: url.to_owned(), ..webhook() };
    let payload = FrozenPayload { json: json.into(), rendered_at: now() };
    saved(build(&webhook, &event(), &delivery(), &payload, &signer(), now()).unwrap())
}

fn post() -> SavedRequest {
    sent(HttpMethod::Post, "https://receiver.example/hook", r#"{"a":1.5,"b":"é"}"#)
}

fn secret(byte: u8) -> Credentials {
    Credentials { secret: Some(keys(byte).secret.current), key: None }
}

fn public_key(byte: u8) -> Credentials {
    Credentials { secret: None, key: Some(keys(byte).key.current.public()) }
}

/// The failed checks, as `what: why`.
fn failures_at(request: &SavedRequest, now: Timestamp) -> Vec<String> {
    let failed = |check: Check| check.result.err().map(|why| format!("{}: {why}", check.what));
    verify(request, &secret(7), now).into_iter().filter_map(failed).collect()
}

fn failures(request: &SavedRequest) -> Vec<String> {
    failures_at(request, now())
}

fn with_header(request: SavedRequest, name: &str, value: Option<&str>) -> SavedRequest {
    let mut headers: Vec<_> = request.headers.iter().filter(|(known, _)| known != name).cloned().collect();
    headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    SavedRequest { headers, ..request }
}

#[test]
fn what_is_sent_verifies_whatever_the_method() {
    for method in HttpMethod::ALL {
        for (url, json) in [
            ("https://receiver.example/hook", r#"{"1":"é🦀","id":"1","order":{"total":1e-7,"n":null}}"#),
            ("https://receiver.example/hook?a=1&id=2", r#"{"1":"x","id":"1","b":[1,2]}"#),
            ("https://receiver.example/hook?a", r#"{"a":"1"}"#),
            ("https://receiver.example/", "{}"),
        ] {
            let request = sent(method, url, json);
            assert_eq!(failures(&request), [""; 0], "{method:?} {url} {json}");
            let named = SavedRequest { webhook_url: Some(url.to_owned()), ..request };
            assert_eq!(failures(&named), [""; 0], "{method:?} {url} {json}, the webhook's URL given");
        }
    }
}

#[test]
fn what_does_not_match_is_named() {
    let body = |body: &str| SavedRequest { body: body.to_owned(), ..post() };
    let url = |url: &str| SavedRequest { url: url.to_owned(), ..post() };
    for (request, expected) in [
        (SavedRequest { method: "PUT".to_owned(), ..post() }, &["hmac: it covers another method: POST"][..]),
        (url("http://receiver.example/hook"), &["hmac: it covers https instead of http (behind a proxy"]),
        (url("https://receiver.example/hook/"), &["hmac: it covers the URL without its last slash"]),
        (url("https://RECEIVER.example/hook"), &["hmac: it covers the URL as WHATWG normalises it"]),
        (url("https://other.example/hook"), &["hmac: the claim is"]),
        (body(r#"{ "a":1.50, "b":"é" }"#), &["v1: it covers the body as JavaScript prints it"]),
        (body(r#"{"a":1.5,"b":"è"}"#), &["hmac: the claim is", "v1: signed with another secret, or the id"]),
        (body("{"), &["hmac: the body cannot be read", "v1: the body cannot be read"]),
        (with_header(post(), JWT_HEADER, None), &["present: the request has no such header"]),
        (with_header(post(), JWT_HEADER, Some("a.b")), &["form: no JWT"]),
        (with_header(post(), JWT_HEADER, Some("e30.e30.e30")), &["form: its algorithm is null"]),
        (with_header(post(), JWT_HEADER, Some("eyJhbGciOiJub25lIn0.e30.")), &["form: its algorithm is \"none\""]),
        (with_header(post(), SIGNATURE_HEADER, None), &["present: the request has no such header"]),
        (with_header(post(), SIGNATURE_HEADER, Some("v1a,x")), &["v1: \"v1a,x\" has no v1 signature"]),
        (with_header(post(), "webhook-id", Some("other")), &["v1: signed with another secret, or the id"]),
    ] {
        let found = failures(&request);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }
}

#[test]
fn parameters_beside_what_is_signed_are_named_though_the_signatures_hold() {
    const URL: &str = "https://receiver.example/hook?shop=1&x=1&x=2";
    const ELSE: &str = "does not come as the webhook's URL has it";
    const TWICE: &str = "comes once more than it was signed";
    let request = sent(HttpMethod::Get, URL, r#"{"id":"5","n":1}"#);
    assert_eq!(request.url, format!("{URL}&id=5&n=1"));
    for (query, name, expected) in [
        ("shop=1&x=1&x=2&id=666&id=5&n=1", "id", TWICE),
        ("shop=1&x=1&x=2&id=5&id=5&n=1", "id", TWICE),
        ("shop=1&x=1&x=2&i%64=666&id=5&n=1", "id", TWICE),
        ("shop=1&x=1&x=2&id=5&n=1&shop=2", "shop", TWICE),
        ("shop=1&x=1&x=2&id=5&n=1&x=1", "x", TWICE),
        ("shop=2&x=1&x=2&id=5&n=1", "shop", ELSE),
        ("shop=2&shop=1&x=1&x=2&id=5&n=1", "shop", ELSE),
        ("shop=1&x=2&x=1&id=5&n=1", "x", ELSE),
        ("id=5&n=1&shop=1&x=1&x=2", "shop", ELSE),
        ("x=1&x=2&id=5&n=1", "shop", ELSE),
        ("id=5&n=1", "shop", ELSE),
    ] {
        let url = format!("https://receiver.example/hook?{query}");
        let found = failures(&SavedRequest { url, webhook_url: Some(URL.to_owned()), ..request.clone() });
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        assert!(found[0].starts_with(&format!("query: parameters: {name:?} {expected}")), "{query}: {found:?}");
    }
}

#[test]
fn parameters_that_come_twice_are_named_also_where_the_webhooks_url_is_not_given() {
    let request = sent(HttpMethod::Get, "https://receiver.example/hook", r#"{"id":"5"}"#);
    let url = "https://receiver.example/hook?id=666&id=5".to_owned();
    let found = failures(&SavedRequest { url, ..request });
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("query: parameters: \"id\" comes once more"), "{found:?}");

    let of_the_webhook = sent(HttpMethod::Get, "https://receiver.example/hook?x=1&x=2", r#"{"id":"5"}"#);
    assert_eq!(failures(&of_the_webhook), [""; 0]);
}

#[test]
fn another_secret_and_another_time_are_named() {
    let failed: Vec<_> = verify(&post(), &secret(8), now()).into_iter().filter(|check| check.result.is_err()).collect();
    let what: Vec<_> = failed.iter().map(|check| check.what.as_str()).collect();
    assert_eq!(what, ["x-crystallize-signature: signature", "webhook-signature: v1"]);

    let in_s = |seconds: i64| failures_at(&post(), now() + chrono::TimeDelta::seconds(seconds));
    assert_eq!(in_s(59), [""; 0]);
    assert!(in_s(60)[0].contains("time: expired at 2023-11-14 22:14:20 UTC"), "{:?}", in_s(60));
    assert!(in_s(-2)[0].contains("do the clocks agree?"));
    assert_eq!(in_s(301).len(), 2);
    assert_eq!(in_s(-400).len(), 2);
}

fn signed_by(scheme: SigningScheme) -> SavedRequest {
    let webhook = Webhook { signing: scheme, ..webhook() };
    let payload = FrozenPayload { json: r#"{"a":1}"#.into(), rendered_at: now() };
    saved(build(&webhook, &event(), &delivery(), &payload, &signer(), now()).unwrap())
}

/// What failed.
fn failed(request: &SavedRequest, credentials: &Credentials) -> Vec<String> {
    let failed = verify(request, credentials, now()).into_iter().filter(|check| check.result.is_err());
    failed.map(|check| check.what).collect()
}

#[test]
fn a_public_key_verifies_what_the_key_pair_signed() {
    let request = signed_by(SigningScheme::Asymmetric);
    assert_eq!(failed(&request, &public_key(7)), [""; 0]);
    assert_eq!(failed(&request, &public_key(8)), ["x-crystallize-signature: signature", "webhook-signature: v1a"]);
    for tampered in [
        SavedRequest { method: "PUT".to_owned(), ..request.clone() },
        SavedRequest { url: "https://other.example/hook".to_owned(), ..request.clone() },
    ] {
        assert_eq!(failed(&tampered, &public_key(7)), ["x-crystallize-signature: hmac"]);
    }
    let tampered = SavedRequest { body: r#"{"a":2}"#.to_owned(), ..request.clone() };
    assert_eq!(failed(&tampered, &public_key(7)), ["x-crystallize-signature: hmac", "webhook-signature: v1a"]);
    let tampered = with_header(request, "webhook-timestamp", Some("1700000001"));
    assert_eq!(failed(&tampered, &public_key(7)), ["webhook-signature: v1a"]);
}

#[test]
fn a_signature_that_cannot_be_judged_with_what_is_given_is_a_failure() {
    let asymmetric = signed_by(SigningScheme::Asymmetric);
    assert_eq!(failed(&asymmetric, &secret(7)), ["x-crystallize-signature: signature", "webhook-signature: v1"]);
    let both = signed_by(SigningScheme::Both);
    assert_eq!(failed(&both, &secret(7)), [""; 0]);
    assert_eq!(failed(&both, &public_key(7)), ["x-crystallize-signature: signature"]);
    let all = Credentials { key: public_key(7).key, ..secret(7) };
    assert_eq!(failed(&both, &all), [""; 0]);
}
