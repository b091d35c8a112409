//! The stored body of a pipeline, and its links.

use crate::stored::{RecordBody, link};
use hookgraph_domain::record::{Link, RecordKind};
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The stored body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineBody {
    pub name: String,
    pub stages: Vec<StageBody>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageBody {
    pub created_at: Timestamp,
    pub id: String,
    pub name: String,
    pub place_new_orders: bool,
}

/// The relation that finds the pipelines which take new orders; its target is [`YES`].
pub(crate) const PLACES_NEW_ORDERS: &str = "placesNewOrders";
/// The target of [`PLACES_NEW_ORDERS`].
pub(crate) const YES: &str = "yes";

impl PipelineBody {
    /// The stage of that id.
    pub fn stage(&self, id: &str) -> Option<&StageBody> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    /// The stage that new orders are placed in: the first that says so.
    pub fn entry_stage(&self) -> Option<&StageBody> {
        self.stages.iter().find(|stage| stage.place_new_orders)
    }
}

impl RecordBody for PipelineBody {
    const KIND: RecordKind = RecordKind::Pipeline;

    fn links(&self) -> Vec<Link> {
        self.entry_stage().map(|_| link(PLACES_NEW_ORDERS, YES)).into_iter().collect()
    }
}
