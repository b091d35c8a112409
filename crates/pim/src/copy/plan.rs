//! What a copy task was asked to do and how far it got: the task's stored body.

use super::exclude::TenantCopyExcludeableTypes;
use hookgraph_domain::record::RecordKind;
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The stored body of a copy task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    pub desired_name: Option<String>,
    pub exclude: Vec<TenantCopyExcludeableTypes>,
    pub overwrite: bool,
    pub step: Step,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Step {
    /// The new tenant is made.
    Tenant,
    /// Records of one kind are copied.
    Records {
        /// The place among [`RecordKind::ALL`].
        kind: String,
        /// The last one copied.
        after: Option<After>,
    },
    /// Webhooks are copied.
    Webhooks {
        /// The last one copied.
        after: Option<Uuid>,
    },
    /// All is copied.
    Finish,
}

/// The record last copied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct After {
    pub at: Timestamp,
    pub key: String,
}

impl Plan {
    /// The step after the records of that kind, or the first one that copies records.
    pub fn step_after(&self, kind: Option<RecordKind>) -> Step {
        let mut later = RecordKind::ALL.into_iter().skip_while(|other| kind.is_some_and(|kind| *other != kind));
        if kind.is_some() {
            later.next();
        }
        match later.find(|kind| !self.exclude.iter().any(|excluded| excluded.covers(*kind))) {
            Some(kind) => Step::Records { kind: kind.as_str().to_owned(), after: None },
            None if self.exclude.contains(&TenantCopyExcludeableTypes::Webhooks) => Step::Finish,
            None => Step::Webhooks { after: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excluded_kinds_are_stepped_over() {
        let exclude = vec![
            TenantCopyExcludeableTypes::Customers,
            TenantCopyExcludeableTypes::Orders,
            TenantCopyExcludeableTypes::SubscriptionContracts,
            TenantCopyExcludeableTypes::Webhooks,
        ];
        let plan = Plan { desired_name: None, exclude, overwrite: false, step: Step::Tenant };
        let mut step = plan.step_after(None);
        let mut kinds = Vec::new();
        while let Step::Records { kind, .. } = &step {
            kinds.push(kind.clone());
            step = plan.step_after(RecordKind::from_name(kind));
        }
        assert_eq!(kinds, ["item", "topic", "grid", "pipeline", "flow", "priceList", "market"]);
        assert_eq!(step, Step::Finish);
    }
}
