//! Rounds on fake stores, under a clock that the tests move.

use super::*;
use async_trait::async_trait;
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::{AuditEntryId, EventId, TenantId, WebhookId};
use hookgraph_domain::page::{DeliveryQuery, EventQuery};
use hookgraph_domain::ports::{Entropy, Feed, History, HistoryKept, UnitOfWork};
use hookgraph_domain::webhook::WebhookStatus;
use hookgraph_testkit::{ManualClock, MemoryStore, NoWakeUps, SeededEntropy, sample};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const DAY_MS: u64 = 24 * 3600 * 1000;
const RULES: RetentionRules =
    RetentionRules { history_days: 30, history_bytes_max: None, feed_days: 7, due_days: 30, audit_days: 365 };

struct World {
    store: MemoryStore,
    clock: ManualClock,
    entropy: SeededEntropy,
}

impl World {
    /// One event on each of the first ten days, owed to a webhook that is paused.
    async fn new() -> Self {
        let world = Self {
            store: MemoryStore::default(),
            clock: ManualClock::at(sample::now()),
            entropy: SeededEntropy::new(1),
        };
        let mut change = Change::at(sample::now());
        change.writes.push(Write::InsertTenant(sample::tenant(TENANT, "acme")));
        let mut webhook = sample::webhook(WebhookId(Uuid::from_u128(2)), TENANT);
        webhook.status = WebhookStatus::Paused;
        change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
        world.store.commit(change).await.unwrap();
        for _ in 0..10 {
            let at = world.clock.now();
            let mut change = Change::at(at);
            change.events.push(sample::event(EventId(world.entropy.uuid(at)), TENANT, "o1"));
            world.store.commit(change).await.unwrap();
            world.clock.advance_ms(DAY_MS);
        }
        world
    }

    fn under(&self, rules: RetentionRules) -> RetentionLoop {
        self.on(Arc::new(self.store.clone()), rules)
    }

    fn on(&self, retention: Arc<dyn Retention>, rules: RetentionRules) -> RetentionLoop {
        let services =
            RetentionServices { retention, clock: Arc::new(self.clock.clone()), wake_ups: Arc::new(NoWakeUps) };
        RetentionLoop::new(services, rules)
    }

    async fn event_count(&self) -> usize {
        let query = EventQuery {
            tenant_id: TENANT,
            concern: None,
            event: None,
            recorded_from: None,
            recorded_before: None,
            before: None,
            limit: 100,
        };
        self.store.event_page(&query).await.unwrap().len()
    }

    async fn states(&self) -> Vec<DeliveryState> {
        let query = DeliveryQuery::of(TENANT, 100);
        self.store.delivery_page(&query).await.unwrap().into_iter().map(|delivery| delivery.state).collect()
    }
}

#[tokio::test]
async fn a_held_delivery_expires_first_and_is_shown_for_a_week_before_it_is_removed() {
    let world = World::new().await;
    let retention = world.under(RULES);
    assert_eq!(retention.run_once().await.unwrap().expired, 0);
    world.clock.advance_ms(30 * DAY_MS);
    let round = retention.run_once().await.unwrap();
    assert_eq!((round.expired, round.history_rows), (10, 0));
    assert_eq!(world.states().await, [DeliveryState::Expired; 10]);
    assert_eq!(world.event_count().await, 10, "an event stays as long as a delivery of it");
    world.clock.advance_ms(8 * DAY_MS);
    assert_eq!(retention.run_once().await.unwrap().history_rows, 20);
    assert_eq!(world.event_count().await, 0);
}

#[tokio::test]
async fn the_feed_is_removed_by_its_own_age() {
    let world = World::new().await;
    let round = world.under(RULES).run_once().await.unwrap();
    assert_eq!((round.feed_batches, round.is_whole), (6, true));
    let page = world.store.feed_page(TENANT, 0, &Default::default(), 100).await.unwrap();
    assert_eq!(page.pruned_to, Some(6));
}

#[tokio::test]
async fn the_audit_log_is_removed_by_its_own_age() {
    let world = World::new().await;
    let mut change = Change::at(world.clock.now());
    for at in [sample::now(), world.clock.now()] {
        change.writes.push(Write::Audit(AuditEntry {
            id: AuditEntryId(world.entropy.uuid(at)),
            tenant_id: TENANT,
            at,
            user_id: None,
            action: "webhook.pause".to_owned(),
            subject: "webhook:1".to_owned(),
            before: None,
            after: None,
        }));
    }
    world.store.commit(change).await.unwrap();
    let short = RetentionRules { audit_days: 5, ..RULES };
    assert_eq!(world.under(short).run_once().await.unwrap().work_rows, 1);
    assert_eq!(world.under(short).run_once().await.unwrap().work_rows, 0);
}

#[tokio::test]
async fn for_lack_of_room_the_oldest_days_are_removed_until_the_rest_fits() {
    let world = World::new().await;
    let mut change = Change::at(world.clock.now());
    change.writes.push(Write::CancelDue { webhook_id: WebhookId(Uuid::from_u128(2)), reason: "enough".to_owned() });
    world.store.commit(change).await.unwrap();
    world.clock.advance_ms(1);
    let bytes = world.store.history_kept().await.unwrap().bytes;
    let half = RetentionRules { history_bytes_max: Some(bytes / 2), ..RULES };
    let round = world.under(half).run_once().await.unwrap();
    assert_eq!((round.history_rows, round.is_whole), (10, true));
    assert_eq!(world.event_count().await, 5);
}

#[tokio::test]
async fn owed_deliveries_are_not_removed_for_lack_of_room() {
    let world = World::new().await;
    let none = RetentionRules { history_bytes_max: Some(1), ..RULES };
    let round = world.under(none).run_once().await.unwrap();
    assert_eq!((round.history_rows, world.event_count().await), (0, 10));
    assert_eq!(round.put_off.len(), 1, "{round:?}");
}

/// A store whose history has no end and whose steps take ten seconds each. It has a few portions of deleted tenants.
struct Endless(ManualClock, AtomicU32, AtomicU32);

const TENANT_PORTIONS: u32 = 3;

#[async_trait]
impl Retention for Endless {
    async fn expire_due(
        &self,
        _: Timestamp,
        _: &str,
        _: Timestamp,
        from: PrunePosition,
        _: u32,
    ) -> Result<PruneStep, StoreError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.advance_ms(10_000);
        let next = PrunePosition { stage: from.stage + 1, ..from };
        Ok(PruneStep { next: Some(next), ..PruneStep::default() })
    }

    async fn prune_history(&self, _: &HistoryCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        panic!("there is no time left")
    }

    async fn prune_feed(&self, _: Timestamp, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        panic!("there is no time left")
    }

    async fn prune_work(&self, _: &WorkCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        panic!("there is no time left")
    }

    async fn prune_tenants(&self, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
        self.2.fetch_add(1, Ordering::Relaxed);
        let next = PrunePosition { stage: from.stage + 1, ..from };
        let next = (next.stage < TENANT_PORTIONS).then_some(next);
        Ok(PruneStep { rows: rows_max.into(), next, ..PruneStep::default() })
    }

    async fn history_kept(&self) -> Result<HistoryKept, StoreError> {
        Ok(HistoryKept::default())
    }
}

#[tokio::test]
async fn a_round_ends_with_its_time() {
    let world = World::new().await;
    let endless = Arc::new(Endless(world.clock.clone(), AtomicU32::new(0), AtomicU32::new(0)));
    let round = world.on(endless.clone(), RULES).run_once().await.unwrap();
    assert!(!round.is_whole);
    assert_eq!(u64::from(endless.1.load(Ordering::Relaxed)), RETENTION_ROUND_MS_MAX / 10_000);
    assert_eq!(endless.2.load(Ordering::Relaxed), TENANT_PORTIONS, "deleted tenants have a time of their own");
    assert_eq!(round.tenant_rows, u64::from(TENANT_PORTIONS * RETENTION_STEP_ROWS));
}

/// A store whose history cannot be pruned, nor its tenants.
struct Stuck(MemoryStore);

const A_TENANT_STAYS: &str = "the rows of a deleted tenant stay for now";

#[async_trait]
impl Retention for Stuck {
    async fn expire_due(
        &self,
        owed_before: Timestamp,
        reason: &str,
        now: Timestamp,
        from: PrunePosition,
        rows_max: u32,
    ) -> Result<PruneStep, StoreError> {
        self.0.expire_due(owed_before, reason, now, from, rows_max).await
    }

    async fn prune_history(&self, _: &HistoryCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        Err(StoreError::Busy("a day".to_owned()))
    }

    async fn prune_feed(&self, before: Timestamp, from: PrunePosition, rows_max: u32) -> Result<PruneStep, StoreError> {
        self.0.prune_feed(before, from, rows_max).await
    }

    async fn prune_work(&self, _: &WorkCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        Err(StoreError::Failed("a later one".to_owned()))
    }

    async fn prune_tenants(&self, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        Ok(PruneStep { put_off: Some(A_TENANT_STAYS.to_owned()), ..PruneStep::default() })
    }

    async fn history_kept(&self) -> Result<HistoryKept, StoreError> {
        self.0.history_kept().await
    }
}

#[tokio::test]
async fn a_kind_of_work_that_fails_keeps_no_other_from_its_turn() {
    let world = World::new().await;
    let round = world.on(Arc::new(Stuck(world.store.clone())), RULES).run_once().await;
    assert!(matches!(round, Err(StoreError::Busy(_))), "the first is told: {round:?}");
    let page = world.store.feed_page(TENANT, 0, &Default::default(), 100).await.unwrap();
    assert_eq!(page.pruned_to, Some(6), "the feed was pruned");
}

#[tokio::test]
async fn reasons_to_put_rows_off_are_told_also_where_other_work_fails() {
    let world = World::new().await;
    let retention = world.on(Arc::new(Stuck(world.store.clone())), RULES);
    let mut round = RetentionRound::begun();
    assert!(retention.round(&mut round).await.is_err());
    assert_eq!(round.put_off, BTreeSet::from([A_TENANT_STAYS.to_owned()]));
}

#[tokio::test]
async fn a_deleted_tenant_that_stays_is_logged_once() {
    let world = World::new().await;
    let retention = world.on(Arc::new(Stuck(world.store.clone())), RULES);
    let mut logged = LoggedReasons::default();
    assert_eq!(retention.tenants_between(&mut logged).await, TenantsLeft::Nothing);
    let stays = BTreeSet::from([A_TENANT_STAYS.to_owned()]);
    assert_eq!(logged.0, stays);
    assert!(!logged.log_news(&stays), "it is no news to the next round");
}

/// A store with `tenant_count` deleted tenants, none of which has an end; a portion takes a second. After
/// `steps_left` steps another process takes them.
struct Crowd {
    clock: ManualClock,
    tenant_count: u128,
    portions: Mutex<BTreeMap<u128, u64>>,
    steps_left: AtomicU64,
}

impl Crowd {
    fn of(world: &World, tenant_count: u128, steps: u64) -> Arc<Self> {
        let (clock, steps_left) = (world.clock.clone(), AtomicU64::new(steps));
        Arc::new(Self { clock, tenant_count, portions: Mutex::default(), steps_left })
    }
}

#[async_trait]
impl Retention for Crowd {
    async fn expire_due(
        &self,
        _: Timestamp,
        _: &str,
        _: Timestamp,
        _: PrunePosition,
        _: u32,
    ) -> Result<PruneStep, StoreError> {
        Ok(PruneStep::default())
    }

    async fn prune_history(&self, _: &HistoryCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        Ok(PruneStep::default())
    }

    async fn prune_feed(&self, _: Timestamp, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        Ok(PruneStep::default())
    }

    async fn prune_work(&self, _: &WorkCut, _: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        Ok(PruneStep::default())
    }

    async fn prune_tenants(&self, from: PrunePosition, _: u32) -> Result<PruneStep, StoreError> {
        let left = self.steps_left.load(Ordering::Relaxed);
        if left == 0 {
            return Ok(PruneStep { is_others: true, ..PruneStep::default() });
        }
        self.steps_left.store(left - 1, Ordering::Relaxed);
        let tenant = from.owner.as_u128() + u128::from(from.stage == 0);
        if tenant > self.tenant_count {
            return Ok(PruneStep::default());
        }
        self.clock.advance_ms(1_000);
        *self.portions.lock().entry(tenant).or_default() += 1;
        let next = PrunePosition { stage: 1, owner: Uuid::from_u128(tenant), ..PrunePosition::default() };
        Ok(PruneStep { rows: 1, next: Some(next), ..PruneStep::default() })
    }

    async fn history_kept(&self) -> Result<HistoryKept, StoreError> {
        Ok(HistoryKept::default())
    }
}

#[tokio::test]
async fn deleted_tenants_have_their_turns_however_many_take_long() {
    let world = World::new().await;
    let in_a_round = RETENTION_ROUND_MS_MAX / RETENTION_TENANT_MS_MAX;
    let tenant_count = u128::from(in_a_round) + 2;
    let crowd = Crowd::of(&world, tenant_count, u64::MAX);
    let retention = world.on(crowd.clone(), RULES);
    let a_turn = RETENTION_TENANT_MS_MAX / 1_000;
    assert!(!retention.run_once().await.unwrap().is_whole);
    let first: BTreeMap<u128, u64> = (1..=u128::from(in_a_round)).map(|tenant| (tenant, a_turn)).collect();
    assert_eq!(*crowd.portions.lock(), first);
    assert!(!retention.run_once().await.unwrap().is_whole);
    let portions = crowd.portions.lock().clone();
    assert_eq!(portions.len() as u128, tenant_count, "{portions:?}");
    assert_eq!((portions[&1], portions[&tenant_count]), (2 * a_turn, a_turn), "then the first again");
}

#[tokio::test]
async fn a_round_that_another_process_ends_goes_on_with_the_same_deleted_tenant() {
    const A_TURN: u64 = RETENTION_TENANT_MS_MAX / 1_000;
    let world = World::new().await;
    let crowd = Crowd::of(&world, 3, A_TURN + 1);
    let retention = world.on(crowd.clone(), RULES);
    assert!(retention.run_once().await.unwrap().is_whole, "the other one goes on");
    assert_eq!(*crowd.portions.lock(), BTreeMap::from([(1, A_TURN), (2, 1)]));
    crowd.steps_left.store(A_TURN, Ordering::Relaxed);
    assert!(retention.run_once().await.unwrap().is_whole);
    assert_eq!(*crowd.portions.lock(), BTreeMap::from([(1, A_TURN), (2, 1 + A_TURN)]), "with a turn of its own");
    crowd.steps_left.store(1, Ordering::Relaxed);
    assert!(retention.run_once().await.unwrap().is_whole);
    let portions = crowd.portions.lock().clone();
    assert_eq!(portions, BTreeMap::from([(1, A_TURN), (2, 1 + A_TURN), (3, 1)]), "it was between the two");
}
