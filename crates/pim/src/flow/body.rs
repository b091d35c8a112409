//! The stored body of a flow. The stage of an item is stored with the item.

use crate::stored::RecordBody;
use hookgraph_domain::record::{Link, RecordKind};
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A flow as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlowBody {
    pub name: String,
    pub stages: Vec<StageBody>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StageBody {
    pub id: String,
    pub name: String,
    pub created_at: Timestamp,
}

impl FlowBody {
    pub fn has_stage(&self, id: &str) -> bool {
        self.stages.iter().any(|stage| stage.id == id)
    }
}

impl RecordBody for FlowBody {
    const KIND: RecordKind = RecordKind::Flow;

    fn links(&self) -> Vec<Link> {
        Vec::new()
    }
}
