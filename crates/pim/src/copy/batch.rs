//! One batch of a tenant copy: reads the next rows of the source and decides the writes to the target.

use super::kinds::{has_id, rebuilt};
use super::plan::{After, Plan, Step};
use super::remap::{gather_ids, new_id, remapped, remapped_body};
use crate::context::PimServices;
use crate::limits::{COPY_BATCH_ROWS, READ_BATCH_ROWS};
use crate::tenant::{StoredTenant, copied_tenant};
use hookgraph_domain::change::{Expected, Write};
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::page::{Direction, RecordPosition, RecordQuery, RecordSort, WebhookQuery};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::record::{Record, RecordKind, RecordRef};
use hookgraph_domain::tenant::{CopyState, CopyTask};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use serde_json::Value;
use std::collections::HashSet;

/// The next batch: its writes, and the task as it stands after them.
pub(super) struct Batch {
    pub writes: Vec<Write>,
    pub task: CopyTask,
    pub state: CopyState,
}

/// Why a batch was not written.
#[derive(Debug)]
pub(super) enum StepError {
    /// Another runner wrote the batch.
    Raced,
    /// The store failed for the moment: the next round tries again.
    Store(StoreError),
    /// No later try can succeed: the copy has failed, for this reason.
    Hopeless(String),
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() {
            return Self::Store(error);
        }
        tracing::error!(%error, "a tenant copy met a row that cannot be read");
        Self::Hopeless("a stored row cannot be read: the server's log says which".to_owned())
    }
}

/// Reads and decides the next batch of a task.
pub(super) async fn next(services: &PimServices, task: &CopyTask) -> Result<Batch, StepError> {
    let plan: Plan = serde_json::from_str(&task.body)
        .map_err(|error| StoreError::Corrupt(format!("copy task {}: {error}", task.id)))?;
    let mut copy = Copy { services, task, plan, target: TenantId(new_id(task.id, task.source_tenant_id.0)) };
    if copy.plan.step != Step::Tenant && services.store.tenant(copy.target).await?.is_none() {
        return Err(StepError::Hopeless("the target was deleted while it was copied to".to_owned()));
    }
    let writes = match copy.plan.step.clone() {
        Step::Tenant => copy.tenant().await?,
        Step::Records { kind, after } => {
            let kind = RecordKind::from_name(&kind)
                .ok_or_else(|| StoreError::Corrupt(format!("copy task {}: no kind {kind:?}", task.id)))?;
            copy.records(kind, after).await?
        }
        Step::Webhooks { after } => copy.webhooks(after.map(WebhookId)).await?,
        Step::Finish => Vec::new(),
    };
    let state = if copy.plan.step == Step::Finish { CopyState::Finished } else { CopyState::Running };
    let body = serde_json::to_string(&copy.plan).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let task = CopyTask { body, target_tenant_id: Some(copy.target), ..task.clone() };
    Ok(Batch { writes, task, state })
}

struct Copy<'a> {
    services: &'a PimServices,
    task: &'a CopyTask,
    plan: Plan,
    target: TenantId,
}

impl Copy<'_> {
    async fn tenant(&mut self) -> Result<Vec<Write>, StepError> {
        let store = &self.services.store;
        let Some(source) = store.tenant(self.task.source_tenant_id).await? else {
            return Err(StepError::Hopeless("the tenant was deleted before it was copied".to_owned()));
        };
        let source = StoredTenant::read(&source)?;
        let mut writes = Vec::new();
        if let Some(taken) = store.tenant_by_identifier(&self.task.target_identifier).await? {
            if !(self.plan.overwrite && StoredTenant::read(&taken)?.is_copy_of(source.row.id)) {
                let message = format!("the identifier {:?} is taken", self.task.target_identifier);
                return Err(StepError::Hopeless(message));
            }
            writes.push(Write::DeleteTenant(taken.id));
        }
        let row = copied_tenant(
            &source,
            self.target,
            (&self.task.target_identifier, self.plan.desired_name.as_deref()),
            self.services.clock.now(),
            self.services.entropy.as_ref(),
        )?;
        writes.push(Write::InsertTenant(row));
        self.plan.step = self.plan.step_after(None);
        Ok(writes)
    }

    async fn records(&mut self, kind: RecordKind, after: Option<After>) -> Result<Vec<Write>, StepError> {
        let query = RecordQuery {
            tenant_id: self.task.source_tenant_id,
            kind,
            linked: Vec::new(),
            sort: RecordSort::Key,
            direction: Direction::Ascending,
            after: after.map(|after| RecordPosition { at: after.at, key: after.key }),
            limit: COPY_BATCH_ROWS,
        };
        let records = self.services.store.record_page(&query).await?;
        self.plan.step = match records.last() {
            Some(last) if records.len() == COPY_BATCH_ROWS as usize => {
                let after = After { at: last.created_at, key: last.reference.key.clone() };
                Step::Records { kind: kind.as_str().to_owned(), after: Some(after) }
            }
            _ => self.plan.step_after(Some(kind)),
        };
        let bodies = records.iter().map(read_body).collect::<Result<Vec<_>, _>>()?;
        let known = self.known_ids(&records, &bodies).await?;
        records.into_iter().zip(bodies).map(|(record, body)| self.copied(record, body, &known)).collect()
    }

    /// The ids of the source's records among the texts of the batch that look like ids, and the source's own id.
    async fn known_ids(&self, records: &[Record], bodies: &[Value]) -> Result<HashSet<String>, StepError> {
        let source = self.task.source_tenant_id;
        let mut asked = HashSet::new();
        bodies.iter().for_each(|body| gather_ids(body, &mut asked));
        let own = records.iter().filter(|record| has_id(record.reference.kind));
        let mut known: HashSet<String> = own.map(|record| record.reference.key.clone()).collect();
        known.insert(source.to_string());
        let asked: Vec<_> = asked.into_iter().filter(|text| !known.contains(text)).collect();
        for kind in RecordKind::ALL.into_iter().filter(|kind| has_id(*kind)) {
            for keys in asked.chunks(READ_BATCH_ROWS as usize) {
                let found = self.services.store.records(source, kind, keys).await?;
                known.extend(found.into_iter().map(|record| record.reference.key));
            }
        }
        Ok(known)
    }

    fn copied(&self, record: Record, body: Value, known: &HashSet<String>) -> Result<Write, StepError> {
        let kind = record.reference.kind;
        let key = if has_id(kind) {
            remapped(self.task.id, known, &record.reference.key)
        } else {
            record.reference.key.clone()
        };
        let rebuilt =
            rebuilt(kind, remapped_body(self.task.id, known, body)).map_err(|error| corrupt(&record, &error))?;
        let copy = Record {
            tenant_id: self.target,
            reference: RecordRef::new(kind, key),
            version: 1,
            body: rebuilt.body,
            ..record
        };
        let (links, names) = (rebuilt.links, rebuilt.names);
        Ok(Write::PutRecord { record: copy, expected: Expected::Absent, links, names })
    }

    async fn webhooks(&mut self, after: Option<WebhookId>) -> Result<Vec<Write>, StepError> {
        let query = WebhookQuery {
            tenant_id: self.task.source_tenant_id,
            concern: None,
            event: None,
            after: after.map(|id| id.0),
            limit: COPY_BATCH_ROWS,
        };
        let webhooks = self.services.store.webhook_page(&query).await?;
        self.plan.step = match webhooks.last() {
            Some(last) if webhooks.len() == COPY_BATCH_ROWS as usize => Step::Webhooks { after: Some(last.id.0) },
            _ => Step::Finish,
        };
        let now = self.services.clock.now();
        Ok(webhooks.into_iter().map(|webhook| self.copied_webhook(webhook, now)).collect())
    }

    fn copied_webhook(&self, webhook: Webhook, now: Timestamp) -> Write {
        let webhook = Webhook {
            id: WebhookId(new_id(self.task.id, webhook.id.0)),
            tenant_id: self.target,
            own_keys: None,
            status: WebhookStatus::Disabled,
            status_reason: Some("copied with its tenant, switched off".to_owned()),
            status_since: now,
            subscribed_at: now,
            failing_since: None,
            breaker: Default::default(),
            draining: None,
            version: 1,
            created_at: now,
            updated_at: now,
            ..webhook
        };
        Write::PutWebhook { webhook, expected: Expected::Absent }
    }
}

fn read_body(record: &Record) -> Result<Value, StepError> {
    serde_json::from_str(&record.body).map_err(|error| corrupt(record, &error))
}

fn corrupt(record: &Record, error: &serde_json::Error) -> StepError {
    let RecordRef { kind, key } = &record.reference;
    StoreError::Corrupt(format!("{} {key}: {error}", kind.as_str())).into()
}
