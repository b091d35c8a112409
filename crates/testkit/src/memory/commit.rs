//! Commit: the writes, events and fan out of a change, made on a copy of the state.

use super::MemoryStore;
use super::deliveries::fresh;
use super::state::{KeptRecord, State};
use async_trait::async_trait;
use hookgraph_domain::change::{Change, Claimed, CommitError, Committed, Expected, Write, copy_task_label};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::event::{Event, EventSkip, NewEvent};
use hookgraph_domain::fan_out::{self, Match};
use hookgraph_domain::feed::FeedChange;
use hookgraph_domain::ids::{DeliveryId, TenantId};
use hookgraph_domain::limits::{CHANGE_ROWS_MAX, WEBHOOKS_PER_EVENT_TYPE_MAX};
use hookgraph_domain::ports::UnitOfWork;
use hookgraph_domain::replay::{ReplayState, WAITS_FOR_WEBHOOK};
use hookgraph_domain::tenant::CopyState;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};

#[async_trait]
impl UnitOfWork for MemoryStore {
    async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        if change.writes.len() + change.events.len() > CHANGE_ROWS_MAX {
            return Err(CommitError::Refused("the change touches too many rows".to_owned()));
        }
        let mut kept = self.state.lock();
        let mut state = kept.clone();
        for write in change.writes {
            state.apply(write, change.at)?;
        }
        let event_ids = change.events.iter().map(|event| event.id).collect();
        let mut delivery_count = 0;
        for event in change.events {
            delivery_count += record(&mut state, event, change.at);
        }
        *kept = state;
        Ok(Committed { event_ids, delivery_count, claimed: Claimed::NotAll })
    }
}

/// Records an event with its fan out, and answers how many deliveries that made.
fn record(state: &mut State, event: NewEvent, at: Timestamp) -> usize {
    let (id, tenant_id, event_type) = (event.id, event.tenant_id, event.event_type.clone());
    state.feed(tenant_id, at, FeedChange::EventRecorded { event_id: id, event_type: event_type.clone() });
    state.insert_event(event, false, at);
    let subscribers: Vec<Webhook> = state
        .webhooks
        .values()
        .filter(|webhook| webhook.tenant_id == tenant_id && webhook.event_type == event_type)
        .filter(|webhook| webhook.deleted_at.is_none())
        .cloned()
        .collect();
    let mut delivery_count = 0;
    for webhook in subscribers {
        match fan_out::decide(webhook.status) {
            Match::Delivery { state: first, reason } => {
                let delivery_id = DeliveryId::of_fan_out(id, webhook.id);
                let mut delivery = fresh(delivery_id, tenant_id, webhook.id, id, at);
                delivery.state = first;
                delivery.state_reason = reason;
                delivery.due_at = delivery.due_at.filter(|_| first == DeliveryState::Pending);
                state.put_delivery(delivery, None, at);
                delivery_count += 1;
            }
            Match::Skip(reason) => state.skips.push(EventSkip { event_id: id, webhook_id: webhook.id, reason }),
        }
    }
    delivery_count
}

/// Decides whether an optimistic write goes through, by the version that is stored.
pub(super) fn check(
    current: Option<i64>,
    expected: Expected,
    label: impl FnOnce() -> String,
) -> Result<(), CommitError> {
    match (expected, current) {
        (Expected::Absent, None) => Ok(()),
        (Expected::Absent, Some(_)) => Err(CommitError::AlreadyExists(label())),
        (Expected::Version(read), Some(current)) if read == current => Ok(()),
        (Expected::Version(_), _) => Err(CommitError::Conflict(label())),
    }
}

impl State {
    pub(super) fn insert_event(&mut self, event: NewEvent, is_test: bool, at: Timestamp) {
        if let Some(record) = event.tombstone {
            self.tombstones.insert(event.id, record);
        }
        let recorded = Event {
            id: event.id,
            tenant_id: event.tenant_id,
            event_type: event.event_type,
            variables: event.variables,
            changed_fields: event.changed_fields,
            record_label: event.record_label,
            is_test,
            recorded_at: at,
        };
        self.events.insert(event.id, recorded);
    }

    fn apply(&mut self, write: Write, at: Timestamp) -> Result<(), CommitError> {
        match write {
            Write::PutRecord { record, expected, links, names } => {
                self.put_record(KeptRecord { record, links, names }, expected)?;
            }
            Write::DeleteRecord { tenant_id, reference, expected_version } => {
                let key = (tenant_id, reference);
                let current = self.records.get(&key).map(|kept| kept.record.version);
                check(current, Expected::Version(expected_version), || format!("{:?}", key.1))?;
                self.records.remove(&key);
            }
            Write::RequireRecord { tenant_id, reference } => {
                if !self.records.contains_key(&(tenant_id, reference.clone())) {
                    return Err(CommitError::Missing(reference));
                }
            }
            Write::InsertTenant(tenant) => {
                self.check_identifier(&tenant.identifier, None)?;
                self.tenants.insert(tenant.id, tenant);
            }
            Write::UpdateTenant(tenant) => {
                let current = self.tenants.get(&tenant.id).map(|tenant| tenant.version);
                check(current, Expected::Version(tenant.version - 1), || format!("tenant {}", tenant.id))?;
                self.check_identifier(&tenant.identifier, Some(tenant.id))?;
                self.tenants.insert(tenant.id, tenant);
            }
            Write::DeleteTenant(id) => self.delete_tenant(id)?,
            Write::KeepAnswer(answer) => self.keep_answer(answer, at)?,
            Write::InsertToken(token) => {
                self.tokens.insert(token.id, token);
            }
            Write::RevokeToken(id) => {
                if let Some(token) = self.tokens.get_mut(&id) {
                    token.revoked_at.get_or_insert(at);
                }
            }
            Write::MarkTokenUsed(id) => {
                if let Some(token) = self.tokens.get_mut(&id) {
                    token.last_used_at = Some(at);
                }
            }
            Write::Audit(entry) => self.audit.push(entry),
            Write::PutCopyTask { task, expected } => {
                let source = task.source_tenant_id;
                if expected == Expected::Absent && !self.tenants.contains_key(&source) {
                    return Err(CommitError::Refused(format!("there is no tenant {source}")));
                }
                let current = self.copy_tasks.get(&task.id).map(|task| task.version);
                check(current, expected, || copy_task_label(task.id))?;
                self.copy_tasks.insert(task.id, task);
            }
            Write::PutWebhook { webhook, expected } => self.put_webhook(webhook, expected, at)?,
            other => self.apply_to_deliveries(other, at)?,
        }
        Ok(())
    }

    fn put_record(&mut self, kept: KeptRecord, expected: Expected) -> Result<(), CommitError> {
        let key = (kept.record.tenant_id, kept.record.reference.clone());
        let current = self.records.get(&key).map(|kept| kept.record.version);
        check(current, expected, || format!("{:?}", key.1))?;
        for (other, bearer) in &self.records {
            let taken = kept.names.iter().find(|name| bearer.names.contains(name));
            if let Some(name) = taken.filter(|_| other.0 == key.0 && *other != key) {
                return Err(CommitError::NameTaken(name.clone()));
            }
        }
        self.records.insert(key, kept);
        Ok(())
    }

    fn put_webhook(&mut self, webhook: Webhook, expected: Expected, at: Timestamp) -> Result<(), CommitError> {
        let others = self.webhooks.values().filter(|other| {
            other.id != webhook.id
                && other.deleted_at.is_none()
                && (other.tenant_id, &other.event_type) == (webhook.tenant_id, &webhook.event_type)
        });
        if webhook.deleted_at.is_none() && others.count() >= WEBHOOKS_PER_EVENT_TYPE_MAX as usize {
            return Err(CommitError::Refused(format!("{} has too many webhooks", webhook.event_type)));
        }
        let current = self.webhooks.get(&webhook.id).map(|webhook| webhook.version);
        check(current, expected, || format!("webhook {}", webhook.id))?;
        let was_disabled = self.webhooks.get(&webhook.id).is_some_and(|it| it.status == WebhookStatus::Disabled);
        let is_switched_on = was_disabled && webhook.status != WebhookStatus::Disabled && webhook.deleted_at.is_none();
        if is_switched_on && !self.has_cancelled_all(webhook.id, at) {
            return Err(CommitError::Refused("what was due is still being cancelled".to_owned()));
        }
        if webhook.status == WebhookStatus::Active {
            let waiting = self.replays.values_mut().filter(|replay| {
                let waits = replay.reason.as_ref().is_some_and(|reason| reason.starts_with(WAITS_FOR_WEBHOOK));
                waits && replay.webhook_id == webhook.id && replay.state == ReplayState::Running
            });
            waiting.filter(|replay| replay.next_at > at).for_each(|replay| {
                replay.next_at = at;
                replay.version += 1;
            });
        }
        self.webhooks.insert(webhook.id, webhook);
        Ok(())
    }

    fn check_identifier(&self, identifier: &str, bearer: Option<TenantId>) -> Result<(), CommitError> {
        let taken = self.tenants.values().any(|other| other.identifier == identifier && Some(other.id) != bearer);
        if taken { Err(CommitError::AlreadyExists(format!("tenant {identifier:?}"))) } else { Ok(()) }
    }

    fn delete_tenant(&mut self, id: TenantId) -> Result<(), CommitError> {
        if self.tenants.remove(&id).is_none() {
            return Err(CommitError::Conflict(format!("tenant {id}")));
        }
        let of_it = self.copy_tasks.values().filter(|task| task.source_tenant_id == id);
        let begun = of_it.filter(|task| task.state == CopyState::Running).filter_map(|task| task.target_tenant_id);
        let begun: Vec<TenantId> = begun.collect();
        self.tokens.retain(|_, token| token.tenant_id != id);
        self.audit.retain(|entry| entry.tenant_id != id);
        self.answers.retain(|key, _| key.tenant_id != id);
        self.copy_tasks.retain(|_, task| task.source_tenant_id != id);
        self.replays.retain(|_, replay| replay.tenant_id != id);
        self.records.retain(|(owner, _), _| *owner != id);
        self.webhooks.retain(|_, webhook| webhook.tenant_id != id);
        let Self { webhooks, stopping, .. } = self;
        stopping.retain(|webhook_id, _| webhooks.contains_key(webhook_id));
        self.events.retain(|_, event| event.tenant_id != id);
        self.deliveries.retain(|_, kept| kept.delivery.tenant_id != id);
        self.feed.retain(|entry| entry.tenant_id != id);
        self.feed_pruned.remove(&id);
        let Self { events, deliveries, .. } = &*self;
        let (events, deliveries) = (events.clone(), deliveries.clone());
        self.skips.retain(|skip| events.contains_key(&skip.event_id));
        self.tombstones.retain(|event_id, _| events.contains_key(event_id));
        self.attempts.retain(|attempt| deliveries.contains_key(&attempt.delivery_id));
        self.payloads.retain(|delivery_id, _| deliveries.contains_key(delivery_id));
        for copy in begun {
            if self.tenants.contains_key(&copy) {
                self.delete_tenant(copy)?;
            }
        }
        Ok(())
    }
}
