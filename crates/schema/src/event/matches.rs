//! Which webhooks an event went to, and why not to the others of its type.

use crate::access::{DeliveriesRead, EventsRead, WebhooksRead};
use crate::context::Asked;
use crate::delivery::DeliveryObject;
use crate::webhook::WebhookObject;
use async_graphql::{Enum, SimpleObject};
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, SkipReason};
use hookgraph_domain::limits::WEBHOOKS_PER_EVENT_TYPE_MAX;
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::webhook::Webhook;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What an event meant for one webhook of its type.
#[derive(Clone, SimpleObject)]
pub(crate) struct EventMatch {
    /// The webhook.
    webhook: WebhookObject,
    /// The delivery that it got.
    delivery: Option<DeliveryObject>,
    /// Why it got none.
    reason: Option<NoDeliveryReason>,
}

/// Why a webhook of an event's type got no delivery of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "SkipReason")]
pub(crate) enum NoDeliveryReason {
    /// It was switched off when the event was recorded.
    Disabled,
    /// It was created after the event.
    CreatedLater,
    /// It was moved to this event type after the event.
    SubscribedLater,
}

/// Every webhook that is of the event's type now or was when it was recorded, by id.
pub(super) async fn matches_of(asked: &Asked, event: &Event) -> Result<Vec<EventMatch>, Refusal> {
    let deliveries = fanned_out(asked, event).await?;
    let skips: HashMap<_, _> = asked
        .may::<EventsRead>()?
        .skips(event.id)
        .await?
        .into_iter()
        .map(|skip| (skip.webhook_id, skip.reason))
        .collect();
    let mut webhooks = BTreeMap::new();
    if !event.is_test {
        for webhook in asked.may::<WebhooksRead>()?.webhooks_of_type(event.event_type.clone()).await? {
            webhooks.insert(webhook.id, webhook);
        }
    }
    for id in deliveries.keys().chain(skips.keys()) {
        if !webhooks.contains_key(id)
            && let Some(webhook) = asked.may::<WebhooksRead>()?.webhook(*id).await?
        {
            webhooks.insert(*id, webhook);
        }
    }
    let matched = webhooks.into_values().map(|webhook| {
        let delivery = deliveries.get(&webhook.id).cloned();
        let skipped = || skips.get(&webhook.id).copied().unwrap_or_else(|| later(&webhook, event));
        let reason = delivery.is_none().then(skipped).map(NoDeliveryReason::from);
        EventMatch { webhook: WebhookObject(webhook), delivery: delivery.map(DeliveryObject), reason }
    });
    Ok(matched.collect())
}

/// The deliveries of the fan out by webhook. A test of a recorded event is none of them.
async fn fanned_out(
    asked: &Asked,
    event: &Event,
) -> Result<HashMap<hookgraph_domain::ids::WebhookId, Arc<Delivery>>, Refusal> {
    let mut query = DeliveryQuery {
        tenant_id: asked.tenant_id(),
        webhook_id: None,
        event_id: Some(event.id),
        states: Vec::new(),
        created_from: None,
        created_before: None,
        before: None,
        limit: WEBHOOKS_PER_EVENT_TYPE_MAX,
    };
    let mut found = HashMap::new();
    loop {
        let page = asked.may::<DeliveriesRead>()?.delivery_page(&query).await?;
        query.before = page.last().map(|delivery| delivery.id.0);
        let is_last = page.len() < query.limit as usize;
        let of_fan_out = page.into_iter().filter(|delivery| !delivery.is_test || event.is_test);
        found.extend(of_fan_out.map(|delivery| (delivery.webhook_id, Arc::new(delivery))));
        if is_last {
            return Ok(found);
        }
    }
}

/// A webhook that the fan out did not see was created or moved to the type after it, whatever its clock said.
fn later(webhook: &Webhook, event: &Event) -> SkipReason {
    if webhook.created_at >= event.recorded_at || webhook.created_at == webhook.subscribed_at {
        SkipReason::CreatedLater
    } else {
        SkipReason::SubscribedLater
    }
}
