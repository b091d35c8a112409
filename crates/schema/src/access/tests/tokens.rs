//! Tokens over the API, and the audit log of it.

use crate::limits::{TOKENS_LIST_MAX, TOKENS_VALID_MAX};
use crate::tests::world::world;
use async_graphql::Request;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::{TenantId, TokenId};
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::ports::{Entropy, TokenReader, UnitOfWork};
use hookgraph_domain::token::{self, AccessToken};
use hookgraph_pim::Caller;
use hookgraph_testkit::{SeededEntropy, sample};
use serde_json::{Value, json};
use uuid::Uuid;

const CREATE: &str = r#"mutation { accessToken { create(input: { name: "ci", permissions: [ORDERS_READ] }) {
    token accessToken { id permissions lastUsedAt expiresAt } } } }"#;

#[tokio::test]
async fn a_token_is_shown_once_kept_as_a_hash_and_revoked() {
    let world = world().await;
    let made = world.ask(CREATE, json!({})).await;
    let made = &made["data"]["accessToken"]["create"];
    let text = made["token"].as_str().unwrap();
    assert!(text.starts_with(token::TOKEN_PREFIX));
    let kept = world.store.token_by_sha256(token::sha256(text)).await.unwrap().unwrap();
    assert_eq!(kept.permissions, PermissionSet::NONE.with(Permission::OrdersRead));
    let listed = world.ask("{ accessToken { getMany { id name permissions } } }", json!({})).await;
    assert_eq!(listed["data"]["accessToken"]["getMany"][0]["permissions"], json!(["ORDERS_READ"]));
    assert!(!listed.to_string().contains(text));
    world.mutate(&format!(r#"accessToken {{ revoke(id: "{}") {{ revokedAt }} }}"#, kept.id)).await;
    assert!(world.store.token_by_sha256(token::sha256(text)).await.unwrap().is_none());
    let audit = world.ask("{ audit { getMany { nodes { action subject userId before after } } } }", json!({})).await;
    let nodes = audit["data"]["audit"]["getMany"]["nodes"].as_array().unwrap();
    let actions: Vec<_> = nodes.iter().map(|node| node["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["accessToken.revoke", "accessToken.create"]);
    assert_eq!(nodes[1]["userId"], "user");
    assert_eq!(nodes[1]["after"]["permissions"], json!(["ORDERS_READ"]));
    assert!(!audit.to_string().contains(text));
}

#[tokio::test]
async fn every_token_of_the_tenant_is_reached_and_none_of_another() {
    let (world, entropy) = (world().await, SeededEntropy::new(3));
    let token = |tenant_id: TenantId| AccessToken {
        id: TokenId(entropy.uuid(sample::now())),
        tenant_id,
        name: "ci".to_owned(),
        secret_sha256: [0; 32],
        permissions: PermissionSet::NONE,
        created_at: sample::now(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    let most = TOKENS_LIST_MAX as usize;
    let mine: Vec<AccessToken> = (0..most + 3).map(|_| token(world.caller.tenant_id)).collect();
    let theirs = token(TenantId(Uuid::from_u128(2)));
    let writes = mine.iter().chain([&theirs]).cloned().map(Write::InsertToken).collect();
    world.store.commit(Change { writes, ..Change::at(sample::now()) }).await.unwrap();

    let ask = async |arguments: &str| {
        world.ask(&format!("{{ accessToken {{ getMany{arguments} {{ id }} }} }}"), json!({})).await
    };
    let listed = async |arguments: &str| {
        let answer = ask(arguments).await;
        assert_eq!(answer["errors"], Value::Null, "{answer}");
        let tokens = answer["data"]["accessToken"]["getMany"].as_array().unwrap().clone();
        tokens.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let latest_first: Vec<String> = mine.iter().rev().map(|token| token.id.to_string()).collect();
    assert_eq!(listed("").await, latest_first[..most]);
    assert_eq!(listed(&format!("(after: {:?})", latest_first[most - 1])).await, latest_first[most..]);
    assert_eq!(listed(&format!("(first: 2, after: {:?})", latest_first[4])).await, latest_first[5..7]);
    for (arguments, code) in [
        (format!("(after: \"{}\")", theirs.id), "NOT_FOUND"),
        ("(after: \"no-id\")".to_owned(), "NOT_FOUND"),
        ("(first: 101)".to_owned(), "BAD_USER_INPUT"),
    ] {
        let refused = ask(&arguments).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], code, "{refused}");
    }

    let got = async |id: TokenId| {
        let answer = world.ask(&format!("{{ accessToken {{ get(id: \"{id}\") {{ id }} }} }}"), json!({})).await;
        assert_eq!(answer["errors"], Value::Null, "{answer}");
        answer["data"]["accessToken"]["get"].clone()
    };
    assert_eq!(got(mine[0].id).await, json!({ "id": mine[0].id }));
    assert_eq!(got(theirs.id).await, Value::Null);
}

#[tokio::test]
async fn a_tenant_has_so_many_valid_tokens_and_those_that_have_ended_take_no_place() {
    let (world, entropy) = (world().await, SeededEntropy::new(3));
    let token = |expires_at, revoked_at| AccessToken {
        id: TokenId(entropy.uuid(sample::now())),
        tenant_id: world.caller.tenant_id,
        name: "ci".to_owned(),
        secret_sha256: [0; 32],
        permissions: PermissionSet::NONE,
        created_at: sample::now(),
        expires_at,
        last_used_at: None,
        revoked_at,
    };
    let mut kept: Vec<AccessToken> = (1..TOKENS_VALID_MAX).map(|_| token(None, None)).collect();
    kept.extend([token(Some(sample::now()), None), token(None, Some(sample::now()))]);
    let writes = kept.iter().cloned().map(Write::InsertToken).collect();
    world.store.commit(Change { writes, ..Change::at(sample::now()) }).await.unwrap();

    let last = world.ask(CREATE, json!({})).await;
    assert_eq!(last["errors"], Value::Null, "{last}");
    let refused = world.ask(CREATE, json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{refused}");
    let message = format!("the tenant has {TOKENS_VALID_MAX} valid tokens: revoke one first");
    assert_eq!(refused["errors"][0]["message"], message);
    world.mutate(&format!(r#"accessToken {{ revoke(id: "{}") {{ id }} }}"#, kept[0].id)).await;
    let again = world.ask(CREATE, json!({})).await;
    assert_eq!(again["errors"], Value::Null, "{again}");
}

#[tokio::test]
async fn nobody_makes_a_token_that_may_more_than_they_may() {
    let world = world().await;
    let permissions = PermissionSet::NONE.with(Permission::TokensWrite).with(Permission::MarketsRead);
    let caller = Caller { permissions, ..world.caller.clone() };
    let answer = serde_json::to_value(world.api.execute(caller, Request::new(CREATE)).await).unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["permission"], "ORDERS_READ", "{answer}");
    assert!(world.store.tokens(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_without_permission_with_an_expiry_in_the_past_or_a_name_of_more_than_a_line_is_refused() {
    let world = world().await;
    for (input, code) in [
        (r#"{ name: "ci", permissions: [] }"#, "PERMISSIONS_EMPTY"),
        (r#"{ name: " ", permissions: [ORDERS_READ] }"#, "NAME_LENGTH"),
        (r#"{ name: "ci\nadmin", permissions: [ORDERS_READ] }"#, "NAME_INVALID"),
        (r#"{ name: "ci\u001b[2K", permissions: [ORDERS_READ] }"#, "NAME_INVALID"),
        (r#"{ name: "ci", permissions: [ORDERS_READ], expiresAt: "2001-01-01T00:00:00.000Z" }"#, "EXPIRY_PAST"),
    ] {
        let text = format!("mutation {{ accessToken {{ create(input: {input}) {{ token }} }} }}");
        let answer = world.ask(&text, json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["problems"][0]["code"], code, "{answer}");
    }
}

#[tokio::test]
async fn every_change_of_a_webhook_is_in_the_audit_log_without_its_secrets() {
    let world = world().await;
    let input = json!({ "name": "W", "concern": "orders", "event": "create", "method": "POST",
        "url": "https://receiver.example/?key=pl4nted", "headers": [{ "name": "authorization", "value": "Bearer pl4nted" }] });
    let created = world.created(input).await;
    let id = created["data"]["webhook"]["create"]["id"].as_str().unwrap().to_owned();
    world.mutate(&format!(r#"webhook {{ update(id: "{id}", input: {{ name: "V" }}) {{ id }} }}"#)).await;
    world.mutate(&format!(r#"webhook {{ delete(id: "{id}") }}"#)).await;
    let text = format!(r#"{{ audit {{ getMany(subject: "webhook:{id}") {{ nodes {{ action before after }} }} }} }}"#);
    let audit = world.ask(&text, json!({})).await;
    let nodes = audit["data"]["audit"]["getMany"]["nodes"].as_array().unwrap().clone();
    let told: Vec<_> = nodes
        .iter()
        .map(|node| (node["action"].as_str().unwrap(), &node["before"]["name"], &node["after"]["name"]))
        .collect();
    let (w, v) = (json!("W"), json!("V"));
    let none = Value::Null;
    assert_eq!(told, [("webhook.delete", &v, &none), ("webhook.update", &w, &v), ("webhook.create", &none, &w)]);
    assert!(!audit.to_string().contains("pl4nted"), "{audit}");
}
