//! What an event is about, from its type and its variables alone.

use super::EventType;
use crate::record::RecordKind;
use serde_json::{Map, Value};

/// The label of the record that an event with those variables is about, e.g. `order:0198…`: what the log shows and what
/// deliveries in order go by. The same that a mutation of that record here gives its events.
pub fn record_label(event_type: &EventType, variables: &Map<String, Value>) -> String {
    let (kind, key) = match event_type.concern {
        "topics" => (RecordKind::Topic.as_str(), "id"),
        "grids" => (RecordKind::Grid.as_str(), "id"),
        "orders" if event_type.variable("orderId").is_some() => (RecordKind::Order.as_str(), "orderId"),
        "orders" => (RecordKind::Order.as_str(), "id"),
        "customers" => (RecordKind::Customer.as_str(), "identifier"),
        "priceLists" => (RecordKind::PriceList.as_str(), "identifier"),
        "markets" => (RecordKind::Market.as_str(), "identifier"),
        "subscriptionContracts" => (RecordKind::SubscriptionContract.as_str(), "id"),
        "tenants" => ("tenant", "tenantId"),
        // Items, and flows: what comes into a stage is an item.
        _ => (RecordKind::Item.as_str(), "id"),
    };
    format!("{kind}:{}", variables.get(key).and_then(Value::as_str).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::record_label;
    use crate::catalogue::{all, find};

    #[test]
    fn every_event_type_names_the_record_that_it_is_about() {
        for (concern, event, expected) in [
            ("items", "publish", "item:"),
            ("topics", "update", "topic:"),
            ("grids", "update", "grid:"),
            ("flows", "itemAddedToStage", "item:"),
            ("orders", "create", "order:"),
            ("orders", "pipelineStageChanged", "order:"),
            ("orders", "pipelineRemoved", "order:"),
            ("customers", "delete", "customer:ada@example.com"),
            ("priceLists", "create", "priceList:summer-sale"),
            ("markets", "create", "market:norway"),
            ("subscriptionContracts", "renew", "subscriptionContract:"),
            ("tenants", "copyStarted", "tenant:"),
        ] {
            let event_type = find(concern, event).unwrap();
            let label = record_label(event_type, &event_type.example_payload());
            assert!(label.starts_with(expected), "{concern}/{event}: {label}");
        }
        for event_type in all() {
            let label = record_label(event_type, &event_type.example_payload());
            assert!(!label.ends_with(':'), "{}/{}: {label}", event_type.concern, event_type.event);
        }
    }
}
