//! The watch on the fake store, look by look and as a loop on a paused clock.

use super::*;
use futures::FutureExt;
use hookgraph_domain::change::Change;
use hookgraph_domain::ids::{EventId, TenantId};
use hookgraph_domain::ports::UnitOfWork;
use hookgraph_schema::Following;
use hookgraph_testkit::{MemoryStore, ReadPlan, sample};
use parking_lot::Mutex;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::time::Instant;
use uuid::Uuid;

/// Ten polls, and the midst of a wait after them.
const LONG: Duration = Duration::from_millis(10 * FEED_POLL_MS + FEED_POLL_MS / 2);

const ONE: TenantId = TenantId(Uuid::from_u128(1));
const OTHER: TenantId = TenantId(Uuid::from_u128(2));

#[derive(Default)]
struct World {
    store: MemoryStore,
    signals: Arc<FeedSignals>,
    fed: watch::Sender<()>,
    events: AtomicU32,
}

impl World {
    /// A watch that was not begun.
    fn watch(&self) -> FeedWatch {
        FeedWatch {
            feed: Arc::new(self.store.clone()),
            signals: self.signals.clone(),
            fed: self.fed.subscribe(),
            told_to_seq: None,
            is_failing: false,
            is_to_check: false,
        }
    }

    /// The loop, as it goes on beside the test; ends with it.
    async fn watched(&self) {
        tokio::spawn(self.watch().keep_up());
        settled().await;
    }

    /// Records an event and wakes nobody; its `seq`.
    async fn commit(&self, tenant_id: TenantId) -> i64 {
        self.commit_many(tenant_id, 1).await
    }

    /// Records so many events; the `seq` of the last.
    async fn commit_many(&self, tenant_id: TenantId, count: u32) -> i64 {
        let before = self.events.fetch_add(count, Ordering::Relaxed);
        let mut change = Change::at(sample::now());
        let ids = (before..before + count).map(|number| EventId(Uuid::from_u128(number.into())));
        change.events = ids.map(|id| sample::event(id, tenant_id, "o1")).collect();
        self.store.commit(change).await.unwrap();
        i64::from(before + count)
    }

    fn reads(&self) -> usize {
        self.store.feed_reads().take_count()
    }
}

/// Everything goes on that waits for no time.
async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass, with all that happens in it. The clock is paused: nobody waits.
async fn passed(time: Duration) {
    let nothing = timeout(time, std::future::pending::<()>()).await;
    assert!(nothing.is_err());
}

/// Whether what is beyond that `seq` was told.
fn told(following: &mut Following, seq: i64) -> bool {
    following.beyond(seq).now_or_never().is_some()
}

#[tokio::test]
async fn one_read_tells_all_followers_of_the_tenants_that_moved_and_nobody_else() {
    let world = World::default();
    let mut watch = world.watch();
    let mut of_one: Vec<_> = (0..50).map(|_| world.signals.follow(ONE)).collect();
    let mut of_other = world.signals.follow(OTHER);
    watch.look().await.unwrap();
    world.reads();
    world.commit(ONE).await;
    let seq = world.commit(ONE).await;
    assert!(!watch.look().await.unwrap());
    assert_eq!(world.reads(), 1);
    for following in &mut of_one {
        assert!(told(following, seq - 1));
    }
    assert!(!told(&mut of_other, 0));
    watch.look().await.unwrap();
    assert!(of_one.iter_mut().all(|following| !told(following, seq)), "nothing moved");
}

#[tokio::test]
async fn the_first_look_tells_of_what_was_fed_since_somebody_followed() {
    let world = World::default();
    for _ in 0..3 {
        world.commit(OTHER).await;
    }
    let mut following = world.signals.follow(ONE);
    let read_to_seq = 3;
    let seq = world.commit(ONE).await;
    let mut watch = world.watch();
    watch.look().await.unwrap();
    assert!(told(&mut following, read_to_seq));
    assert_eq!(watch.told_to_seq, Some(seq));
}

#[tokio::test]
async fn more_moves_than_one_look_takes_are_told_by_the_next_ones() {
    let world = World::default();
    let mut watch = world.watch();
    let (mut one, mut other) = (world.signals.follow(ONE), world.signals.follow(OTHER));
    watch.look().await.unwrap();
    world.commit_many(ONE, FEED_MOVES_BATCHES_MAX).await;
    world.commit(OTHER).await;
    assert!(watch.look().await.unwrap(), "it goes on at once");
    assert!(told(&mut one, i64::from(FEED_MOVES_BATCHES_MAX) - 1) && !told(&mut other, 0));
    assert!(!watch.look().await.unwrap());
    assert!(told(&mut other, i64::from(FEED_MOVES_BATCHES_MAX)));
}

#[tokio::test]
async fn followers_of_a_feed_that_has_gone_back_are_told_of_what_moves_from_there_on() {
    for after_an_outage in [false, true] {
        let (world, standby) = (World::default(), World::default());
        let seq = world.commit_many(ONE, 3).await;
        let back_to_seq = standby.commit(ONE).await;
        let mut following = world.signals.follow(ONE);
        let mut watch = world.watch();
        watch.look().await.unwrap();
        assert!(told(&mut following, seq - 1));
        watch.feed = Arc::new(standby.store.clone());
        watch.is_failing = after_an_outage;
        if !after_an_outage {
            watch.look().await.unwrap();
            assert_eq!(following.beyond(seq).now_or_never(), None, "it found nothing: the next one asks why");
        }
        watch.look().await.unwrap();
        watch.is_failing = false;
        assert_eq!(following.beyond(seq).now_or_never(), Some(back_to_seq), "from there on it reads");
        standby.commit(ONE).await;
        watch.look().await.unwrap();
        assert!(told(&mut following, back_to_seq));
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_goes_back_is_found_by_the_poll() {
    let world = World::default();
    let mut following = world.signals.follow(ONE);
    let mut watch = world.watch();
    watch.told_to_seq = Some(7);
    tokio::spawn(watch.keep_up());
    let begun_at = Instant::now();
    assert_eq!(following.beyond(7).await, 0);
    assert!(begun_at.elapsed().as_millis() <= u128::from(FEED_POLL_MS), "{:?}", begun_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_goes_back_is_found_by_looks_that_are_called_for_at_the_cost_of_no_further_reads() {
    const WAKE_UPS: usize = 10;
    let world = World::default();
    let mut following = world.signals.follow(ONE);
    let mut watch = world.watch();
    watch.told_to_seq = Some(7);
    tokio::spawn(watch.keep_up());
    for _ in 0..WAKE_UPS {
        passed(Duration::from_millis(2 * FEED_WATCH_PAUSE_MS)).await;
        world.fed.send_replace(());
    }
    assert_eq!(following.beyond(7).now_or_never(), Some(0), "long before a poll");
    let reads = world.reads();
    assert!((WAKE_UPS..=WAKE_UPS + 1).contains(&reads), "{reads}");
}

#[tokio::test(start_paused = true)]
async fn a_move_after_a_quiet_time_is_told_at_once() {
    let world = World::default();
    let mut following = world.signals.follow(ONE);
    world.watched().await;
    assert!(timeout(LONG, following.beyond(0)).await.is_err());
    let seq = world.commit(ONE).await;
    let begun_at = Instant::now();
    world.fed.send_replace(());
    following.beyond(seq - 1).await;
    assert_eq!(begun_at.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_commits_a_second_are_one_read_in_each_pause() {
    const SPAN_MS: u64 = 40 * FEED_WATCH_PAUSE_MS;
    let world = World::default();
    let mut following = world.signals.follow(ONE);
    world.watched().await;
    world.reads();
    let mut seq = 0;
    for _ in 0..SPAN_MS {
        seq = world.commit(ONE).await;
        world.fed.send_replace(());
        tokio::time::advance(Duration::from_millis(1)).await;
        settled().await;
    }
    let reads = u64::try_from(world.reads()).unwrap();
    assert!((SPAN_MS / FEED_WATCH_PAUSE_MS / 2..=SPAN_MS / FEED_WATCH_PAUSE_MS + 1).contains(&reads), "{reads}");
    let begun_at = Instant::now();
    following.beyond(seq - 1).await;
    assert!(begun_at.elapsed() <= Duration::from_millis(FEED_WATCH_PAUSE_MS), "the last one too");
}

#[tokio::test(start_paused = true)]
async fn a_lost_wake_up_is_made_good_by_the_poll() {
    let world = World::default();
    let mut following = world.signals.follow(ONE);
    world.watched().await;
    let begun_at = Instant::now();
    let seq = world.commit(ONE).await;
    following.beyond(seq - 1).await;
    assert!(begun_at.elapsed().as_millis() <= u128::from(FEED_POLL_MS), "{:?}", begun_at.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_wake_ups_or_moves_all_subscriptions_cost_one_read_a_poll_and_none_costs_none() {
    let world = World::default();
    world.watched().await;
    passed(LONG).await;
    assert_eq!(world.reads(), 0, "nobody follows");
    let mut followings: Vec<_> =
        (0..1_000).map(|number| world.signals.follow(TenantId(Uuid::from_u128(number)))).collect();
    settled().await;
    world.reads();
    assert!(timeout(LONG, followings[0].beyond(0)).await.is_err());
    let polls = world.reads();
    assert!((9..=11).contains(&polls), "{polls}");
    drop(followings);
    passed(LONG).await;
    assert_eq!(world.reads(), 0, "nobody follows any more");
    // Who comes then is told of what is fed from then on.
    world.commit(ONE).await;
    let mut following = world.signals.follow(ONE);
    settled().await;
    let seq = world.commit(ONE).await;
    following.beyond(seq - 1).await;
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_once_and_what_moved_meanwhile_is_told_after_it() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(lines);
    let world = World::default();
    let (mut one, mut other) = (world.signals.follow(ONE), world.signals.follow(OTHER));
    world.watched().await;
    world.store.feed_reads().plan(ReadPlan::Fail);
    let seqs = [world.commit(ONE).await, world.commit(OTHER).await];
    world.fed.send_replace(());
    assert!(timeout(LONG, one.beyond(0)).await.is_err());
    world.store.feed_reads().plan(ReadPlan::Answer);
    let begun_at = Instant::now();
    one.beyond(seqs[0] - 1).await;
    other.beyond(seqs[1] - 1).await;
    assert!(begun_at.elapsed() <= Duration::from_millis(FEED_POLL_MS));
    settled().await;
    let told = String::from_utf8(log.0.lock().clone()).unwrap();
    assert_eq!(told.matches("the feed cannot be watched").count(), 1, "{told}");
    assert_eq!(told.matches("the feed is watched again").count(), 1, "{told}");
}

#[tokio::test]
async fn the_watch_ends_when_the_server_stops() {
    let world = World::default();
    let stopping = CancellationToken::new();
    let running = tokio::spawn(run(
        Arc::new(world.store.clone()),
        world.signals.clone(),
        world.fed.subscribe(),
        stopping.clone(),
    ));
    settled().await;
    assert!(!running.is_finished());
    stopping.cancel();
    running.await.unwrap();
}
