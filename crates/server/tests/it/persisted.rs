//! Documents that are named instead of sent, over HTTP, WebSocket and event streams.

use crate::rig::socket::{hear, initialised, say};
use crate::rig::{Rig, TOKEN, start};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

const HELLO: &str = "query Hello($name: String) { hello(name: $name) }";
const RESPONSE_JSON: &str = "application/graphql-response+json";

fn sha256() -> String {
    hex::encode(hookgraph_server::auth::sha256(HELLO))
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

fn post(rig: &Rig, body: &Value) -> RequestBuilder {
    client().post(rig.url("/graphql")).bearer_auth(TOKEN).json(body)
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// The parameters that Apollo's clients send.
fn persisted(query: Option<&str>) -> Value {
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": sha256() } });
    let mut body = json!({ "variables": { "name": "Ada" }, "extensions": extensions });
    if let Some(query) = query {
        body["query"] = json!(query);
    }
    body
}

/// A server that trusts one document, with that setting of `trusted_documents_only`.
async fn trusting(only: &str) -> (Rig, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("persisted-documents.json");
    std::fs::write(&file, json!({ "hello-1": HELLO }).to_string()).unwrap();
    let file = file.display().to_string();
    (start(&[("trusted_documents", &file), ("trusted_documents_only", only)]).await, folder)
}

fn code(body: &Value) -> &str {
    assert!(body.get("data").is_none(), "{body}");
    assert_eq!(body["errors"].as_array().unwrap().len(), 1);
    body["errors"][0]["extensions"]["code"].as_str().unwrap()
}

#[tokio::test]
async fn an_unknown_hash_is_answered_so_that_clients_send_the_text_along_once() {
    let rig = start(&[]).await;
    for (accept, status) in [("application/json", 200), (RESPONSE_JSON, 400)] {
        let (answered, body) = answer(post(&rig, &persisted(None)).header("accept", accept)).await;
        assert_eq!((answered, code(&body)), (status, "PERSISTED_QUERY_NOT_FOUND"));
        assert_eq!(body["errors"][0]["message"], "PersistedQueryNotFound");
    }
    let greeted = json!({ "data": { "hello": "hello Ada" } });
    assert_eq!(answer(post(&rig, &persisted(Some(HELLO)))).await, (200, greeted.clone()));
    assert_eq!(answer(post(&rig, &persisted(None))).await, (200, greeted.clone()));
    let by_id = json!({ "documentId": format!("sha256:{}", sha256()), "variables": { "name": "Ada" } });
    assert_eq!(answer(post(&rig, &by_id)).await, (200, greeted.clone()));
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": sha256() } }).to_string();
    let parameters = [("extensions", extensions.as_str()), ("variables", r#"{"name":"Ada"}"#)];
    let by_get = url::Url::parse_with_params(&rig.url("/graphql"), parameters).unwrap();
    assert_eq!(answer(client().get(by_get).bearer_auth(TOKEN)).await, (200, greeted));
}

#[tokio::test]
async fn a_text_that_is_not_its_hash_is_refused() {
    let rig = start(&[]).await;
    let (status, body) = answer(post(&rig, &persisted(Some("{ hello }")))).await;
    assert_eq!((status, code(&body)), (400, "BAD_USER_INPUT"));
}

#[tokio::test]
async fn hashes_can_be_switched_off() {
    let rig = start(&[("automatic_persisted_queries", "false")]).await;
    let (_, body) = answer(post(&rig, &persisted(None))).await;
    assert_eq!(code(&body), "PERSISTED_QUERY_NOT_SUPPORTED");
    assert_eq!(body["errors"][0]["message"], "PersistedQueryNotSupported");
    assert_eq!(answer(post(&rig, &persisted(Some(HELLO)))).await.0, 200);
}

#[tokio::test]
async fn a_trusted_document_runs_by_its_identifier_over_every_transport() {
    let (rig, _folder) = trusting("true").await;
    let parameters = json!({ "documentId": "hello-1", "variables": { "name": "Ada" } });
    let greeted = json!({ "data": { "hello": "hello Ada" } });
    assert_eq!(answer(post(&rig, &parameters)).await, (200, greeted.clone()));
    let query = [("documentId", "hello-1"), ("variables", r#"{"name":"Ada"}"#)];
    let by_get = url::Url::parse_with_params(&rig.url("/graphql"), query).unwrap();
    // A browser that opens it gets its data, not a page.
    let by_get = client().get(by_get).bearer_auth(TOKEN).header("accept", "text/html,*/*;q=0.8");
    assert_eq!(answer(by_get).await, (200, greeted.clone()));
    let events = post(&rig, &parameters).header("accept", "text/event-stream").send().await.unwrap();
    assert!(events.text().await.unwrap().contains(&format!("data: {greeted}")));
    let mut socket = initialised(&rig).await;
    say(&mut socket, json!({ "id": "a", "type": "subscribe", "payload": parameters })).await;
    assert_eq!(hear(&mut socket).await["payload"], greeted);
}

#[tokio::test]
async fn where_only_trusted_documents_run_others_are_refused_over_every_transport() {
    let (rig, _folder) = trusting("true").await;
    let free = json!({ "query": "{ hello }" });
    for accept in ["application/json", RESPONSE_JSON, "text/event-stream"] {
        let (status, body) = answer(post(&rig, &free).header("accept", accept)).await;
        assert_eq!(code(&body), "FORBIDDEN", "{accept}");
        assert_eq!(status, if accept == RESPONSE_JSON { 400 } else { 200 });
    }
    let payload = client().post(rig.url("/payload/graphql")).bearer_auth(TOKEN).json(&free);
    assert_eq!(code(&answer(payload).await.1), "FORBIDDEN");
    let mut socket = initialised(&rig).await;
    say(&mut socket, json!({ "id": "a", "type": "subscribe", "payload": free })).await;
    let refused = hear(&mut socket).await;
    assert_eq!(
        (&refused["type"], &refused["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("FORBIDDEN"))
    );
    say(&mut socket, json!({ "id": "a", "type": "subscribe", "payload": { "documentId": "unknown" } })).await;
    let unknown = hear(&mut socket).await;
    assert_eq!(unknown["payload"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
    let (other, _folder) = trusting("false").await;
    assert_eq!(answer(post(&other, &free)).await.0, 200);
}
