//! Starts a tenant copy: checks the request and writes the task down.

use super::events::{CopyEvent, copy_event};
use super::exclude::{TenantCopyExcludeableTypes, needed};
use super::plan::{Plan, Step};
use crate::context::PimContext;
use crate::draft::mutate;
use crate::limits::COPY_TASKS_RUNNING_MAX;
use crate::tenant::{StoredTenant, check_tenant_identifier};
use hookgraph_domain::change::{Expected, Write};
use hookgraph_domain::ids::{CopyTaskId, EventId};
use hookgraph_domain::permission::Permission;
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::tenant::{CopyState, CopyTask};
use serde_json::json;

/// A request for a tenant copy.
#[derive(Clone, Debug)]
pub(crate) struct CopyRequest {
    pub desired_identifier: String,
    pub desired_name: Option<String>,
    pub exclude: Vec<TenantCopyExcludeableTypes>,
    pub overwrite: bool,
}

/// Writes the task down and raises `tenants/copyStarted`; [`super::CopyRunner`] does the copying.
pub(crate) async fn start(pim: &PimContext, request: CopyRequest) -> Result<CopyTaskId, Refusal> {
    // The permissions are checked before `mutate`, which would hand out a kept answer without them.
    if let Some(missing) = pim.caller().permissions.missing(needed(&request.exclude)) {
        return Err(Refusal::forbidden(missing));
    }
    check_tenant_identifier("desiredIdentifier", &request.desired_identifier)?;
    mutate(pim, async |mut draft| {
        let source = pim.own_tenant().await?;
        check_target(pim, &source, &request).await?;
        let plan = Plan {
            desired_name: request.desired_name.clone(),
            exclude: request.exclude.clone(),
            overwrite: request.overwrite,
            step: Step::Tenant,
        };
        let task = CopyTask {
            id: CopyTaskId(pim.new_id()),
            source_tenant_id: source.row.id,
            target_identifier: request.desired_identifier.clone(),
            target_tenant_id: None,
            state: CopyState::Running,
            body: serde_json::to_string(&plan).map_err(|error| StoreError::Corrupt(error.to_string()))?,
            error: None,
            user_id: pim.caller().user_id.clone(),
            version: 1,
            created_at: draft.at(),
            updated_at: draft.at(),
        };
        let id = task.id;
        draft.raise_ready(copy_event(EventId(pim.new_id()), &task, CopyEvent::Started)?);
        let after = Some(json!({ "target": task.target_identifier }));
        draft.audit("tenant.createCopyTask", source.row.id, None, after);
        draft.write(
            pim.caller().permit(Permission::TenantsWrite)?,
            Write::PutCopyTask { task, expected: Expected::Absent },
        );
        Ok((draft, id))
    })
    .await
}

async fn check_target(pim: &PimContext, source: &StoredTenant, request: &CopyRequest) -> Result<(), Refusal> {
    let running = pim.store_of_tenants()?.running_copy_tasks(u32::MAX).await?;
    let own = running.iter().filter(|task| task.source_tenant_id == source.row.id).count();
    if own >= COPY_TASKS_RUNNING_MAX {
        let message = format!("{COPY_TASKS_RUNNING_MAX} copies of this tenant are running: wait for one to end");
        return Err(Refusal::new(RefusalCode::LimitExceeded, message));
    }
    let Some(taken) = pim.store_of_tenants()?.tenant_by_identifier(&request.desired_identifier).await? else {
        return Ok(());
    };
    if request.overwrite && StoredTenant::read(&taken)?.is_copy_of(source.row.id) {
        return Ok(());
    }
    let message = format!(
        "the identifier {:?} is taken; overwrite replaces an earlier copy of the same tenant only",
        request.desired_identifier
    );
    Err(Refusal::new(RefusalCode::Conflict, message))
}
