//! The three events of a tenant copy. They belong to the source tenant.

use crate::draft::event;
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ids::EventId;
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::tenant::CopyTask;
use serde_json::json;

/// Which of the three events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyEvent {
    Started,
    Finished,
    Failed,
}

/// The event of a task, with the task's values at this moment.
pub(super) fn copy_event(id: EventId, task: &CopyTask, what: CopyEvent) -> Result<NewEvent, Refusal> {
    let name = match what {
        CopyEvent::Started => "copyStarted",
        CopyEvent::Finished => "copyFinished",
        CopyEvent::Failed => "copyFailed",
    };
    let variables = [
        ("taskId", json!(task.id.to_string())),
        ("targetIdentifier", json!(task.target_identifier)),
        ("targetTenantId", json!(task.target_tenant_id.map(|id| id.to_string()))),
        ("error", json!(task.error)),
    ];
    let mut event = event(id, task.source_tenant_id, task.user_id.as_deref(), ("tenants", name), &variables)?;
    event.record_label = format!("tenant:{}", task.source_tenant_id);
    Ok(event)
}
