//! The matches of an event: the webhooks that it went to, and for each other webhook of its type the reason why not.

use crate::access::{DeliveriesRead, EventsRead, WebhooksRead};
use crate::context::ApiContext;
use crate::delivery::DeliveryObject;
use crate::webhook::WebhookObject;
use async_graphql::{Enum, SimpleObject};
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, SkipReason};
use hookgraph_domain::ids::{DeliveryId, WebhookId};
use hookgraph_domain::limits::WEBHOOKS_PER_EVENT_TYPE_MAX;
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::retention::lowest_id;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// What an event meant for one webhook of its type.
#[derive(Clone, SimpleObject)]
pub(crate) struct EventMatch {
    /// The webhook.
    webhook: WebhookObject,
    /// The delivery that it got.
    delivery: Option<DeliveryObject>,
    /// Why there is none.
    reason: Option<NoDeliveryReason>,
}

/// Why a webhook of an event's type has no delivery of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum NoDeliveryReason {
    /// It was switched off when the event was recorded.
    Disabled,
    /// It was created after the event.
    CreatedLater,
    /// It was moved to this event type after the event.
    SubscribedLater,
    /// What it got has gone with the history.
    Removed,
}

impl From<SkipReason> for NoDeliveryReason {
    fn from(reason: SkipReason) -> Self {
        match reason {
            SkipReason::Disabled => Self::Disabled,
            SkipReason::CreatedLater => Self::CreatedLater,
            SkipReason::SubscribedLater => Self::SubscribedLater,
        }
    }
}

/// The match of every webhook that is of the event's type now or was when the event was recorded, by webhook id.
pub(super) async fn matches_of(api: &ApiContext, event: &Event) -> Result<Vec<EventMatch>, Refusal> {
    let deliveries = fanned_out(api, event).await?;
    let skips: HashMap<_, _> = api
        .may::<EventsRead>()?
        .skips(event.id)
        .await?
        .into_iter()
        .map(|skip| (skip.webhook_id, NoDeliveryReason::from(skip.reason)))
        .collect();
    let mut webhooks = BTreeMap::new();
    if !event.is_test {
        for webhook in api.may::<WebhooksRead>()?.webhooks_of_type(event.event_type.clone()).await? {
            webhooks.insert(webhook.id, webhook);
        }
    }
    for id in deliveries.keys().chain(skips.keys()) {
        if !webhooks.contains_key(id)
            && let Some(webhook) = api.may::<WebhooksRead>()?.webhook(*id).await?
        {
            webhooks.insert(*id, webhook);
        }
    }
    let has_nothing = |id: &WebhookId| !deliveries.contains_key(id) && !skips.contains_key(id);
    let history_from =
        if webhooks.keys().any(has_nothing) { api.may::<DeliveriesRead>()?.history_from().await? } else { None };
    let matched = webhooks.into_values().map(|webhook| {
        let delivery = deliveries.get(&webhook.id).cloned();
        let skipped = || skips.get(&webhook.id).copied().unwrap_or_else(|| unseen(&webhook, event, history_from));
        let reason = delivery.is_none().then(skipped);
        EventMatch { webhook: WebhookObject(webhook), delivery: delivery.map(DeliveryObject), reason }
    });
    Ok(matched.collect())
}

/// The deliveries of an event's fan out, by webhook. Deliveries that a test or a replay made later are not among them;
/// of an event that was made for a test, the test itself is.
async fn fanned_out(api: &ApiContext, event: &Event) -> Result<HashMap<WebhookId, Arc<Delivery>>, Refusal> {
    let (_, highest) = DeliveryId::range_of_fan_out(event.id);
    // Deliveries that were made later have higher ids: there may be any number of them.
    let before = (!event.is_test).then(|| Uuid::from_u128(highest.0.as_u128().saturating_add(1)));
    let all = DeliveryQuery::of(api.tenant_id(), WEBHOOKS_PER_EVENT_TYPE_MAX);
    let query = DeliveryQuery { event_id: Some(event.id), before, ..all };
    let page = api.may::<DeliveriesRead>()?.delivery_page(&query).await?;
    let is_of_it =
        |delivery: &Delivery| event.is_test || delivery.id == DeliveryId::of_fan_out(event.id, delivery.webhook_id);
    let of_fan_out = page.into_iter().filter(is_of_it);
    Ok(of_fan_out.map(|delivery| (delivery.webhook_id, Arc::new(delivery))).collect())
}

/// Why a webhook has neither a delivery nor a skip of an event. History is whole since `history_from`: there, the fan
/// out did not see the webhook, because it was created or moved to the type after the event, whatever its clock said.
/// Before, its delivery may have been removed while another one keeps the event.
fn unseen(webhook: &Webhook, event: &Event, history_from: Option<Timestamp>) -> NoDeliveryReason {
    let is_cut = history_from.is_some_and(|from| event.id.0 < lowest_id(from));
    if is_cut && webhook.subscribed_at <= event.recorded_at {
        NoDeliveryReason::Removed
    } else if webhook.created_at >= event.recorded_at || webhook.created_at == webhook.subscribed_at {
        NoDeliveryReason::CreatedLater
    } else {
        NoDeliveryReason::SubscribedLater
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::event::EventTypeKey;
    use hookgraph_domain::ids::EventId;
    use hookgraph_domain::time::{minus_ms, plus_ms};
    use hookgraph_testkit::sample;

    #[test]
    fn a_webhook_of_which_nothing_is_left_came_later_or_had_what_was_removed() {
        use NoDeliveryReason::{CreatedLater, Removed, SubscribedLater};
        let now = sample::now();
        let (earlier, later) = (minus_ms(now, 1), plus_ms(now, 1));
        let event = Event {
            id: EventId(lowest_id(now)),
            tenant_id: Uuid::nil().into(),
            event_type: EventTypeKey::new("orders", "create"),
            variables: Default::default(),
            changed_fields: Vec::new(),
            record_label: String::new(),
            is_test: false,
            recorded_at: now,
        };
        for (created_at, subscribed_at, whole, cut) in [
            (earlier, earlier, CreatedLater, Removed),
            (earlier, now, SubscribedLater, Removed),
            (earlier, later, SubscribedLater, SubscribedLater),
            (later, later, CreatedLater, CreatedLater),
            (later, plus_ms(later, 1), CreatedLater, CreatedLater),
        ] {
            let webhook = Webhook {
                created_at,
                subscribed_at,
                ..sample::webhook(WebhookId(Uuid::from_u128(1)), event.tenant_id)
            };
            for (history_from, expected) in [(None, whole), (Some(now), whole), (Some(later), cut)] {
                let reason = unseen(&webhook, &event, history_from);
                assert_eq!(reason, expected, "{created_at} {subscribed_at} {history_from:?}");
            }
        }
    }
}
