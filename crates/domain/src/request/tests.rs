//! Building by table.

use super::*;
use crate::event::EventTypeKey;
use crate::limits::URL_BYTES_MAX;
use crate::sample::{delivery, event, now, signer, webhook};
use crate::signing::{JWT_HEADER, hmac_claim};
use crate::webhook::Header;
use base64::Engine;
use proptest::prelude::*;

fn payload(json: &str) -> FrozenPayload {
    FrozenPayload { json: json.into(), rendered_at: now() }
}

fn built(method: HttpMethod, url: &str, json: &str) -> Result<OutgoingRequest, BuildError> {
    let webhook = Webhook { method, url: url.to_owned(), ..webhook() };
    build(&webhook, &event(), &delivery(), &payload(json), &signer(), now())
}

fn header<'a>(request: &'a OutgoingRequest, name: &str) -> &'a str {
    &request.headers.iter().find(|(known, _)| known == name).unwrap().1
}

/// The `hmac` claim of a built request.
fn claimed(request: &OutgoingRequest) -> String {
    let claims = header(request, JWT_HEADER).split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["hmac"].as_str().unwrap().to_owned()
}

#[test]
fn every_method_but_get_sends_the_frozen_bytes_as_json() {
    for method in HttpMethod::ALL.into_iter().filter(|method| *method != HttpMethod::Get) {
        let request = built(method, "https://receiver.example/hook?a=1", r#"{"order":{"id":"é"}}"#).unwrap();
        assert_eq!(request.method, method.as_str());
        assert_eq!(request.url, "https://receiver.example/hook?a=1");
        assert_eq!(request.body.as_deref(), Some(r#"{"order":{"id":"é"}}"#));
        let parts =
            SignedParts { method: method.as_str(), url: &request.url, body_json: Some(r#"{"order":{"id":"é"}}"#) };
        assert_eq!(claimed(&request), hmac_claim(parts));
    }
}

#[test]
fn headers_are_in_their_order_and_a_webhooks_user_agent_replaces_ours() {
    let names = |webhook: &Webhook| -> Vec<String> {
        let request = build(webhook, &event(), &delivery(), &payload("{}"), &signer(), now()).unwrap();
        request.headers.into_iter().map(|(name, _)| name).collect()
    };
    let signatures = ["x-crystallize-signature", "webhook-id", "webhook-timestamp", "webhook-signature"];
    assert_eq!(names(&webhook()), [&["user-agent", "content-type", "traceparent"], &signatures[..]].concat());
    assert_eq!(
        names(&Webhook { method: HttpMethod::Get, ..webhook() }),
        [&["user-agent", "traceparent"], &signatures[..]].concat()
    );
    let own = |name: &str| Header { name: name.to_owned(), value: "x".to_owned(), is_secret: false };
    let webhook = Webhook { headers: vec![own("hello-test"), own("user-agent")], ..webhook() };
    assert_eq!(
        names(&webhook),
        [&["content-type", "traceparent", "hello-test", "user-agent"], &signatures[..]].concat()
    );
    let webhook = Webhook { headers: vec![own("traceparent")], ..webhook.clone() };
    assert_eq!(names(&webhook), [&["user-agent", "content-type", "traceparent"], &signatures[..]].concat());
}

#[test]
fn a_test_says_that_it_is_one_and_is_signed_as_what_it_tests() {
    let own = Header { name: "hello".to_owned(), value: "x".to_owned(), is_secret: false };
    let webhook = Webhook { headers: vec![own], ..webhook() };
    let of = |is_test| {
        let delivery = Delivery { is_test, ..delivery() };
        build(&webhook, &event(), &delivery, &payload("{}"), &signer(), now()).unwrap()
    };
    let (mut test, real) = (of(true), of(false));
    assert_eq!(header(&test, TEST_HEADER), "true");
    let names: Vec<_> = test.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[3..6], ["hello", "webhook-test", "x-crystallize-signature"]);
    test.headers.retain(|(name, _)| name != TEST_HEADER);
    assert_eq!(test, real);
    assert_eq!(redacted(of(true), &webhook).headers[4], ("webhook-test".to_owned(), "true".to_owned()));
}

#[test]
fn get_appends_the_payload_as_parameters_and_signs_them_as_a_flat_object() {
    for (configured, json, expected_query, expected_json) in [
        (
            "https://r.example/",
            r#"{"id":"1","n":1.5,"b":true}"#,
            Some("id=1&n=1.5&b=true"),
            r#"{"id":"1","n":"1.5","b":"true"}"#,
        ),
        ("https://r.example/?a=1", r#"{"id":"x y&z'*"}"#, Some("a=1&id=x+y%26z%27*"), r#"{"id":"x y&z'*"}"#),
        ("https://r.example/?", r#"{"é":"🦀~"}"#, Some("%C3%A9=%F0%9F%A6%80%7E"), r#"{"é":"🦀~"}"#),
        (
            "https://r.example/",
            r#"{"order":{"id":"1","tags":["a"]},"list":[]}"#,
            Some("order=%7B%22id%22%3A%221%22%2C%22tags%22%3A%5B%22a%22%5D%7D&list=%5B%5D"),
            r#"{"order":"{\"id\":\"1\",\"tags\":[\"a\"]}","list":"[]"}"#,
        ),
        ("https://r.example/?id=mine&b", r#"{"id":"1","b":2,"c":3,"d":null}"#, Some("id=mine&b&c=3"), r#"{"c":"3"}"#),
        ("https://r.example/?i%64=mine", r#"{"id":"1","c":""}"#, Some("i%64=mine&c="), r#"{"c":""}"#),
        ("https://r.example/", r#"{"1":"a","2":"b","x":"\n"}"#, Some("1=a&2=b&x=%0A"), r#"{"1":"a","2":"b","x":"\n"}"#),
        (
            "https://r.example/",
            r#"{"a":"\ud800","b":"\\\"\u0001"}"#,
            Some("a=%EF%BF%BD&b=%5C%22%01"),
            "{\"a\":\"\u{fffd}\",\"b\":\"\\\\\\\"\\u0001\"}",
        ),
        ("https://r.example/?a=1", r#"{"a":null}"#, Some("a=1"), "null"),
        ("https://r.example", "{}", None, "null"),
    ] {
        let request = built(HttpMethod::Get, configured, json).unwrap();
        let url = Url::parse(&request.url).unwrap();
        assert_eq!(url.query(), expected_query, "{configured} {json}");
        assert_eq!(request.body, None);
        let configured = Url::parse(configured).unwrap();
        let body_json = Some(expected_json).filter(|json| *json != "null");
        assert_eq!(claimed(&request), hmac_claim(SignedParts { method: "GET", url: configured.as_str(), body_json }));
    }
}

#[test]
fn a_get_url_over_its_limit_is_a_render_failure() {
    let json = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length));
    let overhead = "https://r.example/?a=".len();
    assert!(built(HttpMethod::Get, "https://r.example/", &json(URL_BYTES_MAX - overhead)).is_ok());
    let error = built(HttpMethod::Get, "https://r.example/", &json(URL_BYTES_MAX - overhead + 1)).unwrap_err();
    assert_eq!(error, BuildError::UrlTooLong { bytes: URL_BYTES_MAX + 1, max: URL_BYTES_MAX });
    assert_eq!(error.code(), OutcomeCode::RenderFailed);
    assert!(built(HttpMethod::Post, "https://r.example/", &json(URL_BYTES_MAX)).is_ok());
}

#[test]
fn what_cannot_be_read_is_an_invalid_request() {
    for (url, json) in [
        ("no url", "{}"),
        ("https://r.example/", "[1]"),
        ("https://r.example/", "{"),
        ("https://r.example/", r#"{"__proto__":1}"#),
    ] {
        assert_eq!(built(HttpMethod::Get, url, json).map_err(|error| error.code()), Err(OutcomeCode::InvalidRequest));
    }
}

#[test]
fn the_default_payload_has_every_variable_in_order_and_absent_ones_as_null() {
    let payload = default_payload(&event(), webhook().id);
    let text = crate::canonical_json::to_text(&Value::Object(payload));
    assert_eq!(text, r#"{"id":"o1","userId":"u1","tenantId":"t1","webhookId":"00000000-0000-0000-0000-000000000002"}"#);
    let stage = Event { event_type: EventTypeKey::new("orders", "pipelineRemoved"), ..event() };
    let keys: Vec<String> = default_payload(&stage, webhook().id).keys().cloned().collect();
    assert_eq!(keys, ["orderId", "pipelineId", "stageId", "tenantId", "webhookId", "userId"]);
}

proptest! {
    #[test]
    fn what_a_get_receiver_decodes_is_what_was_signed(
        entries in prop::collection::vec((any::<String>(), any::<String>()), 0..6),
        query in "[a-c=&%0-9]{0,8}",
    ) {
        let payload: Map<String, Value> = entries.into_iter().map(|(key, value)| (key, value.into())).collect();
        let json = crate::canonical_json::to_text(&Value::Object(payload));
        let configured = Url::parse(&format!("https://r.example/?{query}")).unwrap();
        let request = built(HttpMethod::Get, configured.as_str(), &json).unwrap();
        let sent = Url::parse(&request.url).unwrap();
        prop_assert_eq!(sent.as_str(), &request.url);
        let configured_count = configured.query_pairs().count();
        let decoded: Map<String, Value> =
            sent.query_pairs().skip(configured_count).map(|(key, value)| (key.into_owned(), value.into_owned().into())).collect();
        let decoded_json = crate::canonical_json::to_text(&Value::Object(decoded.clone()));
        let body_json = Some(decoded_json.as_str()).filter(|_| !decoded.is_empty());
        let parts = SignedParts { method: "GET", url: configured.as_str(), body_json };
        prop_assert_eq!(claimed(&request), hmac_claim(parts));
    }
}
