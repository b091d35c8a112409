//! Secrets of webhooks, as a caller sees them: shown once, kept when sent back as shown, and nowhere else.

use super::world::{World, world};
use async_graphql::{Request, Variables};
use hookgraph_domain::audit::AuditQuery;
use hookgraph_domain::change::Expected;
use hookgraph_domain::ids::WebhookId;
use hookgraph_domain::limits::OVERLAPS_MAX;
use hookgraph_domain::permission::Permission;
use hookgraph_domain::ports::{AuditReader, WebhookReader};
use hookgraph_domain::tls::{TlsIdentity, TlsSettings};
use hookgraph_domain::webhook::Webhook;
use hookgraph_pim::Caller;
use serde_json::{Value, json};
use std::sync::Arc;

const CREATE: &str = "mutation ($input: CreateWebhookInput!) { webhook { create(input: $input) {
    id signing hasOwnSecrets signatureKeys { publicKey } headers { name value secret } } } }";
const UPDATE: &str = "mutation ($id: ID!, $input: UpdateWebhookInput!) { webhook { update(id: $id, input: $input) {
    signing headers { name value secret } } } }";
const REGENERATE: &str = "mutation ($id: ID!, $input: RegenerateWebhookSecretsInput) {
    webhook { regenerateSecrets(id: $id, input: $input) {
        signatureSecret webhook { hasOwnSecrets signatureKeys { id publicKey signsUntil } } } } }";

fn input(more: Value) -> Value {
    let mut input = json!({ "name": "Orders", "concern": "orders", "event": "create", "method": "POST",
        "url": "https://a.example/hook" });
    input.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    input
}

async fn created(world: &World, more: Value) -> Value {
    let answer = world.ask(CREATE, json!({ "input": input(more) })).await;
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"]["webhook"]["create"].clone()
}

async fn stored(world: &World, id: &Value) -> Webhook {
    let id: WebhookId = id.as_str().unwrap().parse().unwrap();
    world.store.webhooks(world.caller.tenant_id, &[id]).await.unwrap().remove(0)
}

/// The audit log as text.
async fn audited(world: &World) -> String {
    let tenant_id = world.caller.tenant_id;
    let query = AuditQuery { tenant_id, subject: None, before: None, limit: 100 };
    format!("{:?}", world.store.audit_page(&query).await.unwrap())
}

/// The codes of the problems that an update has.
async fn refused(world: &World, id: &Value, input: Value) -> Vec<String> {
    let answer = world.ask(UPDATE, json!({ "id": id, "input": input })).await;
    let problems = answer["errors"][0]["extensions"]["problems"].as_array().unwrap_or_else(|| panic!("{answer}"));
    problems.iter().map(|problem| format!("{} {}", problem["path"], problem["code"]).replace('"', "")).collect()
}

#[tokio::test]
async fn a_webhooks_own_secret_is_shown_once_and_its_keys_are_public() {
    let world = world().await;
    let webhook = created(&world, json!({})).await;
    assert_eq!((&webhook["hasOwnSecrets"], &webhook["signing"]), (&json!(false), &json!("SYMMETRIC")));
    let tenants = webhook["signatureKeys"][0]["publicKey"].clone();
    let answer = world.ask(REGENERATE, json!({ "id": webhook["id"] })).await;
    let made = &answer["data"]["webhook"]["regenerateSecrets"];
    let secret = made["signatureSecret"].as_str().expect("a secret");
    let own = stored(&world, &webhook["id"]).await.own_keys.expect("keys");
    assert_eq!(own.keys.secret.current.expose(), secret);
    assert_eq!(made["webhook"]["hasOwnSecrets"], true);
    let keys = made["webhook"]["signatureKeys"].as_array().unwrap();
    assert_eq!(keys[0]["publicKey"], own.keys.key.current.public().text());
    assert_eq!((&keys[1]["publicKey"], &keys[0]["signsUntil"]), (&tenants, &Value::Null));
    assert_eq!(keys[1]["signsUntil"], "2023-11-15T22:13:20.250Z");

    let audited = audited(&world).await;
    assert!(audited.contains("webhook.regenerateSecrets") && audited.contains("overlapS"));
    for part in [secret, &secret["whsec_".len()..], &own.keys.key.current.expose()["whsk_".len()..]] {
        assert!(!audited.contains(part), "{audited}");
    }
}

#[tokio::test]
async fn a_key_alone_is_made_anew_without_showing_a_secret() {
    let world = world().await;
    let webhook = created(&world, json!({ "signing": "ASYMMETRIC" })).await;
    world.ask(REGENERATE, json!({ "id": webhook["id"] })).await;
    let before = stored(&world, &webhook["id"]).await.own_keys.expect("keys").keys;
    let only_key = json!({ "signatureKey": true, "overlapS": 0 });
    let answer = world.ask(REGENERATE, json!({ "id": webhook["id"], "input": only_key })).await;
    let made = &answer["data"]["webhook"]["regenerateSecrets"];
    assert_eq!(made["signatureSecret"], Value::Null);
    let after = stored(&world, &webhook["id"]).await.own_keys.expect("keys").keys;
    assert_eq!(after.secret, before.secret);
    assert!(after.key.current != before.key.current && after.key.previous.is_empty());
    let refused = json!({ "overlapS": 604_801 });
    let answer = world.ask(REGENERATE, json!({ "id": webhook["id"], "input": refused })).await;
    assert_eq!(answer["errors"][0]["extensions"]["problems"][0]["code"], "OVERLAP");
}

#[tokio::test]
async fn rotations_that_overlap_are_bounded_and_what_has_leaked_is_ended_all_the_same() {
    let world = world().await;
    let id = created(&world, json!({})).await["id"].clone();
    for _ in 0..OVERLAPS_MAX {
        let answer = world.ask(REGENERATE, json!({ "id": id })).await;
        assert_eq!(answer["errors"], Value::Null, "{answer}");
    }
    let before = stored(&world, &id).await.own_keys;
    let refused = world.ask(REGENERATE, json!({ "id": id })).await;
    let problem = &refused["errors"][0]["extensions"]["problems"][0];
    assert_eq!((&problem["path"], &problem["code"]), (&json!("input.overlapS"), &json!("OVERLAPS_FULL")), "{refused}");
    assert_eq!(stored(&world, &id).await.own_keys, before);
    let leaked = world.ask(REGENERATE, json!({ "id": id, "input": { "overlapS": 0 } })).await;
    let keys = &leaked["data"]["webhook"]["regenerateSecrets"]["webhook"]["signatureKeys"];
    assert_eq!(keys.as_array().map(Vec::len), Some(1), "{leaked}");
}

#[tokio::test]
async fn something_is_chosen_and_a_webhooks_first_secrets_are_made_together() {
    const TENANT: &str = "mutation ($id: ID!, $input: RegenerateSecretsInput) {
        tenant { regenerateSecrets(tenantId: $id, input: $input) { signatureSecret } } }";
    let world = world().await;
    let (tenant, webhook) = (json!(world.caller.tenant_id), created(&world, json!({})).await["id"].clone());
    let refused = async |text: &str, id: &Value, input: Value| {
        let answer = world.ask(text, json!({ "id": id, "input": input })).await;
        let problem = answer["errors"][0]["extensions"]["problems"][0].clone();
        format!("{} {}", problem["path"], problem["code"]).replace('"', "")
    };
    for (text, id) in [(TENANT, &tenant), (REGENERATE, &webhook)] {
        for input in [json!({ "signatureSecret": false, "signatureKey": false }), json!({ "signatureKey": false })] {
            assert_eq!(refused(text, id, input.clone()).await, "input NOTHING_CHOSEN", "{input}");
        }
    }
    let token = json!({ "id": tenant, "input": { "staticAuthToken": true } });
    let message = world.ask(TENANT, token).await["errors"][0]["message"].to_string();
    assert!(message.contains("accessToken { create }"), "{message}");
    let only_key = json!({ "signatureKey": true, "signatureSecret": false });
    let only_secret = json!({ "signatureSecret": true, "signatureKey": false });
    let together = async |input: &Value| refused(REGENERATE, &webhook, input.clone()).await;
    assert_eq!(together(&only_key).await, "input.signatureSecret FIRST_SECRETS_TOGETHER");
    assert_eq!(together(&only_secret).await, "input.signatureKey FIRST_SECRETS_TOGETHER");
    assert_eq!(stored(&world, &webhook).await.own_keys, None);

    let first = json!({ "id": webhook, "input": { "signatureKey": true } });
    let first = world.ask(REGENERATE, first).await["data"]["webhook"]["regenerateSecrets"].clone();
    assert!(first["signatureSecret"].is_string(), "{first}");
    let audited = audited(&world).await.replace('\\', "");
    assert!(audited.contains(r#""signatureSecret":true,"signatureKey":true"#), "{audited}");
    let made = world.ask(REGENERATE, json!({ "id": webhook, "input": only_key })).await;
    assert_eq!(made["data"]["webhook"]["regenerateSecrets"]["signatureSecret"], Value::Null, "{made}");
    assert_eq!(made["errors"], Value::Null, "{made}");
    let made = world.ask(TENANT, json!({ "id": tenant, "input": only_key })).await;
    assert_eq!(made["data"]["tenant"]["regenerateSecrets"]["signatureSecret"], "", "{made}");
}

#[tokio::test]
async fn secrets_that_are_removed_go_after_the_overlap() {
    const REMOVE: &str = "mutation ($id: ID!, $overlapS: Int) { webhook { removeSecrets(id: $id, overlapS: $overlapS) {
        hasOwnSecrets signatureKeys { publicKey } } } }";
    let world = world().await;
    let id = created(&world, json!({})).await["id"].clone();
    let nothing = world.ask(REMOVE, json!({ "id": id })).await;
    assert_eq!(nothing["data"]["webhook"]["removeSecrets"]["hasOwnSecrets"], false);
    world.ask(REGENERATE, json!({ "id": id })).await;
    let removed = world.ask(REMOVE, json!({ "id": id, "overlapS": 60 })).await;
    let removed = &removed["data"]["webhook"]["removeSecrets"];
    assert_eq!(removed["hasOwnSecrets"], false);
    // The tenant's, from which its own took over, is there once.
    assert_eq!(removed["signatureKeys"].as_array().map(Vec::len), Some(2));
    let at_once = world.ask(REMOVE, json!({ "id": id, "overlapS": 0 })).await;
    assert_eq!(at_once["data"]["webhook"]["removeSecrets"]["signatureKeys"].as_array().map(Vec::len), Some(1));
    assert_eq!(stored(&world, &id).await.own_keys, None);
}

#[tokio::test]
async fn a_secret_header_is_never_shown_and_kept_when_it_is_sent_back_as_it_was_shown() {
    let world = world().await;
    let headers = json!([{ "name": "Authorization", "value": "Bearer tops3cret", "secret": true },
        { "name": "x-plain", "value": "plain" }]);
    let webhook = created(&world, json!({ "headers": headers })).await;
    let shown = json!([{ "name": "authorization", "value": "", "secret": true },
        { "name": "x-plain", "value": "plain", "secret": false }]);
    assert_eq!(webhook["headers"], shown);
    let id = &webhook["id"];
    let update = json!({ "headers": shown, "url": "https://a.example/hook?other", "signing": "BOTH" });
    let updated = world.ask(UPDATE, json!({ "id": id, "input": update })).await;
    assert_eq!(updated["data"]["webhook"]["update"], json!({ "signing": "BOTH", "headers": shown }), "{updated}");
    assert_eq!(stored(&world, id).await.headers[0].value, "Bearer tops3cret");

    let preview =
        "query ($id: ID!) { webhook { previewPayload(input: { id: $id }) { request { headers { name value } } } } }";
    let preview = world.ask(preview, json!({ "id": id })).await;
    let headers = preview["data"]["webhook"]["previewPayload"]["request"]["headers"].as_array().expect("headers");
    assert!(headers.contains(&json!({ "name": "authorization", "value": "[redacted]" })), "{preview}");
    assert!(headers.contains(&json!({ "name": "x-plain", "value": "plain" })), "{preview}");
    assert!(!audited(&world).await.contains("tops3cret"));
}

#[tokio::test]
async fn a_preview_bears_signatures_for_who_may_change_webhooks_and_for_nobody_else() {
    const PREVIEW: &str = "query ($input: PreviewPayloadInput!) { webhook { previewPayload(input: $input) {
        request { url headers { name value } } } } }";
    let world = world().await;
    let id = created(&world, json!({})).await["id"].clone();
    let previewed = async |permission: Permission, asked: &Value| {
        let permissions = [permission, Permission::EventsRead].into_iter().collect();
        let caller = Caller { permissions, ..world.caller.clone() };
        let request = Request::new(PREVIEW).variables(Variables::from_json(json!({ "input": asked })));
        let answer = serde_json::to_value(world.api.execute(caller, request).await).unwrap();
        assert_eq!(answer["errors"], Value::Null, "{answer}");
        answer["data"]["webhook"]["previewPayload"]["request"].clone()
    };
    for asked in [json!({ "id": id }), json!({ "webhook": input(json!({})) })] {
        let to_reader = previewed(Permission::WebhooksRead, &asked).await;
        let to_writer = previewed(Permission::WebhooksWrite, &asked).await;
        for name in ["x-crystallize-signature", "webhook-signature"] {
            assert_eq!(header(&to_reader, name), Some("[redacted]"), "{asked}");
            assert!(header(&to_writer, name).is_some_and(|value| value.len() > 40), "{asked}: {to_writer}");
        }
        assert_eq!(to_reader["url"], to_writer["url"]);
        // As an event would be sent, and not as a test.
        assert_eq!(header(&to_writer, "webhook-test"), None);
        assert!(header(&to_reader, "webhook-timestamp").is_some_and(|value| value != "[redacted]"), "{to_reader}");
    }
}

fn header<'a>(request: &'a Value, name: &str) -> Option<&'a str> {
    let found = request["headers"].as_array()?.iter().find(|header| header["name"] == name)?;
    found["value"].as_str()
}

#[tokio::test]
async fn a_secret_header_is_given_anew_to_be_shown_or_to_go_elsewhere() {
    let world = world().await;
    let header = |value: &str, secret: bool| json!([{ "name": "authorization", "value": value, "secret": secret }]);
    let id = created(&world, json!({ "headers": header("Bearer tops3cret", true) })).await["id"].clone();
    for url in ["https://attacker.example/hook", "https://a.example/attacker", "https://a.example/hook/attacker"] {
        let elsewhere = json!({ "url": url });
        assert_eq!(refused(&world, &id, elsewhere).await, ["input.headers HEADER_SECRET_ELSEWHERE"], "{url}");
        let sent_back = json!({ "url": url, "headers": header("", true) });
        assert_eq!(refused(&world, &id, sent_back).await, ["input.headers.0.value HEADER_SECRET_ELSEWHERE"], "{url}");
    }
    let shown = json!({ "headers": header("", false) });
    assert_eq!(refused(&world, &id, shown).await, ["input.headers.0.value HEADER_SECRET_HIDDEN"]);
    let unnamed = json!({ "headers": [{ "name": "x-new" }] });
    assert_eq!(refused(&world, &id, unnamed).await, ["input.headers.0.value HEADER_VALUE_MISSING"]);
    let anew = json!({ "url": "https://b.example/", "headers": header("Bearer other", true) });
    let updated = world.ask(UPDATE, json!({ "id": id, "input": anew })).await;
    assert_eq!(updated["errors"], Value::Null, "{updated}");
    assert_eq!(stored(&world, &id).await.headers[0].value, "Bearer other");
}

const TLS: &str = "mutation ($id: ID!, $input: UpdateWebhookInput!) { webhook { update(id: $id, input: $input) {
    name tls { clientCertificate clientCertificateExpiresAt caCertificates } } } }";

#[tokio::test]
async fn a_client_key_is_kept_and_never_shown() {
    let world = world().await;
    let tls = json!({ "clientCertificate": "C", "clientKey": "tops3cret", "caCertificates": "A" });
    let id = created(&world, json!({ "tls": tls })).await["id"].clone();
    let update = async |input: Value| world.ask(TLS, json!({ "id": id, "input": input })).await;
    let renewed = update(json!({ "tls": { "clientCertificate": "C2" } })).await;
    let expected = json!({ "clientCertificate": "C2", "clientCertificateExpiresAt": "2023-11-14T22:13:20.250Z",
        "caCertificates": null });
    assert_eq!(renewed["data"]["webhook"]["update"]["tls"], expected, "{renewed}");
    let key = async || stored(&world, &id).await.tls.and_then(|tls| tls.identity.clone()).map(|identity| identity.key);
    assert_eq!(key().await.as_deref(), Some("tops3cret"));
    assert!(audited(&world).await.contains("C2") && !audited(&world).await.contains("tops3cret"));
    let cleared = update(json!({ "tls": null })).await;
    assert_eq!((&cleared["data"]["webhook"]["update"]["tls"], key().await), (&Value::Null, None));
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_called_saved_where_the_update_gives_none() {
    let world = world().await;
    let id = created(&world, json!({ "tls": { "clientCertificate": "C", "clientKey": "K" } })).await["id"].clone();
    for (tls, told) in [
        (json!({ "clientCertificate": "unpaired" }), "the saved key is not that of the new clientCertificate"),
        (json!({ "clientCertificate": "unpaired", "clientKey": "K" }), "the key is not that of clientCertificate"),
    ] {
        let answer = world.ask(UPDATE, json!({ "id": id, "input": { "tls": tls } })).await;
        let problem = &answer["errors"][0]["extensions"]["problems"][0];
        assert_eq!(problem["path"], "input.tls.clientKey");
        assert_eq!(problem["code"], "CLIENT_KEY_MISMATCH");
        assert!(problem["message"].as_str().is_some_and(|message| message.starts_with(told)), "{answer}");
    }
}

#[tokio::test]
async fn a_client_key_is_given_anew_to_be_used_elsewhere() {
    let world = world().await;
    let tls = json!({ "clientCertificate": "C", "clientKey": "tops3cret" });
    let id = created(&world, json!({ "tls": tls })).await["id"].clone();
    let elsewhere = "https://attacker.example/hook";
    for kept in [
        json!({ "url": elsewhere }),
        json!({ "url": elsewhere, "tls": { "clientCertificate": "C2" } }),
        json!({ "url": elsewhere, "tls": { "clientCertificate": "C", "clientKey": " " } }),
        json!({ "url": "https://a.example:8443/hook" }),
    ] {
        let told = refused(&world, &id, kept.clone()).await;
        assert_eq!(told, ["input.tls.clientKey CLIENT_KEY_ELSEWHERE"], "{kept}");
    }
    for (allowed, key) in [
        (json!({ "url": "https://a.example/other?path=1" }), Some("tops3cret")),
        (json!({ "url": "https://b.example/", "tls": { "clientCertificate": "C2", "clientKey": "K2" } }), Some("K2")),
        (json!({ "url": "https://c.example/", "tls": { "caCertificates": "A" } }), None),
        (json!({ "url": "https://d.example/" }), None),
    ] {
        let updated = world.ask(UPDATE, json!({ "id": id, "input": allowed })).await;
        assert_eq!(updated["errors"], Value::Null, "{updated}");
        let identity = stored(&world, &id).await.tls.and_then(|tls| tls.identity.clone());
        assert_eq!(identity.map(|identity| identity.key).as_deref(), key, "{allowed}");
    }
}

#[tokio::test]
async fn tls_settings_that_cannot_be_used_are_refused_and_keep_nobody_from_changing_the_rest() {
    let world = world().await;
    let id = created(&world, json!({})).await["id"].clone();
    let expired = json!({ "tls": { "clientCertificate": "expired", "clientKey": "K" } });
    let code = "input.tls.clientCertificate CLIENT_CERTIFICATE_EXPIRED";
    assert_eq!(refused(&world, &id, expired).await, [code]);
    let unpaired = json!({ "tls": { "clientCertificate": "C" } });
    assert_eq!(refused(&world, &id, unpaired).await, ["input.tls.clientKey CLIENT_KEY_MISSING"]);
    let plain = json!({ "url": "http://a.example/", "tls": { "caCertificates": "A" } });
    assert_eq!(refused(&world, &id, plain).await, ["input.tls TLS_NEEDS_HTTPS"]);

    let mut webhook = stored(&world, &id).await;
    let identity = TlsIdentity { certificate: "expired".to_owned(), key: "K".to_owned() };
    webhook.tls = Some(Arc::new(TlsSettings { identity: Some(identity), ca_certificates: None }));
    let expected = Expected::Version(webhook.version);
    webhook.version += 1;
    world.put_webhook(webhook, expected).await;
    let renamed = world.ask(TLS, json!({ "id": id, "input": { "name": "Other" } })).await;
    assert_eq!(renamed["data"]["webhook"]["update"]["name"], "Other", "{renamed}");
}
