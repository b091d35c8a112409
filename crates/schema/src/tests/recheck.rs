//! Stored documents, checked again under another schema.

use super::world::{CUSTOMER, World, world};
use crate::Rechecked;
use hookgraph_domain::change::Expected;
use hookgraph_domain::delivery::{Delivery, DeliveryState};
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_domain::ports::{History, WebhookReader};
use hookgraph_domain::webhook::{Webhook, WebhookStatus};

/// As it was saved under another schema, with one delivery due.
async fn stored_otherwise(world: &World, document: &str) -> Webhook {
    let mut webhook = world.webhook(9, "customers/create", CUSTOMER);
    webhook.graphql_query = Some(document.to_owned());
    webhook.document.as_mut().unwrap().schema_sha256 = "another".to_owned();
    world.put_webhook(webhook.clone(), Expected::Absent).await;
    world.mutate(r#"customer { create(input: { tenantId: "<tenant>", identifier: "ada", firstName: "Ada", lastName: "L" }) { identifier } }"#).await;
    webhook
}

async fn now(world: &World, webhook: &Webhook) -> (Webhook, Delivery) {
    let query = DeliveryQuery { webhook_id: Some(webhook.id), ..DeliveryQuery::of(webhook.tenant_id, 2) };
    let mut deliveries = world.store.delivery_page(&query).await.unwrap();
    assert_eq!(deliveries.len(), 1);
    let stored = world.store.webhooks(webhook.tenant_id, &[webhook.id]).await.unwrap().remove(0);
    (stored, deliveries.remove(0))
}

#[tokio::test]
async fn a_document_that_no_longer_fits_makes_its_webhook_invalid_and_holds_until_it_fits_again() {
    let world = world().await;
    let webhook = stored_otherwise(&world, &CUSTOMER.replace("firstName", "givenName")).await;
    let found = world.api.recheck_documents().await.unwrap();
    assert_eq!(found, Rechecked { checked: 1, invalidated: 1, restored: 0 });
    let (invalid, delivery) = now(&world, &webhook).await;
    assert_eq!((invalid.status, delivery.state), (WebhookStatus::Invalid, DeliveryState::Held));
    let reason = invalid.status_reason.clone().unwrap();
    assert!(reason.contains("givenName") && delivery.state_reason.as_ref() == Some(&reason), "{reason} {delivery:?}");
    let again = world.api.recheck_documents().await.unwrap();
    assert_eq!((again.invalidated, again.restored), (0, 0));

    let fits = Webhook {
        graphql_query: webhook.graphql_query.as_ref().map(|text| text.replace("givenName", "firstName")),
        version: invalid.version + 1,
        ..invalid.clone()
    };
    world.put_webhook(fits, Expected::Version(invalid.version)).await;
    let found = world.api.recheck_documents().await.unwrap();
    assert_eq!(found, Rechecked { checked: 1, invalidated: 0, restored: 1 });
    let (active, delivery) = now(&world, &webhook).await;
    assert_eq!((active.status, delivery.state), (WebhookStatus::Active, DeliveryState::Held));
    assert!(active.draining.is_some(), "what is held becomes due at a pace");
    assert_eq!(active.status_reason, None);
    assert_eq!(active.document.unwrap().schema_sha256, world.api.documents().schema_sha256());
    assert_eq!(world.api.recheck_documents().await.unwrap(), Rechecked::default());
}

#[tokio::test]
async fn a_document_that_still_fits_is_known_to_fit_and_nothing_is_held() {
    let world = world().await;
    let webhook = stored_otherwise(&world, CUSTOMER).await;
    let found = world.api.recheck_documents().await.unwrap();
    assert_eq!(found, Rechecked { checked: 1, invalidated: 0, restored: 0 });
    let (active, delivery) = now(&world, &webhook).await;
    assert_eq!((active.status, delivery.state), (WebhookStatus::Active, DeliveryState::Pending));
    assert_eq!(world.api.recheck_documents().await.unwrap(), Rechecked::default());
}
