//! The plan of a copy task, stored as the task's body: the request, and the progress of the copy.

use super::exclude::{TenantCopyExcludeableTypes, copies, copies_webhooks};
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

/// The step of a copy that comes next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Step {
    /// Creates the new tenant.
    Tenant,
    /// Copies a batch of the records of one kind.
    Records {
        /// The kind's name: the kinds are copied in the order of [`RecordKind::ALL`].
        kind: String,
        /// The last record that was copied; none before the first batch.
        after: Option<After>,
    },
    /// Copies a batch of the webhooks.
    Webhooks {
        /// The last webhook that was copied; none before the first batch.
        after: Option<Uuid>,
    },
    /// Nothing is left to copy.
    Finish,
}

/// The position of the record that was copied last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct After {
    pub at: Timestamp,
    pub key: String,
}

impl Plan {
    /// The step after the records of `kind`; without a kind, the first step that copies records.
    pub fn step_after(&self, kind: Option<RecordKind>) -> Step {
        let mut later = RecordKind::ALL.into_iter().skip_while(|other| kind.is_some_and(|kind| *other != kind));
        if kind.is_some() {
            later.next();
        }
        match later.find(|kind| copies(&self.exclude, *kind)) {
            Some(kind) => Step::Records { kind: kind.as_str().to_owned(), after: None },
            None if copies_webhooks(&self.exclude) => Step::Webhooks { after: None },
            None => Step::Finish,
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
