//! GraphQL over HTTP, as a client sees it.

use crate::rig::{PATIENCE, Rig, TOKEN, start, until, within};
use hookgraph_domain::ports::Clock;
use hookgraph_server::limits::REQUEST_ID_BYTES_MAX;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

fn post(rig: &Rig, body: &Value) -> RequestBuilder {
    client().post(rig.url("/graphql")).bearer_auth(TOKEN).json(body)
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

const RESPONSE_JSON: &str = "application/graphql-response+json";

#[tokio::test]
async fn a_query_is_answered_with_its_data_and_a_request_id() {
    let rig = start(&[]).await;
    let query = json!({ "query": "query Greet($n: String) { hello(name: $n) } query Other { hello }",
        "operationName": "Greet", "variables": { "n": "Ada" }, "extensions": {}, "unknown": 1 });
    let answer = post(&rig, &query).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json; charset=utf-8");
    assert_eq!(answer.headers()["x-request-id"].len(), 36);
    assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "data": { "hello": "hello Ada" } }));
}

#[tokio::test]
async fn every_error_has_a_request_id_to_quote_to_the_operator() {
    let rig = start(&[("http_body_bytes_max", "1024")]).await;
    let query = json!({ "query": "{ hello }" });
    let url = rig.url("/graphql");
    let answers = [
        (401, client().post(&url).json(&query)),
        (400, post(&rig, &json!({}))),
        (400, post(&rig, &json!({ "query": "{ nope }" })).header("accept", RESPONSE_JSON)),
        (404, client().get(rig.url("/nothing"))),
        (404, client().get(rig.url("/metrics"))),
        (405, client().put(&url).bearer_auth(TOKEN).json(&query)),
        (406, post(&rig, &query).header("accept", "text/csv")),
        (413, post(&rig, &json!({ "query": "x".repeat(2048) }))),
        (415, client().post(&url).bearer_auth(TOKEN).body("{}")),
        (500, post(&rig, &json!({ "query": "{ panics }" }))),
    ];
    for (status, request) in answers {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["x-request-id"].len(), 36, "{status}");
    }
}

#[tokio::test]
async fn a_callers_request_id_is_kept_where_it_is_plain_and_short() {
    let rig = start(&[]).await;
    let longest = "x".repeat(REQUEST_ID_BYTES_MAX);
    let longer = format!("{longest}x");
    let cases = [("mine-1", true), (longest.as_str(), true), (longer.as_str(), false), ("", false), ("mine 1", false)];
    for (sent, is_kept) in cases {
        let answer = client().get(rig.url("/healthz")).header("x-request-id", sent).send().await.unwrap();
        let id = &answer.headers()["x-request-id"];
        assert_eq!(id == sent, is_kept, "{sent:?}");
        assert!(is_kept || id.len() == 36, "one of ours: {id:?}");
    }
}

#[tokio::test]
async fn key_sets_are_read_without_a_token_and_may_be_kept_for_a_while() {
    let rig = start(&[]).await;
    let nil = uuid::Uuid::nil();
    for path in [format!("/tenants/{nil}"), format!("/tenants/{nil}/webhooks/{nil}")] {
        let answer = client().get(rig.url(&format!("{path}/.well-known/jwks.json"))).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/jwk-set+json");
        assert_eq!(answer.headers()["cache-control"], "public, max-age=300");
        let keys: Value = answer.json().await.unwrap();
        assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["d"]), (&json!("OKP"), &Value::Null));
    }
    for unknown in ["/tenants/00000000-0000-0000-0000-000000000001", "/tenants/acme", "/tenants/acme/webhooks/1"] {
        let answer = client().get(rig.url(&format!("{unknown}/.well-known/jwks.json"))).send().await.unwrap();
        assert_eq!((answer.status(), answer.text().await.unwrap().as_str()), (StatusCode::NOT_FOUND, ""), "{unknown}");
    }
}

#[tokio::test]
async fn without_a_valid_token_the_answer_is_401_in_the_shape_of_graphql() {
    let rig = start(&[]).await;
    for authorization in [None, Some("Bearer wrong"), Some("Basic abc"), Some("Bearer"), Some("Bearer a b")] {
        let mut request =
            client().post(rig.url("/graphql")).json(&json!({ "query": "{ __schema { types { name } } }" }));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401, "{authorization:?}");
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        assert!(body.get("data").is_none());
    }
}

#[tokio::test]
async fn a_request_error_has_no_data_and_its_status_goes_with_the_type() {
    let rig = start(&[]).await;
    for query in ["{ nope }", "{ hello", "query A { hello } query B { hello }"] {
        let body = json!({ "query": query });
        let (status, new) = answer(post(&rig, &body).header("accept", RESPONSE_JSON)).await;
        assert_eq!((status.as_u16(), new.get("data")), (400, None), "{query}");
        let (status, old) = answer(post(&rig, &body).header("accept", "application/json")).await;
        assert_eq!((status.as_u16(), old.get("data")), (200, None), "{query}");
    }
}

#[tokio::test]
async fn an_execution_that_failed_has_data_and_is_200() {
    let rig = start(&[]).await;
    let (status, body) = answer(post(&rig, &json!({ "query": "{ fails }" })).header("accept", RESPONSE_JSON)).await;
    assert_eq!((status.as_u16(), &body["data"], &body["errors"][0]["path"]), (200, &Value::Null, &json!(["fails"])));
}

#[tokio::test]
async fn malformed_requests_are_refused_with_what_is_wrong() {
    let rig = start(&[]).await;
    let cases = [
        ("{", "not well-formed JSON"),
        ("", "the body is empty"),
        ("[]", "batch"),
        ("3", "not a JSON object"),
        ("{}", "\"query\" is missing"),
        (r#"{"query":1}"#, "\"query\" is not a string"),
        (r#"{"query":"{hello}","variables":[]}"#, "\"variables\" is not an object"),
        (r#"{"query":"{hello}","operationName":{}}"#, "\"operationName\" is not a string"),
        (r#"{"query":"{hello}","extensions":"x"}"#, "\"extensions\" is not an object"),
    ];
    for (text, wanted) in cases {
        let request = client().post(rig.url("/graphql")).bearer_auth(TOKEN).header("content-type", "application/json");
        let (status, body) = answer(request.body(text)).await;
        assert_eq!(status, 400, "{text}");
        assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
        assert!(body["errors"][0]["message"].as_str().unwrap().contains(wanted), "{body}");
    }
}

#[tokio::test]
async fn other_types_methods_and_sizes_are_refused_by_status() {
    let rig = start(&[("http_body_bytes_max", "1024")]).await;
    let url = rig.url("/graphql");
    let query = json!({ "query": "{ hello }" });
    let plain = client().post(&url).bearer_auth(TOKEN).header("content-type", "text/plain").body(query.to_string());
    assert_eq!(answer(plain).await.0, 415);
    let form = client().post(&url).bearer_auth(TOKEN).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(answer(form.body("query={hello}")).await.0, 415);
    let latin = client().post(&url).bearer_auth(TOKEN).header("content-type", "application/json; charset=latin1");
    assert_eq!(answer(latin.body(query.to_string())).await.0, 415);
    let zipped = post(&rig, &query).header("content-encoding", "gzip");
    let (status, body) = answer(zipped).await;
    assert!(status == 415 && body["errors"][0]["message"].as_str().unwrap().contains("content-encoding"), "{body}");
    assert_eq!(answer(post(&rig, &query).header("content-encoding", "identity")).await.0, 200);
    assert_eq!(answer(client().put(&url).bearer_auth(TOKEN).json(&query)).await.0, 405);
    assert_eq!(answer(post(&rig, &query).header("accept", "text/csv")).await.0, 406);
    assert_eq!(answer(post(&rig, &query).header("accept", "application/json;q=0, text/csv")).await.0, 406);
    let two_keys = post(&rig, &query).header("idempotency-key", "a").header("idempotency-key", "b");
    let (status, body) = answer(two_keys).await;
    assert!(status == 400 && body["errors"][0]["message"].as_str().unwrap().contains("differ"), "{body}");
    let (status, body) = answer(client().post(rig.url("/graphql/")).bearer_auth(TOKEN).json(&query)).await;
    assert!(status == 404 && body["errors"][0]["message"].as_str().unwrap().contains("/graphql"), "{body}");
    let (status, body) = answer(post(&rig, &json!({ "query": "x".repeat(2048) }))).await;
    assert!(status == 413 && body["errors"][0]["message"].as_str().unwrap().contains("1024 bytes"), "{body}");
}

#[tokio::test]
async fn get_is_for_queries_only() {
    let rig = start(&[]).await;
    let get = |query: &str| {
        let parameters = [("query", query), ("variables", r#"{"n":"Bo"}"#)];
        let url = url::Url::parse_with_params(&rig.url("/graphql"), parameters).unwrap();
        client().get(url).bearer_auth(TOKEN)
    };
    let (status, body) = answer(get("query($n: String) { hello(name: $n) }")).await;
    assert_eq!((status.as_u16(), &body["data"]["hello"]), (200, &json!("hello Bo")));
    for query in ["mutation { x }", "subscription { quiet }"] {
        let refused = get(query).send().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers()["allow"].to_str().unwrap()), (405, "POST"));
    }
}

#[tokio::test]
async fn browsers_get_graphiql_from_this_host_alone() {
    let rig = start(&[]).await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for path in ["/graphql", "/payload/graphql"] {
        let page = client().get(rig.url(path)).header("accept", browser).send().await.unwrap();
        assert_eq!(page.status(), 200);
        let text = page.text().await.unwrap();
        assert!(text.contains(&format!("data-endpoint=\"{path}\"")));
        assert!(!text.contains("://"), "the page names another host");
        for file in text.split('"').filter(|part| part.starts_with("/graphiql/")) {
            let asset = client().get(rig.url(file)).send().await.unwrap();
            assert_eq!(asset.status(), 200, "{file}");
        }
    }
    assert_eq!(client().get(rig.url("/graphiql/..%2fpage.html")).send().await.unwrap().status(), 404);
    let off = start(&[("graphiql", "false")]).await;
    let (status, told) = answer(client().get(off.url("/graphql")).header("accept", browser)).await;
    assert!(status == 404 && told.as_str().is_some_and(|told| told.contains("POST requests at /graphql")), "{told}");
    assert_eq!(client().get(off.url("/graphiql/page.js")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_panic_is_answered_and_the_server_lives_on() {
    let rig = start(&[]).await;
    let (status, body) = answer(post(&rig, &json!({ "query": "{ panics }" }))).await;
    assert_eq!((status.as_u16(), &body["errors"][0]["extensions"]["code"]), (500, &json!("INTERNAL")));
    assert_eq!(answer(post(&rig, &json!({ "query": "{ hello }" }))).await.0, 200);
}

#[tokio::test]
async fn a_request_over_its_time_is_refused() {
    let rig = start(&[("http_request_ms_max", "100")]).await;
    let refused = post(&rig, &json!({ "query": "{ never }" })).send().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.status(), 503);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
}

#[tokio::test]
async fn introspection_and_sdl_can_be_switched_off() {
    let (on, off) = (start(&[]).await, start(&[("introspection", "false")]).await);
    let query = json!({ "query": "{ __schema { queryType { name } } }" });
    assert_eq!(answer(post(&on, &query)).await.1["data"]["__schema"]["queryType"]["name"], "Query");
    assert!(answer(post(&off, &query)).await.1["data"]["__schema"].is_null());
    let sdl = |rig: &Rig| client().get(rig.url("/schema.graphql")).bearer_auth(TOKEN);
    assert_eq!(answer(sdl(&on)).await, (StatusCode::OK, json!("type Query")));
    assert_eq!(answer(sdl(&off)).await.0, 404);
    assert_eq!(answer(client().get(on.url("/payload/schema.graphql"))).await.0, 401);
}

/// The end of a stream, whose data is an empty line.
const COMPLETE: &str = "event: complete data:  data: ";

/// The events of a stream until it ends, each as one text.
async fn events(request: RequestBuilder) -> Vec<String> {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let text = answer.text().await.unwrap();
    text.split("\n\n").filter(|event| !event.is_empty()).map(|event| event.replace('\n', " ")).collect()
}

fn streaming(rig: &Rig, query: &str) -> RequestBuilder {
    post(rig, &json!({ "query": query })).header("accept", "text/event-stream")
}

#[tokio::test]
async fn an_event_stream_has_an_event_for_each_answer_and_one_for_the_end() {
    let rig = start(&[]).await;
    let counted = events(streaming(&rig, "subscription { count(to: 2) }")).await;
    let next = |count: i32| format!("event: next data: {{\"data\":{{\"count\":{count}}}}}");
    assert_eq!(counted, [next(1), next(2), COMPLETE.to_owned()]);
    let asked = events(streaming(&rig, "{ hello }")).await;
    assert_eq!(asked[0], "event: next data: {\"data\":{\"hello\":\"hello you\"}}");
    assert_eq!(asked[1], COMPLETE);
    let url = url::Url::parse_with_params(&rig.url("/graphql"), [("query", "subscription { count(to: 1) }")]).unwrap();
    let by_get = events(client().get(url).bearer_auth(TOKEN).header("accept", "text/event-stream")).await;
    assert_eq!(by_get, [next(1), COMPLETE.to_owned()]);
}

#[tokio::test]
async fn a_request_error_is_an_event_without_data() {
    let rig = start(&[]).await;
    let refused = events(streaming(&rig, "subscription { nope }")).await;
    assert_eq!(refused.len(), 2);
    assert!(refused[0].starts_with("event: next data: {\"errors\":["), "{refused:?}");
    assert!(!refused[0].contains("\"data\":null"), "{refused:?}");
}

#[tokio::test]
async fn a_panic_is_the_last_answer_of_an_event_stream() {
    let rig = start(&[]).await;
    for query in ["subscription { panics }", "{ panics }"] {
        let failed = events(streaming(&rig, query)).await;
        assert_eq!((failed.len(), failed[1].as_str()), (2, COMPLETE), "{query}");
        assert!(failed[0].contains("\"code\":\"INTERNAL\""), "{failed:?}");
    }
}

#[tokio::test]
async fn an_event_stream_needs_a_token_and_a_place_like_a_connection() {
    let rig = start(&[("websocket_connections_max", "1")]).await;
    let query = json!({ "query": "subscription { quiet }" });
    let stranger = client().post(rig.url("/graphql")).json(&query).header("accept", "text/event-stream");
    assert_eq!(answer(stranger).await.0, 401);
    let open = streaming(&rig, "subscription { quiet }").send().await.unwrap();
    assert_eq!(answer(streaming(&rig, "subscription { quiet }")).await.0, 503);
    drop(open);
    // The place is free as soon as the server sees that the client has gone.
    let free = async { while streaming(&rig, "{ hello }").send().await.unwrap().status() != 200 {} };
    within(PATIENCE, "the place of a client that has gone", free).await;
}

#[tokio::test]
async fn a_revoked_token_and_a_stop_end_an_event_stream_without_completing_it() {
    let rig = start(&[("token_recheck_ms", "100")]).await;
    let open = streaming(&rig, "subscription { quiet }").send().await.unwrap();
    rig.tokens.is_revoked.store(true, Ordering::SeqCst);
    assert!(!open.text().await.unwrap().contains("event:"));
    let rig = start(&[]).await;
    let open = streaming(&rig, "subscription { quiet }").send().await.unwrap();
    rig.stopping.cancel();
    assert!(!open.text().await.unwrap().contains("event:"));
}

#[tokio::test]
async fn a_token_that_cannot_be_looked_up_again_keeps_its_event_stream_until_it_expires() {
    let rig = start(&[("token_recheck_ms", "100")]).await;
    let expires_at = rig.clock.now() + chrono::Duration::seconds(60);
    rig.tokens.expires_at_us.store(expires_at.timestamp_micros(), Ordering::SeqCst);
    let open = streaming(&rig, "subscription { quiet }").send().await.unwrap();
    rig.tokens.is_failing.store(true, Ordering::SeqCst);
    let lookups = rig.tokens.lookups.load(Ordering::SeqCst);
    until("look-ups that fail", || rig.tokens.lookups.load(Ordering::SeqCst) > lookups + 1).await;
    rig.clock.advance_ms(60_000);
    assert!(!open.text().await.unwrap().contains("event:"));
}

#[tokio::test]
async fn every_answer_tells_browsers_what_it_is_not_for() {
    let rig = start(&[("public_url", "https://hooks.example")]).await;
    let paths =
        ["/", "/graphql", "/payload/graphql", "/schema.graphql", "/graphiql/page.js", "/healthz", "/readyz", "/no"];
    for path in paths {
        let answer = client().get(rig.url(path)).send().await.unwrap();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(answer.headers()[name], value, "{path}");
        }
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(answer.headers().contains_key("cache-control"), "{path}");
    }
    let plain = start(&[]).await;
    let answer = client().get(plain.url("/healthz")).send().await.unwrap();
    assert!(!answer.headers().contains_key("strict-transport-security"));
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_and_no_others() {
    let rig = start(&[("allowed_origins", "https://console.example")]).await;
    let preflight = |origin: &str| {
        let request = client().request(reqwest::Method::OPTIONS, rig.url("/graphql")).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization,content-type,idempotency-key")
    };
    let allowed = preflight("https://console.example").send().await.unwrap();
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://console.example");
    assert!(!allowed.headers().contains_key("access-control-allow-credentials"));
    let headers = allowed.headers()["access-control-allow-headers"].to_str().unwrap();
    for name in ["authorization", "content-type", "idempotency-key", "x-request-id"] {
        assert!(headers.split(',').any(|allowed| allowed.trim() == name), "{name}: {headers}");
    }
    for origin in ["https://evil.example", "https://console.example.evil.example", "http://console.example", "null"] {
        let refused = preflight(origin).send().await.unwrap();
        assert!(!refused.headers().contains_key("access-control-allow-origin"), "{origin}");
    }
    let answered = post(&rig, &json!({ "query": "{ hello }" })).header("origin", "https://console.example");
    let answered = answered.send().await.unwrap();
    assert_eq!(answered.headers()["access-control-allow-origin"], "https://console.example");
    let closed = start(&[]).await;
    let refused = post(&closed, &json!({ "query": "{ hello }" })).header("origin", "https://console.example");
    assert!(!refused.send().await.unwrap().headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn production_is_one_switch_whatever_the_others_say() {
    let rig = start(&[("production", "true"), ("graphiql", "true"), ("introspection", "true")]).await;
    let introspected = post(&rig, &json!({ "query": "{ __schema { queryType { name } } }" }));
    assert!(answer(introspected).await.1["data"]["__schema"].is_null());
    assert_eq!(answer(client().get(rig.url("/schema.graphql")).bearer_auth(TOKEN)).await.0, 404);
    assert_eq!(answer(client().get(rig.url("/graphql")).header("accept", "text/html")).await.0, 404);
    assert_eq!(answer(client().get(rig.url("/graphiql/page.js"))).await.0, 404);
    let by_get = client().get(rig.url("/graphql?query={hello}")).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!((by_get.status().as_u16(), by_get.headers()["allow"].to_str().unwrap()), (405, "POST"));
    assert_eq!(answer(post(&rig, &json!({ "query": "{ hello }" }))).await.0, 200);
}
