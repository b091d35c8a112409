//! Webhooks, as a store keeps them.

use super::World;
use crate::sample;
use hookgraph_domain::change::{CommitError, Expected, Write};
use hookgraph_domain::event::EventTypeKey;
use hookgraph_domain::limits::WEBHOOKS_PER_EVENT_TYPE_MAX;
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::ports::Store;
use hookgraph_domain::signing::{OwnKeys, Previous, Replaced, SigningKeys, SigningScheme};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::tls::{TlsIdentity, TlsSettings};
use hookgraph_domain::webhook::{CheckedDocument, Header, HttpMethod, WebhookStatus};
use std::sync::Arc;

fn document(schema_sha256: &str) -> CheckedDocument {
    CheckedDocument {
        document_sha256: "d".repeat(64),
        schema_sha256: schema_sha256.to_owned(),
        used_variables: vec!["id".to_owned()],
        complexity: 12,
        permissions: vec!["*".to_owned()],
    }
}

/// Keys of a webhook's own that were rotated while they took over from the tenant's, and that are about to go.
fn own_keys() -> OwnKeys {
    let SigningKeys { mut secret, key } = sample::keys(1);
    secret.previous.push(Previous { replaced: Replaced::Tenants, until: plus_ms(sample::now(), 8) });
    let keys = SigningKeys {
        secret: secret.rotated(sample::keys(2).secret.current, sample::now(), 5).expect("room"),
        key: key.rotated(sample::keys(3).key.current, sample::now(), 6).expect("room"),
    };
    OwnKeys { keys, until: Some(plus_ms(sample::now(), 7)) }
}

/// One webhook has headers, a document, keys and TLS settings of its own and all times; the other has none of these.
pub async fn a_webhook_reads_back_as_written(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let full = world
        .webhook_with(|webhook| {
            let (name, value) = ("authorization".to_owned(), "Bearer tops3cret".to_owned());
            let plain = Header { name: "x-plain".to_owned(), value: "plain".to_owned(), is_secret: false };
            webhook.headers = vec![Header { name, value, is_secret: true }, plain];
            webhook.graphql_query = Some("query ($id: ID!) { order { get(id: $id) { id } } }".to_owned());
            webhook.document = Some(document("s1"));
            webhook.method = HttpMethod::Patch;
            webhook.status = WebhookStatus::Suspended;
            webhook.status_reason = Some("too many failures".to_owned());
            webhook.failing_since = Some(sample::now());
            webhook.retry_delays_s = vec![1, 2];
            webhook.preserve_default_payload = true;
            webhook.signing = SigningScheme::Both;
            webhook.own_keys = Some(own_keys());
            let identity = TlsIdentity { certificate: "certificate".to_owned(), key: "key".to_owned() };
            let tls = TlsSettings { identity: Some(identity), ca_certificates: Some("authority".to_owned()) };
            webhook.tls = Some(Arc::new(tls));
        })
        .await;
    assert_eq!(world.read_webhook(full.id).await, full);
    let plain = world.webhook().await;
    assert_eq!(world.read_webhook(plain.id).await, plain);
    let page = world.store.webhook_page(&WebhookQuery::of_type(world.tenant_id, &plain.event_type)).await;
    assert_eq!(page.expect("page"), [full, plain]);
    let other_type = WebhookQuery::of_type(world.tenant_id, &EventTypeKey::new("items", "create"));
    assert!(world.store.webhook_page(&other_type).await.expect("page").is_empty());
}

/// The bound is what the fan out of one event can cost. It holds for webhooks that are inserted and for those that are
/// moved to the type.
pub async fn webhooks_of_one_event_type_are_bounded(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for _ in 0..WEBHOOKS_PER_EVENT_TYPE_MAX {
        world.webhook().await;
    }
    let mut late = sample::webhook(world.id(), world.tenant_id);
    let refused = world.try_write(vec![Write::PutWebhook { webhook: late.clone(), expected: Expected::Absent }]).await;
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");

    late.event_type = EventTypeKey::new("orders", "update");
    world.write(vec![Write::PutWebhook { webhook: late.clone(), expected: Expected::Absent }]).await;
    late.event_type = EventTypeKey::new("orders", "create");
    late.version = 2;
    let refused = world.try_write(vec![Write::PutWebhook { webhook: late, expected: Expected::Version(1) }]).await;
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
}

/// The history of a deleted webhook still shows it.
pub async fn a_deleted_webhook_is_read_by_id_only(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    world.change_webhook(webhook.id, |webhook| webhook.deleted_at = Some(sample::now()), Vec::new()).await;
    assert!(world.read_webhook(webhook.id).await.deleted_at.is_some());
    let page = world.store.webhook_page(&WebhookQuery::of_type(world.tenant_id, &webhook.event_type)).await;
    assert!(page.expect("page").is_empty());
}

/// The webhooks of every tenant are found, in pages; a webhook without a payload query never is.
pub async fn webhooks_checked_against_another_schema_are_found(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    let first = world.webhook_with(|webhook| webhook.document = Some(document("old"))).await;
    let second = world.webhook_with(|webhook| webhook.document = Some(document("older"))).await;
    world.webhook_with(|webhook| webhook.document = Some(document("new"))).await;
    let found = world.store.webhooks_checked_otherwise("new", None, 1).await.expect("read");
    assert_eq!(found.iter().map(|webhook| webhook.id).collect::<Vec<_>>(), [first.id]);
    let found = world.store.webhooks_checked_otherwise("new", Some(first.id), 10).await.expect("read");
    assert_eq!(found.iter().map(|webhook| webhook.id).collect::<Vec<_>>(), [second.id]);
}
