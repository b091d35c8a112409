//! Records, the links by which they are found, and the names of which each is one record's alone.

use super::World;
use crate::sample;
use hookgraph_domain::change::{Change, CommitError, Expected};
use hookgraph_domain::page::{Direction, RecordPosition, RecordQuery, RecordSort};
use hookgraph_domain::ports::Store;
use hookgraph_domain::record::{Link, Name, Record, RecordKind};
use hookgraph_domain::time::plus_ms;
use std::sync::Arc;

fn link(relation: &str, target: &str, rank: i64) -> Link {
    Link { relation: relation.to_owned(), target: target.to_owned(), rank }
}

fn sku(value: &str) -> Name {
    Name { scope: "sku".to_owned(), value: value.to_owned() }
}

fn keys(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.reference.key.clone()).collect()
}

/// The body is read byte for byte, and the times to the microsecond.
pub async fn a_record_reads_back_as_written(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut record = sample::record(world.tenant_id, "o1", 1);
    record.body = r#"{"b":1.50,"a":"é \u0000 💡","1":[ ]}"#.to_owned();
    let write = hookgraph_domain::change::Write::PutRecord {
        record: record.clone(),
        expected: Expected::Absent,
        links: Vec::new(),
        names: Vec::new(),
    };
    world.write(vec![write]).await;
    assert_eq!(world.record("o1").await, Some(record));
    let other = world.store.records(world.tenant_id, RecordKind::Customer, &["o1".to_owned()]).await.expect("read");
    assert!(other.is_empty());
}

/// The name and its bearer stay as they were.
pub async fn a_name_of_another_record_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.write(vec![world.put_named("o1", 1, Expected::Absent, Vec::new(), vec![sku("A"), sku("B")])]).await;
    let taken = world.try_write(vec![world.put_named("o2", 1, Expected::Absent, Vec::new(), vec![sku("B")])]).await;
    assert!(matches!(&taken, Err(CommitError::NameTaken(name)) if *name == sku("B")), "{taken:?}");
    let values = ["A", "B", "C"].map(str::to_owned);
    let mut found = world.store.records_by_name(world.tenant_id, "sku", &values).await.expect("read");
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let found: Vec<(&str, &str)> = found.iter().map(|(name, record)| (&**name, &*record.reference.key)).collect();
    assert_eq!(found, [("A", "o1"), ("B", "o1")]);
}

/// A record gives a name up by an update and by its delete.
pub async fn a_name_that_was_given_up_is_free(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.write(vec![world.put_named("o1", 1, Expected::Absent, Vec::new(), vec![sku("A"), sku("B")])]).await;
    world.write(vec![world.put_named("o1", 2, Expected::Version(1), Vec::new(), vec![sku("B")])]).await;
    world.write(vec![world.put_named("o2", 1, Expected::Absent, Vec::new(), vec![sku("A")])]).await;
    let both =
        vec![world.delete_record("o1", 2), world.put_named("o3", 1, Expected::Absent, Vec::new(), vec![sku("B")])];
    world.write(both).await;
}

/// The links of the last write are the only ones, and no link outlives its record.
pub async fn links_are_replaced_with_their_record(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let linked = |target: &str| {
        let (store, target, tenant_id) = (world.store.clone(), [target.to_owned()], world.tenant_id);
        async move { store.linked_keys(tenant_id, RecordKind::Order, "customer", &target, 10).await.expect("read") }
    };
    world.write(vec![world.put_named("o1", 1, Expected::Absent, vec![link("customer", "ann", 0)], Vec::new())]).await;
    assert_eq!(linked("ann").await.len(), 1);
    let links = vec![link("customer", "bob", 0)];
    world.write(vec![world.put_named("o1", 2, Expected::Version(1), links, Vec::new())]).await;
    assert_eq!((linked("ann").await.len(), linked("bob").await.len()), (0, 1));
    world.write(vec![world.delete_record("o1", 2)]).await;
    assert!(linked("bob").await.is_empty());
}

/// Each target yields no more keys than the limit says.
pub async fn linked_keys_come_by_target_and_rank(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for (key, target, rank) in
        [("o1", "ann", 3), ("o2", "ann", 1), ("o3", "ann", 2), ("o4", "bob", 1), ("o5", "cid", 0)]
    {
        let links = vec![link("customer", target, rank)];
        world.write(vec![world.put_named(key, 1, Expected::Absent, links, Vec::new())]).await;
    }
    let targets = ["bob", "ann", "zoe"].map(str::to_owned);
    let found = world.store.linked_keys(world.tenant_id, RecordKind::Order, "customer", &targets, 2).await;
    let pairs = [("ann", "o2"), ("ann", "o3"), ("bob", "o4")];
    assert_eq!(found.expect("read"), pairs.map(|(target, key)| (target.to_owned(), key.to_owned())));
    let one = world.store.linked_keys(world.tenant_id, RecordKind::Order, "customer", &targets[1..2], 2).await;
    assert_eq!(one.expect("read").len(), 2);
    let none = world.store.linked_keys(world.tenant_id, RecordKind::Order, "customer", &[], 2).await;
    assert!(none.expect("read").is_empty());
}

/// The pages hold two records, go both ways through every order, and cut through equal times.
pub async fn pages_in_every_order_show_each_record_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for (index, key) in ["e", "b", "d", "a", "c"].into_iter().enumerate() {
        let mut record = sample::record(world.tenant_id, key, 1);
        record.created_at = plus_ms(sample::now(), index as u64 / 2);
        record.updated_at = plus_ms(sample::now(), 10 - index as u64);
        let write = hookgraph_domain::change::Write::PutRecord {
            record,
            expected: Expected::Absent,
            links: Vec::new(),
            names: Vec::new(),
        };
        world.write(vec![write]).await;
    }
    for (sort, ascending) in
        [(RecordSort::Key, "abcde"), (RecordSort::CreatedAt, "beadc"), (RecordSort::UpdatedAt, "cadbe")]
    {
        assert_eq!(world.paged(sort, Direction::Ascending).await, ascending);
        let descending: String = ascending.chars().rev().collect();
        assert_eq!(world.paged(sort, Direction::Descending).await, descending);
    }
    assert_eq!(world.store.record_count(&world.record_query()).await.expect("count"), 5);
}

/// A record is shown where it bears every link that was asked for.
pub async fn a_page_of_links_shows_only_their_bearers(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let links = [
        ("o1", vec![link("customer", "ann", 0)]),
        ("o2", vec![link("customer", "ann", 0), link("market", "eu", 1), link("market", "eu", 2)]),
        ("o3", vec![link("market", "eu", 0)]),
    ];
    for (key, links) in links {
        world.write(vec![world.put_named(key, 1, Expected::Absent, links, Vec::new())]).await;
    }
    let mut query = world.record_query();
    query.linked = vec![("customer".to_owned(), "ann".to_owned())];
    assert_eq!(keys(&world.store.record_page(&query).await.expect("page")), ["o1", "o2"]);
    query.linked.push(("market".to_owned(), "eu".to_owned()));
    assert_eq!(keys(&world.store.record_page(&query).await.expect("page")), ["o2"]);
    assert_eq!(world.store.record_count(&query).await.expect("count"), 1);
}

/// The event's own render reads the tombstone once the record is gone.
pub async fn a_tombstone_keeps_the_record_of_a_delete_event(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.write(vec![world.put_record("o1", 1, Expected::Absent)]).await;
    let record = world.record("o1").await;
    let mut event = sample::event(world.id(), world.tenant_id, "o1");
    event.tombstone.clone_from(&record);
    let event_id = event.id;
    let change = Change { at: sample::now(), writes: vec![world.delete_record("o1", 1)], events: vec![event] };
    world.store.commit(change).await.expect("commit");
    assert_eq!(world.store.tombstone(event_id).await.expect("read"), record);
    assert_eq!(world.store.tombstone(world.id()).await.expect("read"), None);
}

/// A language's rules of sorting differ from machine to machine.
pub async fn keys_sort_by_bytes(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    for key in ["b", "A", "a", "B", "é", "_"] {
        world.write(vec![world.put_record(key, 1, Expected::Absent)]).await;
    }
    assert_eq!(world.paged(RecordSort::Key, Direction::Ascending).await, "AB_abé");
}

impl World {
    fn record_query(&self) -> RecordQuery {
        RecordQuery {
            tenant_id: self.tenant_id,
            kind: RecordKind::Order,
            linked: Vec::new(),
            sort: RecordSort::Key,
            direction: Direction::Ascending,
            after: None,
            limit: 100,
        }
    }

    /// All keys, read in pages of two.
    async fn paged(&self, sort: RecordSort, direction: Direction) -> String {
        let mut query = RecordQuery { sort, direction, limit: 2, ..self.record_query() };
        let mut all = String::new();
        loop {
            let page = self.store.record_page(&query).await.expect("page");
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { return all };
            let at = if sort == RecordSort::UpdatedAt { last.updated_at } else { last.created_at };
            query.after = Some(RecordPosition { at, key: last.reference.key.clone() });
            all.extend(keys(&page));
        }
    }
}
