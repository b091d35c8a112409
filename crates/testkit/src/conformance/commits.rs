//! Changes: a store commits all of a change, or nothing of it.

use super::World;
use crate::sample;
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::ids::EventId;
use hookgraph_domain::limits::CHANGE_ROWS_MAX;
use hookgraph_domain::ports::{Entropy, Store};
use hookgraph_domain::record::{Name, RecordKind, RecordRef};
use std::sync::Arc;

/// A change whose last write is refused leaves neither its first write nor its events nor feed entries.
pub async fn a_change_that_fails_half_way_writes_nothing(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.webhook().await;
    let seq = world.store.latest_seq().await.expect("seq");
    let mut change = Change::at(sample::now());
    change.writes.push(world.put_record("o1", 1, Expected::Absent));
    change.writes.push(world.put_record("o2", 2, Expected::Version(1)));
    let event_id = EventId(world.entropy.uuid(sample::now()));
    change.events.push(sample::event(event_id, world.tenant_id, "o1"));
    let refused = world.store.commit(change.clone()).await;
    assert!(matches!(refused, Err(CommitError::Conflict(_))), "{refused:?}");
    assert!(world.record("o1").await.is_none());
    assert!(world.store.events(world.tenant_id, &[event_id]).await.expect("read").is_empty());
    assert!(world.deliveries().await.is_empty());
    assert_eq!(world.store.latest_seq().await.expect("seq"), seq);

    change.writes.truncate(1);
    let committed = world.store.commit(change).await.expect("the same change without the bad write");
    assert_eq!((committed.event_ids, committed.delivery_count), (vec![event_id], 1));
}

/// Of two writers that read the same version, the second one gets the conflict.
pub async fn a_version_that_was_read_before_another_write_is_a_conflict(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.write(vec![world.put_record("o1", 1, Expected::Absent)]).await;
    world.write(vec![world.put_record("o1", 2, Expected::Version(1))]).await;
    let late = world.try_write(vec![world.put_record("o1", 2, Expected::Version(1))]).await;
    assert!(matches!(late, Err(CommitError::Conflict(_))), "{late:?}");
    let late = world.try_write(vec![world.delete_record("o1", 1)]).await;
    assert!(matches!(late, Err(CommitError::Conflict(_))), "{late:?}");
    world.write(vec![world.delete_record("o1", 2)]).await;
    assert!(world.record("o1").await.is_none());

    let webhook = world.webhook().await;
    world.change_webhook(webhook.id, |webhook| webhook.name = "Second".to_owned(), Vec::new()).await;
    let late = world.try_write(vec![Write::PutWebhook { webhook, expected: Expected::Version(1) }]).await;
    assert!(matches!(late, Err(CommitError::Conflict(_))), "{late:?}");
}

/// `Expected::Absent` never replaces.
pub async fn creating_what_exists_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.write(vec![world.put_record("o1", 1, Expected::Absent)]).await;
    let again = world.try_write(vec![world.put_record("o1", 1, Expected::Absent)]).await;
    assert!(matches!(again, Err(CommitError::AlreadyExists(_))), "{again:?}");
    let webhook = world.webhook().await;
    let again = world.try_write(vec![Write::PutWebhook { webhook, expected: Expected::Absent }]).await;
    assert!(matches!(again, Err(CommitError::AlreadyExists(_))), "{again:?}");
}

/// A record that was read as a parent must still be there at the commit.
pub async fn a_required_record_that_is_gone_refuses_the_change(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let reference = RecordRef::new(RecordKind::Order, "o1");
    let required = || Write::RequireRecord { tenant_id: world.tenant_id, reference: reference.clone() };
    let missing = world.try_write(vec![required()]).await;
    assert!(matches!(&missing, Err(CommitError::Missing(gone)) if *gone == reference), "{missing:?}");
    world.write(vec![world.put_record("o1", 1, Expected::Absent), required()]).await;
}

/// A cascade beyond the limit is refused as a whole.
pub async fn a_change_over_the_limit_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let required =
        Write::RequireRecord { tenant_id: world.tenant_id, reference: RecordRef::new(RecordKind::Order, "o1") };
    let refused = world.try_write(vec![required; CHANGE_ROWS_MAX + 1]).await;
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
}

impl World {
    /// Writes an order of that key, without links or names.
    pub fn put_record(&self, key: &str, version: i64, expected: Expected) -> Write {
        self.put_named(key, version, expected, Vec::new(), Vec::new())
    }

    /// Writes an order with links and names.
    pub fn put_named(
        &self,
        key: &str,
        version: i64,
        expected: Expected,
        links: Vec<hookgraph_domain::record::Link>,
        names: Vec<Name>,
    ) -> Write {
        Write::PutRecord { record: sample::record(self.tenant_id, key, version), expected, links, names }
    }

    /// Deletes an order.
    pub fn delete_record(&self, key: &str, expected_version: i64) -> Write {
        let reference = RecordRef::new(RecordKind::Order, key);
        Write::DeleteRecord { tenant_id: self.tenant_id, reference, expected_version }
    }

    /// The order of that key.
    pub async fn record(&self, key: &str) -> Option<hookgraph_domain::record::Record> {
        let found = self.store.records(self.tenant_id, RecordKind::Order, &[key.to_owned()]).await;
        found.expect("read").pop()
    }
}
