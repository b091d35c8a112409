//! The event catalogue: nine categories, their concerns and events, and the variables each declares.

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

/// Every event type, by category.
pub fn all() -> &'static [EventType] {
    todo!()
}

/// The event type of that pair.
pub fn find(concern: &str, event: &str) -> Option<&'static EventType> {
    all().iter().find(|event_type| event_type.concern == concern && event_type.event == event)
}

/// For an unknown pair, the nearest known ones, best first, as `concern/event`; at most three.
pub fn nearest(concern: &str, event: &str) -> Vec<String> {
    let _ = (concern, event);
    todo!()
}
