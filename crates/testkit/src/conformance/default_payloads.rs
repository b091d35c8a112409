//! Default payloads, which the claim itself freezes.

use super::World;
use super::world::{LEASE_MS, QUERY};
use crate::sample;
use hookgraph_domain::change::Write;
use hookgraph_domain::delivery::{ClaimedDelivery, DeliveryState};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{Fenced, Store};
use hookgraph_domain::time::{Timestamp, plus_ms};
use std::sync::Arc;

fn default_of(claimed: &ClaimedDelivery, frozen_at: Timestamp) -> FrozenPayload {
    FrozenPayload::default_of(&claimed.event, claimed.webhook.id, frozen_at)
}

/// The payload is as of the claim, is in the log from then on, and cannot be frozen again.
pub async fn a_claim_freezes_the_payload_of_a_webhook_without_a_query(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    world.event().await;
    let id = world.deliveries().await[0].id;
    assert!(world.store.payloads(&[id]).await.expect("read").is_empty(), "nothing is frozen before the claim");
    let claimed = world.claim_one().await;
    let expected = default_of(&claimed, sample::now());
    assert_eq!(claimed.payload, Some(expected.clone()));
    assert_eq!(world.store.payloads(&[id]).await.expect("read"), [(id, expected.clone())]);
    assert_eq!(world.freeze(&claimed, "{}").await, Fenced::LeaseLost);
    world.settle(&claimed, DeliveryState::Delivered).await;
    assert_eq!(world.store.payloads(&[id]).await.expect("read"), [(id, expected)]);
}

/// Neither a later claim nor a retry by hand renders the delivery anew.
pub async fn a_query_that_comes_later_changes_no_frozen_payload(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook().await;
    world.event().await;
    let first = world.claim_one().await;
    let expected = Some(default_of(&first, sample::now()));
    world.change_webhook(webhook.id, |webhook| webhook.graphql_query = Some(QUERY.to_owned()), Vec::new()).await;
    let second = world.claim_at(plus_ms(sample::now(), LEASE_MS), 10, 10).await.remove(0);
    assert_eq!(second.payload, expected);
    assert_eq!(second.webhook.graphql_query.as_deref(), Some(QUERY));
    world.settle(&second, DeliveryState::Failed).await;
    world.write(vec![Write::RetryDelivery(second.delivery.id)]).await;
    let third = world.claim_one().await;
    assert_eq!(third.payload, expected);
}

/// A payload that was rendered stays; a delivery without one gets the default payload at its next claim.
pub async fn a_query_that_is_removed_changes_no_frozen_payload(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let webhook = world.webhook_with_query().await;
    world.event().await;
    world.event().await;
    let claimed = world.claim().await;
    assert!(claimed.iter().all(|claimed| claimed.payload.is_none()));
    assert_eq!(world.freeze(&claimed[0], r#"{"n":1}"#).await, Fenced::Done);
    world.change_webhook(webhook.id, |webhook| webhook.graphql_query = None, Vec::new()).await;
    let later = plus_ms(sample::now(), LEASE_MS);
    for again in world.claim_at(later, 10, 10).await {
        let payload = again.payload.clone().expect("it is frozen");
        if again.delivery.id == claimed[0].delivery.id {
            assert_eq!((payload.json.as_ref(), payload.rendered_at), (r#"{"n":1}"#, sample::now()));
        } else {
            assert_eq!(payload, default_of(&again, later));
        }
    }
}
