//! The event catalogue: nine categories, their concerns and events, and the variables each declares.

mod data;
mod nearest;
mod subject;
mod variables;

pub use nearest::{nearest, nearest_concerns};
pub use subject::record_label;
pub use variables::{Fit, fit};

use crate::problem::Problem;
use serde_json::{Map, Value};

/// The GraphQL type of a declared variable, without its nullability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VariableType {
    /// `ID`.
    Id,
    /// `String`.
    String,
    /// `ItemType`: `product`, `document` or `folder`.
    ItemType,
}

impl VariableType {
    /// The type's name in GraphQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            VariableType::Id => "ID",
            VariableType::String => "String",
            VariableType::ItemType => "ItemType",
        }
    }
}

/// A variable that an event type declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name, without the dollar sign.
    pub name: &'static str,
    /// Its type.
    pub variable_type: VariableType,
    /// Whether it always has a value: `!`.
    pub is_required: bool,
    /// What it holds.
    pub description: &'static str,
    /// A value it might have; none where this event leaves it null.
    pub example: Option<&'static str>,
}

impl Variable {
    /// The type as a document writes it, e.g. `ID!`.
    pub fn graphql_type(&self) -> String {
        let bang = if self.is_required { "!" } else { "" };
        format!("{}{bang}", self.variable_type.as_str())
    }
}

/// A type of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventType {
    /// 1 to 9.
    pub category: u8,
    /// E.g. `orders`.
    pub concern: &'static str,
    /// E.g. `create`.
    pub event: &'static str,
    /// When it is raised.
    pub description: &'static str,
    /// In the order of the default payload.
    pub variables: &'static [Variable],
}

impl EventType {
    /// The variable of that name, without the dollar sign.
    pub fn variable(&self, name: &str) -> Option<&'static Variable> {
        self.variables.iter().find(|variable| variable.name == name)
    }

    /// What a default payload of this type looks like: every variable, in order, with example values.
    pub fn example_payload(&self) -> Map<String, Value> {
        let entry = |variable: &Variable| (variable.name.to_owned(), variable.example.map_or(Value::Null, Value::from));
        self.variables.iter().map(entry).collect()
    }
}

/// Every event type, by category.
pub fn all() -> &'static [EventType] {
    data::EVENT_TYPES
}

/// The event type of that pair.
pub fn find(concern: &str, event: &str) -> Option<&'static EventType> {
    all().iter().find(|event_type| event_type.concern == concern && event_type.event == event)
}

/// The event type of that pair, as an input names it.
///
/// # Errors
/// `EVENT_TYPE_UNKNOWN` with the nearest pairs; `path` is where the pair stands in the input.
pub fn known(concern: &str, event: &str, path: &str) -> Result<&'static EventType, Problem> {
    find(concern, event).ok_or_else(|| {
        let concern_is_known = all().iter().any(|known| known.concern == concern);
        let field = if concern_is_known { "event" } else { "concern" };
        let nearest = nearest(concern, event).join(", ");
        let message = format!("there is no event type {concern:?} / {event:?}: did you mean {nearest}?");
        Problem::new(format!("{path}.{field}"), "EVENT_TYPE_UNKNOWN", message)
    })
}

/// What a category is about; the empty text for a number that is none.
pub const fn category_name(category: u8) -> &'static str {
    match category {
        1 => "Catalogue item created or modified",
        2 => "Item added to or removed from a flow stage",
        3 => "Order created or modified",
        4 => "Order fulfilment pipeline status changed",
        5 => "Customer created or modified",
        6 => "Price list created or modified",
        7 => "Market created or modified",
        8 => "Subscription contract created or modified",
        9 => "Tenant copy started, finished or failed",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn signature(concern: &str, event: &str) -> String {
        let event_type = find(concern, event).unwrap();
        let parts: Vec<_> = event_type.variables.iter().map(|v| format!("{}: {}", v.name, v.graphql_type())).collect();
        parts.join(", ")
    }

    #[test]
    fn every_event_type_declares_its_variables_in_order() {
        for (pairs, expected) in [
            (
                "items/create items/update items/delete items/publish items/unpublish",
                "id: ID!, userId: ID, tenantId: ID!, type: ItemType!, language: String!, webhookId: ID!",
            ),
            (
                "topics/create topics/update topics/delete grids/create grids/update grids/delete grids/publish \
                 grids/unpublish",
                "id: ID!, userId: ID, tenantId: ID!, language: String!, webhookId: ID!",
            ),
            (
                "flows/itemAddedToStage flows/itemRemovedFromStage",
                "id: ID!, type: ItemType!, language: String!, flowId: ID!, stageId: ID!, userId: ID, tenantId: ID!, \
                 webhookId: ID!",
            ),
            ("orders/create orders/update orders/delete", "id: ID!, userId: ID, tenantId: ID!, webhookId: ID!"),
            (
                "orders/pipelineStageChanged",
                "orderId: ID!, pipelineId: ID!, stageId: ID!, tenantId: ID!, webhookId: ID!, previousStageId: ID, \
                 userId: ID",
            ),
            (
                "orders/pipelineRemoved",
                "orderId: ID!, pipelineId: ID!, stageId: ID!, tenantId: ID!, webhookId: ID!, userId: ID",
            ),
            (
                "customers/create customers/update customers/delete priceLists/create priceLists/update \
                 priceLists/delete markets/create markets/update markets/delete",
                "identifier: String!, userId: ID, tenantId: ID!, webhookId: ID!",
            ),
            (
                "subscriptionContracts/create subscriptionContracts/update subscriptionContracts/delete \
                 subscriptionContracts/cancel subscriptionContracts/renew",
                "id: ID!, customerIdentifier: String!, userId: ID, tenantId: ID!, webhookId: ID!",
            ),
            (
                "tenants/copyStarted tenants/copyFinished tenants/copyFailed",
                "tenantId: ID!, taskId: ID!, targetIdentifier: String!, targetTenantId: ID, error: String, \
                 userId: ID, webhookId: ID!",
            ),
        ] {
            for pair in pairs.split_whitespace() {
                let (concern, event) = pair.split_once('/').unwrap();
                assert_eq!(signature(concern, event), expected, "{pair}");
            }
        }
        assert_eq!(all().len(), 37);
    }

    #[test]
    fn the_nine_categories_are_there_once_each_and_in_order() {
        let categories: Vec<u8> = all().iter().map(|event_type| event_type.category).collect();
        assert!(categories.is_sorted());
        assert_eq!(categories.into_iter().collect::<BTreeSet<_>>(), (1..=9).collect());
        let pairs: BTreeSet<_> = all().iter().map(|event_type| (event_type.concern, event_type.event)).collect();
        assert_eq!(pairs.len(), all().len());
        assert!((1..=9).all(|category| !category_name(category).is_empty()));
        assert_eq!(category_name(10), "");
    }

    #[test]
    fn an_example_payload_has_a_value_for_every_required_variable() {
        for event_type in all() {
            let payload = event_type.example_payload();
            for variable in event_type.variables {
                assert!(!variable.is_required || payload[variable.name].is_string(), "{}", variable.name);
            }
        }
    }
}
