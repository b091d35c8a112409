//! Inputs of topics.

use async_graphql::{ID, InputObject};

/// A topic by its path.
#[derive(Clone, Debug, InputObject)]
pub struct GetTopicByPathArguments {
    /// Its path in the language that is asked for, e.g. `/colour/red`.
    pub path: String,
    /// The owner.
    pub tenant_id: ID,
}

/// A new topic, with what shall be below it.
#[derive(Clone, Debug, InputObject)]
pub struct CreateTopicInput {
    /// What shall be directly below it.
    pub children: Option<Vec<CreateChildTopicInput>>,
    /// Its name.
    pub name: String,
    /// What it shall be directly below; the root of a new topic map where none is given.
    pub parent_id: Option<ID>,
    /// Its part of the path; made from its name where none is given.
    pub path_identifier: Option<String>,
    /// The owner.
    pub tenant_id: ID,
}

/// A new topic of many, with what shall be below it.
#[derive(Clone, Debug, InputObject)]
pub struct BulkCreateTopicInput {
    /// What shall be directly below it.
    pub children: Option<Vec<CreateChildTopicInput>>,
    /// Its name.
    pub name: String,
    /// What it shall be directly below; the root of a new topic map where none is given.
    pub parent_id: Option<ID>,
    /// Its part of the path; made from its name where none is given.
    pub path_identifier: Option<String>,
}

/// A new topic below another new one.
#[derive(Clone, Debug, InputObject)]
pub struct CreateChildTopicInput {
    /// What shall be directly below it.
    pub children: Option<Vec<CreateChildTopicInput>>,
    /// Its name.
    pub name: String,
    /// Its part of the path; made from its name where none is given.
    pub path_identifier: Option<String>,
}

/// What shall change of a topic: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateTopicInput {
    /// Its name.
    pub name: Option<String>,
    /// What it shall be directly below.
    pub parent_id: Option<ID>,
    /// Its part of the path; made anew from the name where only that is given.
    pub path_identifier: Option<String>,
}

impl From<CreateTopicInput> for BulkCreateTopicInput {
    fn from(input: CreateTopicInput) -> Self {
        Self {
            children: input.children,
            name: input.name,
            parent_id: input.parent_id,
            path_identifier: input.path_identifier,
        }
    }
}
