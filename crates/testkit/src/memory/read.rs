//! Reads.

use super::MemoryStore;
use super::state::KeptRecord;
use async_trait::async_trait;
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::audit::{AuditEntry, AuditQuery};
use hookgraph_domain::delivery::Delivery;
use hookgraph_domain::event::{Event, EventSkip};
use hookgraph_domain::feed::{FeedFilter, FeedMoves, FeedPage};
use hookgraph_domain::ids::{AttemptId, CopyTaskId, DeliveryId, EventId, TenantId, TokenId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, Direction, EventQuery, RecordQuery, RecordSort, WebhookQuery};
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{
    AuditReader, Feed, History, RecordReader, StoreError, TenantReader, TokenReader, WebhookReader,
};
use hookgraph_domain::record::{Record, RecordKind, RecordRef};
use hookgraph_domain::tenant::{CopyState, CopyTask, Tenant};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;
use hookgraph_domain::webhook::Webhook;
use std::collections::{BTreeMap, BTreeSet};

fn matches(kept: &KeptRecord, query: &RecordQuery) -> bool {
    let bears = |(relation, target): &(String, String)| {
        kept.links.iter().any(|link| (&link.relation, &link.target) == (relation, target))
    };
    (kept.record.tenant_id, kept.record.reference.kind) == (query.tenant_id, query.kind)
        && query.linked.iter().all(bears)
}

/// By what a record is sorted.
fn position(sort: RecordSort, created_at: Timestamp, updated_at: Timestamp, key: &str) -> (Option<Timestamp>, String) {
    let at = match sort {
        RecordSort::CreatedAt => Some(created_at),
        RecordSort::UpdatedAt => Some(updated_at),
        RecordSort::Key => None,
    };
    (at, key.to_owned())
}

#[async_trait]
impl RecordReader for MemoryStore {
    async fn records(&self, tenant_id: TenantId, kind: RecordKind, keys: &[String]) -> Result<Vec<Record>, StoreError> {
        self.reads.read().await?;
        let state = self.state.lock();
        let keys: BTreeSet<&String> = keys.iter().collect();
        let found = keys.into_iter().filter_map(|key| state.records.get(&(tenant_id, RecordRef::new(kind, key))));
        Ok(found.map(|kept| kept.record.clone()).collect())
    }

    async fn records_by_name(
        &self,
        tenant_id: TenantId,
        scope: &str,
        values: &[String],
    ) -> Result<Vec<(String, Record)>, StoreError> {
        self.reads.read().await?;
        let state = self.state.lock();
        let mut named = Vec::new();
        for kept in state.records.values().filter(|kept| kept.record.tenant_id == tenant_id) {
            let borne = kept.names.iter().filter(|name| name.scope == scope && values.contains(&name.value));
            named.extend(borne.map(|name| (name.value.clone(), kept.record.clone())));
        }
        Ok(named)
    }

    async fn linked_keys(
        &self,
        tenant_id: TenantId,
        kind: RecordKind,
        relation: &str,
        targets: &[String],
        limit_per_target: u32,
    ) -> Result<Vec<(String, String)>, StoreError> {
        self.reads.read().await?;
        let state = self.state.lock();
        let mut linked = BTreeSet::new();
        for kept in state.records.values() {
            if (kept.record.tenant_id, kept.record.reference.kind) == (tenant_id, kind) {
                let links =
                    kept.links.iter().filter(|link| link.relation == relation && targets.contains(&link.target));
                linked.extend(links.map(|link| (link.target.clone(), link.rank, kept.record.reference.key.clone())));
            }
        }
        let mut keys: Vec<(String, String)> = Vec::new();
        for (target, _, key) in linked {
            if keys.iter().filter(|(other, _)| *other == target).count() < limit_per_target as usize {
                keys.push((target, key));
            }
        }
        Ok(keys)
    }

    async fn record_page(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
        self.reads.read().await?;
        let state = self.state.lock();
        let of = |record: &Record| position(query.sort, record.created_at, record.updated_at, &record.reference.key);
        let after = query.after.as_ref().map(|after| position(query.sort, after.at, after.at, &after.key));
        let mut found: Vec<&Record> =
            state.records.values().filter(|kept| matches(kept, query)).map(|kept| &kept.record).collect();
        found.sort_by_key(|record| of(record));
        if query.direction == Direction::Descending {
            found.reverse();
        }
        let beyond = found.into_iter().filter(|record| match (&after, query.direction) {
            (None, _) => true,
            (Some(after), Direction::Ascending) => of(record) > *after,
            (Some(after), Direction::Descending) => of(record) < *after,
        });
        Ok(beyond.take(query.limit as usize).cloned().collect())
    }

    async fn record_count(&self, query: &RecordQuery) -> Result<u64, StoreError> {
        self.reads.read().await?;
        Ok(self.state.lock().records.values().filter(|kept| matches(kept, query)).count() as u64)
    }

    async fn tombstone(&self, event_id: EventId) -> Result<Option<Record>, StoreError> {
        self.reads.read().await?;
        Ok(self.state.lock().tombstones.get(&event_id).cloned())
    }
}

#[async_trait]
impl TenantReader for MemoryStore {
    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        self.reads.read().await?;
        Ok(self.state.lock().tenants.get(&id).cloned())
    }

    async fn tenant_by_identifier(&self, identifier: &str) -> Result<Option<Tenant>, StoreError> {
        Ok(self.state.lock().tenants.values().find(|tenant| tenant.identifier == identifier).cloned())
    }

    async fn tenant_count(&self) -> Result<u64, StoreError> {
        Ok(self.state.lock().tenants.len() as u64)
    }

    async fn copy_task(&self, id: CopyTaskId) -> Result<Option<CopyTask>, StoreError> {
        Ok(self.state.lock().copy_tasks.get(&id).cloned())
    }

    async fn running_copy_tasks(&self, limit: u32) -> Result<Vec<CopyTask>, StoreError> {
        let state = self.state.lock();
        let mut running: Vec<_> =
            state.copy_tasks.values().filter(|task| task.state == CopyState::Running).cloned().collect();
        running.sort_by_key(|task| (task.created_at, task.id));
        running.truncate(limit as usize);
        Ok(running)
    }
}

#[async_trait]
impl TokenReader for MemoryStore {
    async fn token_by_sha256(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
        let state = self.state.lock();
        let valid = state.tokens.values().filter(|token| token.revoked_at.is_none());
        Ok(valid.into_iter().find(|token| token.secret_sha256 == secret_sha256).cloned())
    }

    async fn tokens(&self, tenant_id: Option<TenantId>) -> Result<Vec<AccessToken>, StoreError> {
        let state = self.state.lock();
        let wanted = |token: &&AccessToken| tenant_id.is_none_or(|tenant_id| token.tenant_id == tenant_id);
        let mut tokens: Vec<_> = state.tokens.values().filter(wanted).cloned().collect();
        tokens.sort_by_key(|token| (token.created_at, token.id));
        Ok(tokens)
    }

    async fn token(&self, id: TokenId) -> Result<Option<AccessToken>, StoreError> {
        Ok(self.state.lock().tokens.get(&id).cloned())
    }
}

#[async_trait]
impl AuditReader for MemoryStore {
    async fn audit_page(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        let state = self.state.lock();
        let wanted = |entry: &&AuditEntry| {
            entry.tenant_id == query.tenant_id
                && query.subject.as_ref().is_none_or(|subject| *subject == entry.subject)
                && query.before.is_none_or(|before| entry.id.0 < before)
        };
        let mut entries: Vec<_> = state.audit.iter().filter(wanted).cloned().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
        entries.truncate(query.limit as usize);
        Ok(entries)
    }
}

#[async_trait]
impl WebhookReader for MemoryStore {
    async fn webhooks(&self, tenant_id: TenantId, ids: &[WebhookId]) -> Result<Vec<Webhook>, StoreError> {
        let state = self.state.lock();
        let mine = state.webhooks.values().filter(|webhook| webhook.tenant_id == tenant_id);
        Ok(mine.filter(|webhook| ids.contains(&webhook.id)).cloned().collect())
    }

    async fn webhook_page(&self, query: &WebhookQuery) -> Result<Vec<Webhook>, StoreError> {
        let state = self.state.lock();
        let found = state.webhooks.values().filter(|webhook| {
            webhook.tenant_id == query.tenant_id
                && webhook.deleted_at.is_none()
                && query.concern.as_ref().is_none_or(|concern| *concern == webhook.event_type.concern)
                && query.event.as_ref().is_none_or(|event| *event == webhook.event_type.event)
                && query.after.is_none_or(|after| webhook.id.0 > after)
        });
        Ok(found.take(query.limit as usize).cloned().collect())
    }

    async fn webhooks_checked_otherwise(
        &self,
        schema_sha256: &str,
        after: Option<WebhookId>,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        let state = self.state.lock();
        let found = state.webhooks.values().filter(|webhook| {
            webhook.deleted_at.is_none()
                && webhook.document.as_ref().is_some_and(|document| document.schema_sha256 != schema_sha256)
                && after.is_none_or(|after| webhook.id > after)
        });
        Ok(found.take(limit as usize).cloned().collect())
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn events(&self, tenant_id: TenantId, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
        let state = self.state.lock();
        let mine = state.events.values().filter(|event| event.tenant_id == tenant_id);
        Ok(mine.filter(|event| ids.contains(&event.id)).cloned().collect())
    }

    async fn event_page(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        let state = self.state.lock();
        let found = state.events.values().rev().filter(|event| {
            event.tenant_id == query.tenant_id
                && !event.is_test
                && query.concern.as_ref().is_none_or(|concern| *concern == event.event_type.concern)
                && query.event.as_ref().is_none_or(|name| *name == event.event_type.event)
                && query.recorded_from.is_none_or(|from| event.recorded_at >= from)
                && query.recorded_before.is_none_or(|before| event.recorded_at < before)
                && query.before.is_none_or(|before| event.id.0 < before)
        });
        Ok(found.take(query.limit as usize).cloned().collect())
    }

    async fn event_skips(&self, event_ids: &[EventId]) -> Result<Vec<EventSkip>, StoreError> {
        let state = self.state.lock();
        Ok(state.skips.iter().filter(|skip| event_ids.contains(&skip.event_id)).cloned().collect())
    }

    async fn deliveries(&self, tenant_id: TenantId, ids: &[DeliveryId]) -> Result<Vec<Delivery>, StoreError> {
        let state = self.state.lock();
        let found = ids.iter().collect::<BTreeSet<_>>().into_iter().filter_map(|id| state.deliveries.get(id));
        Ok(found.map(|kept| &kept.delivery).filter(|it| it.tenant_id == tenant_id).cloned().collect())
    }

    async fn delivery_page(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let state = self.state.lock();
        let found = state.deliveries.values().rev().map(|kept| &kept.delivery).filter(|delivery| {
            delivery.tenant_id == query.tenant_id
                && query.webhook_id.is_none_or(|webhook_id| webhook_id == delivery.webhook_id)
                && query.event_id.is_none_or(|event_id| event_id == delivery.event_id)
                && query.replay.is_none_or(|replay| delivery.replay_id == Some(replay.id))
                && (query.states.is_empty() || query.states.contains(&delivery.state))
                && query.created_from.is_none_or(|from| delivery.created_at >= from)
                && query.created_before.is_none_or(|before| delivery.created_at < before)
                && query.before.is_none_or(|before| delivery.id.0 < before)
        });
        Ok(found.take(query.limit as usize).cloned().collect())
    }

    async fn attempts(&self, delivery_ids: &[DeliveryId]) -> Result<Vec<Attempt>, StoreError> {
        let state = self.state.lock();
        let found = state.attempts.iter().filter(|attempt| delivery_ids.contains(&attempt.delivery_id));
        let mut attempts: Vec<_> = found.cloned().collect();
        attempts.sort_by_key(|attempt| (attempt.delivery_id, attempt.number));
        Ok(attempts)
    }

    async fn webhook_attempts(
        &self,
        webhook_id: WebhookId,
        before: Option<AttemptId>,
        limit: u32,
    ) -> Result<Vec<Attempt>, StoreError> {
        let state = self.state.lock();
        let found = state.attempts.iter().filter(|attempt| {
            let delivery = state.deliveries.get(&attempt.delivery_id);
            delivery.is_some_and(|kept| kept.delivery.webhook_id == webhook_id)
                && before.is_none_or(|before| attempt.id < before)
        });
        let mut attempts: Vec<_> = found.cloned().collect();
        attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.id));
        attempts.truncate(limit as usize);
        Ok(attempts)
    }

    async fn payloads(&self, delivery_ids: &[DeliveryId]) -> Result<Vec<(DeliveryId, FrozenPayload)>, StoreError> {
        let state = self.state.lock();
        let found = delivery_ids.iter().filter_map(|id| Some((*id, state.payloads.get(id)?.clone())));
        Ok(found.collect())
    }
}

#[async_trait]
impl Feed for MemoryStore {
    async fn feed_page(
        &self,
        tenant_id: TenantId,
        after_seq: i64,
        filter: &FeedFilter,
        limit: u32,
    ) -> Result<FeedPage, StoreError> {
        self.feed_reads.read().await?;
        let state = self.state.lock();
        if let Some(seq) = state.feed_pruned.get(&tenant_id).copied().filter(|seq| *seq > after_seq) {
            return Ok(FeedPage { entries: vec![], read_to_seq: after_seq, more: false, pruned_to: Some(seq) });
        }
        let beyond = state.feed.iter().filter(|entry| entry.tenant_id == tenant_id && entry.seq > after_seq);
        let wanted = beyond.filter(|entry| filter.wants(&entry.what));
        let entries: Vec<_> = wanted.take(limit as usize).cloned().collect();
        let read_to_seq = match entries.last() {
            Some(last) if entries.len() >= limit as usize => last.seq,
            _ => state.last_seq.max(after_seq),
        };
        Ok(FeedPage { entries, read_to_seq, more: read_to_seq < state.last_seq, pruned_to: None })
    }

    /// Each entry is a batch of its own.
    async fn feed_moves(&self, after_seq: i64, batches_max: u32) -> Result<FeedMoves, StoreError> {
        self.feed_reads.read().await?;
        let batches_max = batches_max.max(1) as usize;
        let state = self.state.lock();
        let beyond = state.feed.iter().filter(|entry| entry.seq > after_seq).take(batches_max);
        let found: Vec<_> = beyond.map(|entry| (entry.tenant_id, entry.seq)).collect();
        Ok(FeedMoves {
            read_to_seq: found.last().map_or(after_seq, |(_, seq)| *seq),
            more: found.len() == batches_max,
            // The map keeps the last entry of each tenant.
            tenants: found.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect(),
        })
    }

    async fn latest_seq(&self) -> Result<i64, StoreError> {
        self.feed_reads.read().await?;
        Ok(self.state.lock().last_seq)
    }
}
