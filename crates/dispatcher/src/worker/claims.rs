//! The loop: it claims whenever slots are free, starts the claimed deliveries, and ends without losing any.

use super::backoff::Backoff;
use super::leases::{self, Leases};
use super::prepare::prepare;
use super::recordings::RecordingClaimer;
use super::settler::{self, Ending};
use super::signal::DueSignal;
use super::slots::{Room, Slot, Slots};
use super::stages::Stages;
use super::trouble::{BeforeClaim, CallEnded};
use crate::guard::guarded;
use crate::limits::{LOOK_MS_MIN, SETTLE_FIRST_MS_MAX, STORE_BACKOFF_MS_MIN};
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::{DeliveryId, TenantId};
use hookgraph_domain::ports::{Claimer, Claims};
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::{Timestamp, plus_ms};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Everything that the tasks of the loop share.
pub(super) struct Road {
    pub(super) stages: Arc<Stages>,
    pub(super) tasks: TaskTracker,
    endings: mpsc::Sender<Ending>,
    pub(super) slots: Arc<Slots>,
    pub(super) leases: Leases,
    /// Whether the last claim left some of the deliveries that it was asked for. Then large claims of waiting
    /// deliveries come before small ones of recorded deliveries.
    pub(super) is_behind: AtomicBool,
    /// Cancelled when a shutdown begins: nothing new is sent.
    pub(super) stopping: CancellationToken,
    /// Cancelled when the shutdown takes too long: deliveries in flight are released.
    pub(super) cut: CancellationToken,
}

/// The slots of claimed deliveries that have neither ended nor begun to be sent.
pub(super) type SlotMap = HashMap<DeliveryId, Slot>;

impl Road {
    /// Hands the ending of a claim to the settler.
    pub(super) async fn end(&self, ending: Ending) {
        // The settler is gone only after a shutdown that could not write everything: then the leases end by themselves.
        if self.endings.send(ending).await.is_err() {
            tracing::warn!("a claim's end could not be written: it waits for its lease's end");
        }
    }

    /// Ends the claims of these settlements, as far as their slots are in the map.
    pub(super) async fn settle_all(&self, settlements: Vec<Settlement>, slots: &mut SlotMap) {
        for settlement in settlements {
            if let Some(slot) = slots.remove(&settlement.delivery_id) {
                self.end(Ending::Settled(Box::new(settlement), slot)).await;
            }
        }
    }

    /// Gives the claims of these deliveries back, as far as their slots are in the map.
    pub(super) async fn release_all(&self, ids: &[DeliveryId], slots: &mut SlotMap) {
        for id in ids {
            if let Some(slot) = slots.remove(id) {
                self.end(Ending::Released(slot)).await;
            }
        }
    }
}

/// The wait of the loop before its next claim.
enum Wait {
    /// It does not wait: more deliveries are due.
    Not,
    /// It waits for a slot.
    ForSlot,
    /// It lets more deliveries gather, then waits for a wake-up, a slot, or the time.
    ForDue { gathering: Duration, at_most: Duration },
    /// It waits for the time alone: the store fails.
    ForStore(Duration),
}

/// Runs the loop: see [`super::Dispatcher::run`].
pub(super) async fn run(stages: Arc<Stages>, wake: DueSignal, shutdown: CancellationToken) {
    let limits = stages.limits;
    // The channel is never full: every ending holds one of the slots.
    let (endings, received) = mpsc::channel(limits.in_flight_max.max(1) as usize);
    let slots = Slots::of(limits.in_flight_max, stages.shares.clone());
    let settler = tokio::spawn(settler::run(Arc::clone(&stages), Arc::clone(&slots), received));
    let road = Arc::new(Road {
        stages,
        tasks: TaskTracker::new(),
        endings,
        slots,
        leases: Leases::default(),
        is_behind: AtomicBool::new(true),
        stopping: shutdown.clone(),
        cut: CancellationToken::new(),
    });
    let recordings: Arc<dyn Claimer> = Arc::new(RecordingClaimer(Arc::downgrade(&road)));
    road.stages.services.queue.claim_with_recordings(Arc::downgrade(&recordings));
    let beats = tokio::spawn(leases::beat(Arc::clone(&road.stages), road.leases.clone()));
    let mut memory = LoopMemory { backoff: Backoff::of("claim"), settles_since: None, next_due: None };
    while !shutdown.is_cancelled() {
        let wait = claim_round(&road, &mut memory).await;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = waited(&road, &wake, wait) => {}
        }
    }
    drop(recordings);
    shut_down(road, settler).await;
    beats.abort();
}

async fn waited(road: &Road, wake: &DueSignal, wait: Wait) {
    match wait {
        Wait::Not => {}
        // The loop is told of a freed slot, but polling is the backstop here too.
        Wait::ForSlot => {
            let poll = Duration::from_millis(road.stages.limits.poll_ms);
            let _ = timeout(poll, road.slots.freed()).await;
        }
        Wait::ForStore(wait) => tokio::time::sleep(wait).await,
        Wait::ForDue { gathering, at_most } => {
            if !gathering.is_zero() {
                tokio::time::sleep(gathering).await;
            }
            tokio::select! {
                biased;
                () = wake.raised() => {}
                () = road.slots.freed() => {}
                () = tokio::time::sleep(at_most) => {}
            }
        }
    }
}

/// The memory of the loop from one claim to the next.
struct LoopMemory {
    backoff: Backoff,
    /// Since when the loop lets delayed settlements come first.
    settles_since: Option<Timestamp>,
    /// When the next delivery falls due, if the loop has asked.
    next_due: Option<Timestamp>,
}

/// The wait for the store, or for delayed settlements, that comes before a claim after an outage; none where the
/// claim may be made. A process that claimed first would send again requests that have arrived.
async fn settles_first(road: &Road, memory: &mut LoopMemory) -> Option<Wait> {
    let (stages, trouble) = (&road.stages, &road.stages.trouble);
    if trouble.before_claim(stages.now()) == BeforeClaim::Ask {
        let call = trouble.begin_call(stages.now());
        if let Err(error) = guarded(stages.services.queue.next_due_at(stages.now())).await {
            call.ended(stages.now(), CallEnded::ReadFailed);
            memory.settles_since = None;
            return Some(Wait::ForStore(memory.backoff.failed(&error)));
        }
        call.ended(stages.now(), CallEnded::Read);
    }
    let now = stages.now();
    let wait = match trouble.before_claim(now) {
        BeforeClaim::Nothing => return None,
        BeforeClaim::Settle(left) => left,
        // Another call failed after the read.
        BeforeClaim::Ask => Duration::from_millis(STORE_BACKOFF_MS_MIN),
    };
    let since = *memory.settles_since.get_or_insert(now);
    (now < plus_ms(since, SETTLE_FIRST_MS_MAX)).then_some(Wait::ForStore(wait))
}

/// Claims as many deliveries as there are free slots, and starts them. A claim under way is never broken off: the
/// deliveries that it leased would wait for the end of their leases.
async fn claim_round(road: &Arc<Road>, memory: &mut LoopMemory) -> Wait {
    if let Some(wait) = settles_first(road, memory).await {
        return wait;
    }
    memory.settles_since = None;
    let asked_at = road.stages.now();
    let Some(room) = road.slots.room(&road.stages.limits, asked_at) else {
        return Wait::ForSlot;
    };
    let call = road.stages.trouble.begin_call(asked_at);
    match guarded(road.stages.claim(room.wanted, &room.allowance)).await {
        Err(error) => {
            call.ended(road.stages.now(), CallEnded::of_error(&error));
            Wait::ForStore(memory.backoff.failed(&error))
        }
        Ok(claims) => {
            memory.backoff.over();
            let count = claims.deliveries.len();
            call.claimed(road.stages.now(), count);
            let last = LastClaim { asked_at, count, left_any: !claims.left.without_room.is_empty() };
            if start(road, claims, room).await {
                return Wait::Not;
            }
            let at_most = until_due(road, last, &mut memory.next_due).await;
            // A delivery that falls due meanwhile does not wait for others to gather.
            let gathering = road.stages.gathering(count, road.stages.limits.claim_batch_max as usize).min(at_most);
            Wait::ForDue { gathering, at_most: at_most.saturating_sub(gathering) }
        }
    }
}

/// The last claim, as the wait after it needs it.
struct LastClaim {
    asked_at: Timestamp,
    count: usize,
    /// Whether deliveries had no room: the next one that falls due may have none either.
    left_any: bool,
}

/// How long no delivery falls due after a claim. A due delivery that was not claimed is another process's, or waits
/// for a slot of its webhook: it is no reason to claim again at once. A next due time that was asked for is believed
/// until it has passed.
async fn until_due(road: &Road, last: LastClaim, next_due: &mut Option<Timestamp>) -> Duration {
    let poll_ms = road.stages.limits.poll_ms;
    let token_ms = road.stages.shares.next_token_ms(last.asked_at, road.stages.now());
    let poll_ms = token_ms.map_or(poll_ms, |token_ms| poll_ms.min(token_ms));
    if last.count == 0 || next_due.is_some_and(|due_at| due_at <= last.asked_at) {
        // The next claim tells of a failure here.
        *next_due = guarded(road.stages.services.queue.next_due_at(last.asked_at)).await.ok().flatten();
    }
    let Some(due_at) = next_due.filter(|due_at| *due_at > last.asked_at) else {
        return Duration::from_millis(poll_ms);
    };
    // One more millisecond, because the rest of a started one is cut.
    let left_ms = u64::try_from((due_at - road.stages.now()).num_milliseconds()).unwrap_or(0) + 1;
    let least_ms = if last.left_any || last.count > 0 { LOOK_MS_MIN } else { 0 };
    Duration::from_millis(left_ms.max(least_ms).min(poll_ms))
}

/// Starts the claimed deliveries in their room, each tenant's share in a task of its own, and answers whether more
/// may be due.
pub(super) async fn start(road: &Arc<Road>, claims: Claims, mut room: Room) -> bool {
    let orphans = claims.orphan_count();
    let Claims { deliveries: mut claims, left } = claims;
    let now = road.stages.now();
    let mut slots = SlotMap::with_capacity(claims.len());
    for claim in &claims {
        if !road.leases.renew(claim) {
            let slot = room.slot(road.stages.shares.enter(claim, now), road.leases.keep(claim));
            slots.insert(claim.delivery.id, slot);
        }
    }
    let may_be_more = room.learn(&claims, left);
    road.is_behind.store(may_be_more, Ordering::Relaxed);
    // The claim is under way until here: the settler may wait to learn which leases it renewed.
    drop(room);
    let renewed = claims.len() - slots.len();
    if renewed > 0 {
        tracing::warn!(renewed, "leases ended though this process lives: what is under way under them goes on");
        claims.retain(|claim| slots.contains_key(&claim.delivery.id));
    }
    if orphans > renewed {
        let orphans = orphans - renewed;
        tracing::warn!(orphans, "deliveries taken over: whoever had leased them died or was cut off");
    }
    let (live, settlements) = road.stages.screen(claims);
    road.settle_all(settlements, &mut slots).await;
    let mut by_tenant: BTreeMap<TenantId, Vec<(ClaimedDelivery, Slot)>> = BTreeMap::new();
    for claim in live {
        if let Some(slot) = slots.remove(&claim.delivery.id) {
            by_tenant.entry(claim.delivery.tenant_id).or_default().push((claim, slot));
        }
    }
    for share in by_tenant.into_values() {
        road.tasks.spawn(prepare(Arc::clone(road), share));
    }
    may_be_more
}

/// Lets requests in flight end, releases those that take too long, and waits until every ending is written.
async fn shut_down(road: Arc<Road>, settler: tokio::task::JoinHandle<()>) {
    let limits = road.stages.limits;
    road.tasks.close();
    tracing::info!(tasks = road.tasks.len(), "claiming no more: requests in flight end first");
    if timeout(Duration::from_millis(limits.drain_ms), road.tasks.wait()).await.is_err() {
        tracing::warn!(tasks = road.tasks.len(), "requests in flight take too long: released, to be sent again");
        road.cut.cancel();
    }
    let stop = settler.abort_handle();
    let flush = async {
        road.tasks.wait().await;
        drop(road);
        settler.await
    };
    match timeout(Duration::from_millis(limits.flush_ms), flush).await {
        Ok(Ok(())) => tracing::info!("all claims are settled or released"),
        Ok(Err(error)) => tracing::error!(%error, "the settler ended early: some claims wait for their leases' end"),
        Err(_) => {
            stop.abort();
            tracing::error!("the store did not take the last settlements: those claims wait for their leases' end");
        }
    }
}
