//! Inputs of flows.

use async_graphql::{ID, InputObject};

/// A new flow.
#[derive(Clone, Debug, InputObject)]
pub struct CreateFlowInput {
    /// Its name.
    pub name: String,
    /// Its stages, in order.
    pub stages: Option<Vec<CreateFlowStageInput>>,
    /// The owner.
    pub tenant_id: ID,
}

/// A new stage of a flow.
#[derive(Clone, Debug, InputObject)]
pub struct CreateFlowStageInput {
    /// Its name.
    pub name: String,
}

/// What shall change of a flow: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateFlowInput {
    /// Its name.
    pub name: Option<String>,
}
