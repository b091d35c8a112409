//! Tenants, their access tokens, their audit log and their copy tasks.

use super::World;
use crate::sample;
use hookgraph_domain::audit::{AuditEntry, AuditQuery};
use hookgraph_domain::change::{CommitError, Expected, Write};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::{AuditEntryId, CopyTaskId, TenantId, TokenId};
use hookgraph_domain::page::WebhookQuery;
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::ports::{Entropy, Fenced, PrunePosition, Store};
use hookgraph_domain::tenant::{CopyState, CopyTask};
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::token::AccessToken;
use std::sync::Arc;

fn token(id: TokenId, tenant_id: TenantId, hash: u8) -> AccessToken {
    AccessToken {
        id,
        tenant_id,
        name: "admin".to_owned(),
        secret_sha256: [hash; 32],
        permissions: PermissionSet::NONE.with(Permission::OrdersRead).with(Permission::WebhooksWrite),
        created_at: sample::now(),
        expires_at: Some(plus_ms(sample::now(), 5)),
        last_used_at: None,
        revoked_at: None,
    }
}

/// The signature secret is opened again.
pub async fn a_tenant_reads_back_as_written(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    assert_eq!(world.store.tenant_count().await.expect("count"), 1);
    let mut tenant = world.store.tenant_by_identifier("acme").await.expect("read").expect("acme");
    assert_eq!((tenant.id, tenant.version), (world.tenant_id, 1));
    assert_eq!(tenant.keys, sample::keys(7));
    tenant.keys.secret = tenant.keys.secret.rotated(sample::keys(8).secret.current, sample::now(), 5).expect("room");
    tenant.keys.key = tenant.keys.key.rotated(sample::keys(9).key.current, sample::now(), 6).expect("room");
    tenant.body = r#"{"name":"Acme"}"#.to_owned();
    tenant.version = 2;
    world.write(vec![Write::UpdateTenant(tenant.clone())]).await;
    let read = world.store.tenant(world.tenant_id).await.expect("read").expect("acme");
    assert_eq!((read.keys, read.body), (tenant.keys.clone(), tenant.body.clone()));
    let late = world.try_write(vec![Write::UpdateTenant(tenant)]).await;
    assert!(matches!(late, Err(CommitError::Conflict(_))), "{late:?}");
}

/// Neither an insert nor an update takes an identifier that another tenant of the server has.
pub async fn an_identifier_is_taken_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let other: TenantId = world.id();
    let taken = world.try_write(vec![Write::InsertTenant(sample::tenant(other, "acme"))]).await;
    assert!(matches!(taken, Err(CommitError::AlreadyExists(_))), "{taken:?}");
    world.write(vec![Write::InsertTenant(sample::tenant(other, "other"))]).await;
    let mut renamed = sample::tenant(other, "acme");
    renamed.version = 2;
    let taken = world.try_write(vec![Write::UpdateTenant(renamed)]).await;
    assert!(matches!(taken, Err(CommitError::AlreadyExists(_))), "{taken:?}");
}

/// Removes what is left of deleted tenants, in portions of `rows_max` rows.
async fn removed(world: &World, rows_max: u32) {
    let store = &world.store;
    loop {
        let stopping = store.webhooks_stopping(&[], 100).await.expect("read");
        if stopping.is_empty() {
            break;
        }
        for webhook_id in stopping {
            world.write(vec![Write::StopMore { webhook_id }]).await;
        }
    }
    let mut from = PrunePosition::default();
    loop {
        let step = store.prune_tenants(from, rows_max).await.expect("prune");
        assert_eq!(step.put_off, None);
        let Some(next) = step.next else { return };
        from = next;
    }
}

/// From the delete on, nobody finds the tenant; its rows are gone once they were removed. Other tenants keep theirs.
pub async fn a_deleted_tenant_leaves_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let other: TenantId = world.id();
    let theirs = sample::webhook(world.id(), other);
    world.write(vec![Write::InsertTenant(sample::tenant(other, "other"))]).await;
    world.write(vec![Write::PutWebhook { webhook: theirs.clone(), expected: Expected::Absent }]).await;
    let webhook = world.webhook().await;
    world.write(vec![world.put_record("o1", 1, Expected::Absent)]).await;
    let token_id = world.id();
    world.write(vec![Write::InsertToken(token(token_id, world.tenant_id, 1))]).await;
    let event_id = world.event().await;
    let claimed = world.claim_one().await;
    world.freeze(&claimed, "{}").await;
    world.settle(&claimed, DeliveryState::Retrying).await;
    world.event().await;
    let delivered = world.claim_one().await;
    world.settle(&delivered, DeliveryState::Delivered).await;
    world.write(vec![Write::PutCopyTask { task: copy_task(&world), expected: Expected::Absent }]).await;
    world.write(vec![Write::Audit(audit_entry(&world, sample::now()))]).await;
    world.event().await;
    let in_flight = world.claim_one().await;
    world.event().await;

    world.write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    let store = &world.store;
    assert!(store.tenant(world.tenant_id).await.expect("read").is_none());
    assert!(store.tenant_by_identifier("acme").await.expect("read").is_none());
    assert_eq!(store.tenant_count().await.expect("count"), 1);
    assert!(store.token(token_id).await.expect("read").is_none());
    assert!(store.token_by_sha256([1; 32]).await.expect("read").is_none());
    let mine = WebhookQuery::of_type(world.tenant_id, &webhook.event_type);
    assert!(store.webhook_page(&mine).await.expect("page").is_empty());
    assert!(store.running_copy_tasks(10).await.expect("read").is_empty());
    assert!(world.claim().await.is_empty());
    let again = world.try_write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    assert!(matches!(again, Err(CommitError::Conflict(_))), "{again:?}");
    let successor: TenantId = world.id();
    world.write(vec![Write::InsertTenant(sample::tenant(successor, "acme"))]).await;
    let found = store.tenant_by_identifier("acme").await.expect("read").expect("the identifier is free");
    assert_eq!(found.id, successor);
    let mut revived = sample::tenant(world.tenant_id, "revived");
    revived.version = 3;
    let late = world.try_write(vec![Write::UpdateTenant(revived)]).await;
    assert!(matches!(late, Err(CommitError::Conflict(_))), "{late:?}");

    removed(&world, 1).await;
    assert_eq!(world.settle(&in_flight, DeliveryState::Delivered).await, Fenced::LeaseLost);
    assert!(world.record("o1").await.is_none());
    assert!(store.webhooks(world.tenant_id, &[webhook.id]).await.expect("read").is_empty());
    assert!(store.events(world.tenant_id, &[event_id]).await.expect("read").is_empty());
    assert!(world.deliveries().await.is_empty());
    assert!(store.attempts(&[claimed.delivery.id]).await.expect("read").is_empty());
    assert!(store.payloads(&[claimed.delivery.id]).await.expect("read").is_empty());
    let feed = store.feed_page(world.tenant_id, 0, &Default::default(), 100).await.expect("feed");
    assert!(feed.entries.is_empty());
    let audited = AuditQuery { tenant_id: world.tenant_id, subject: None, before: None, limit: 10 };
    assert!(store.audit_page(&audited).await.expect("page").is_empty());
    assert!(world.claim_at(plus_ms(sample::now(), 60_000), 10, 10).await.is_empty());
    let page = store.webhook_page(&WebhookQuery::of_type(other, &theirs.event_type)).await.expect("page");
    assert_eq!(page, [theirs]);
}

/// Nobody would make the rest of the copy. A copy that is done is a tenant like any other.
pub async fn a_copy_that_is_being_made_goes_with_its_source(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (half, whole): (TenantId, TenantId) = (world.id(), world.id());
    for (id, name, state) in [(half, "half", CopyState::Running), (whole, "whole", CopyState::Finished)] {
        world.write(vec![Write::InsertTenant(sample::tenant(id, name))]).await;
        let task = CopyTask { target_tenant_id: Some(id), state, ..copy_task(&world) };
        world.write(vec![Write::PutCopyTask { task, expected: Expected::Absent }]).await;
    }
    let theirs = token(world.id(), half, 1);
    world.write(vec![Write::InsertToken(theirs.clone())]).await;
    world.write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    let store = &world.store;
    assert!(store.tenant_by_identifier("half").await.expect("read").is_none());
    assert!(store.token(theirs.id).await.expect("read").is_none());
    assert!(store.running_copy_tasks(10).await.expect("read").is_empty());
    assert!(store.tenant(whole).await.expect("read").is_some());
    removed(&world, 10).await;
    assert_eq!(store.tenant_count().await.expect("count"), 1);
}

/// Nobody would make the copy, nor remove the part of it that was made.
pub async fn a_copy_of_a_deleted_tenant_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.write(vec![Write::DeleteTenant(world.tenant_id)]).await;
    let task = copy_task(&world);
    let begun = world.try_write(vec![Write::PutCopyTask { task: task.clone(), expected: Expected::Absent }]).await;
    assert!(matches!(begun, Err(CommitError::Refused(_))), "{begun:?}");
    assert_eq!(world.store.copy_task(task.id).await.expect("read"), None);
}

/// The token is still listed.
pub async fn a_revoked_token_opens_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let first = token(world.id(), world.tenant_id, 1);
    let second = token(world.id(), world.tenant_id, 2);
    world.write(vec![Write::InsertToken(first.clone()), Write::InsertToken(second.clone())]).await;
    assert_eq!(world.store.token_by_sha256([1; 32]).await.expect("read"), Some(first.clone()));
    world.write(vec![Write::RevokeToken(first.id), Write::RevokeToken(world.id())]).await;
    assert_eq!(world.store.token_by_sha256([1; 32]).await.expect("read"), None);
    assert_eq!(world.store.token_by_sha256([2; 32]).await.expect("read"), Some(second.clone()));
    let revoked = AccessToken { revoked_at: Some(sample::now()), ..first };
    let listed = world.store.tokens(Some(world.tenant_id)).await.expect("read");
    assert_eq!(listed, [revoked.clone(), second]);
    assert_eq!(world.store.tokens(None).await.expect("read").len(), 2);
    assert_eq!(world.store.token(revoked.id).await.expect("read"), Some(revoked));
}

/// The use changes nothing else of the token.
pub async fn the_last_use_of_a_token_is_kept(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let token = token(world.id(), world.tenant_id, 1);
    world.write(vec![Write::InsertToken(token.clone())]).await;
    world.write(vec![Write::MarkTokenUsed(token.id), Write::MarkTokenUsed(world.id())]).await;
    let used = AccessToken { last_used_at: Some(sample::now()), ..token };
    assert_eq!(world.store.token(used.id).await.expect("read"), Some(used));
}

/// An entry of the audit log of that time.
pub(super) fn audit_entry(world: &World, at: Timestamp) -> AuditEntry {
    AuditEntry {
        id: AuditEntryId(world.entropy.uuid(at)),
        tenant_id: world.tenant_id,
        at,
        user_id: Some("ada".to_owned()),
        action: "webhook.update".to_owned(),
        subject: "webhook:1".to_owned(),
        before: Some(r#"{"name":"a"}"#.to_owned()),
        after: None,
    }
}

/// A running copy of the world's tenant.
pub(super) fn copy_task(world: &World) -> CopyTask {
    sample::copy_task(world.id(), world.tenant_id)
}

/// A page shows the tenant's own entries alone, of one subject where one is named.
pub async fn the_audit_log_runs_from_new_to_old(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let entry = |subject: &str| AuditEntry { subject: subject.to_owned(), ..audit_entry(&world, sample::now()) };
    let mut entries = vec![entry("webhook:1"), entry("webhook:2"), entry("webhook:1")];
    world.write(entries.iter().cloned().map(Write::Audit).collect()).await;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
    let page = async |subject: Option<&str>, before, limit| {
        let subject = subject.map(str::to_owned);
        let query = AuditQuery { tenant_id: world.tenant_id, subject, before, limit };
        world.store.audit_page(&query).await.expect("page")
    };
    assert_eq!(page(None, None, 10).await, entries);
    assert_eq!(page(None, None, 2).await, entries[..2]);
    assert_eq!(page(None, Some(entries[1].id.0), 2).await, entries[2..]);
    let of_one: Vec<_> = entries.iter().filter(|entry| entry.subject == "webhook:1").cloned().collect();
    assert_eq!(page(Some("webhook:1"), None, 10).await, of_one);
    let others = AuditQuery { tenant_id: world.id(), subject: None, before: None, limit: 10 };
    assert!(world.store.audit_page(&others).await.expect("page").is_empty());
}

/// Tasks that have ended do not come at all.
pub async fn running_copy_tasks_come_oldest_first(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let task = |later_ms| CopyTask { created_at: plus_ms(sample::now(), later_ms), ..copy_task(&world) };
    let (late, early) = (task(5), task(0));
    for task in [&late, &early] {
        world.write(vec![Write::PutCopyTask { task: task.clone(), expected: Expected::Absent }]).await;
    }
    let running = world.store.running_copy_tasks(10).await.expect("read");
    assert_eq!(running, [early.clone(), late]);
    let ended = CopyTask {
        state: CopyState::Failed,
        error: Some("full".to_owned()),
        target_tenant_id: Some(world.id()),
        version: 2,
        ..early.clone()
    };
    let put = Write::PutCopyTask { task: ended.clone(), expected: Expected::Version(1) };
    world.write(vec![put.clone()]).await;
    assert!(matches!(world.try_write(vec![put]).await, Err(CommitError::Conflict(_))));
    assert_eq!(world.store.running_copy_tasks(10).await.expect("read").len(), 1);
    assert_eq!(world.store.copy_task(early.id).await.expect("read"), Some(ended));
    assert_eq!(world.store.copy_task(CopyTaskId(world.id())).await.expect("read"), None);
}
