//! What is stored of a flow. Which stage an item is in is stored with the item.

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
