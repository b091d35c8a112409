//! The loop: claims whenever slots are free, gives each tenant's share of a claim and then each delivery a task of its own,
//! and ends without losing any.

use super::along::Recordings;
use super::leases::{self, Leases};
use super::outage::Outage;
use super::portion::Portion;
use super::settler::{self, Ending};
use super::signal::DueSignal;
use super::slots::{Room, Slot, Slots};
use super::stages::{self, Ready, Stages};
use super::trouble::{First, Told};
use crate::guard::guarded;
use crate::limits::{LOOK_MS_MIN, SEND_MARGIN_MS, SETTLE_FIRST_MS_MAX, STORE_BACKOFF_MS_MIN};
use futures::FutureExt;
use hookgraph_domain::attempt::OutcomeCode;
use hookgraph_domain::delivery::ClaimedDelivery;
use hookgraph_domain::ids::{DeliveryId, TenantId};
use hookgraph_domain::ports::{Claimer, Claims, StoreError};
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::{Timestamp, plus_ms};
use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What every task of the loop shares.
pub(super) struct Road {
    pub(super) stages: Arc<Stages>,
    pub(super) tasks: TaskTracker,
    endings: mpsc::Sender<Ending>,
    pub(super) slots: Arc<Slots>,
    leases: Leases,
    /// Whether the last claim left some of what it was asked for: then large claims of what waits come before small ones of what
    /// is recorded.
    pub(super) is_behind: AtomicBool,
    /// A shutdown began: nothing new is sent.
    pub(super) stopping: CancellationToken,
    /// The shutdown takes too long: what is in flight is let go.
    cut: CancellationToken,
}

/// What the loop waits for before it claims again.
enum Wait {
    /// Nothing: more is due.
    Not,
    /// For a slot.
    ForSlot,
    /// For company, then for a wake-up, a slot, or the time.
    ForDue { gathering: Duration, at_most: Duration },
    /// For the time alone: the store fails.
    ForStore(Duration),
}

/// The loop: see [`super::Dispatcher::run`].
pub(super) async fn run(stages: Arc<Stages>, wake: DueSignal, shutdown: CancellationToken) {
    let limits = stages.limits;
    // Never full: every ending holds one of so many slots.
    let (endings, received) = mpsc::channel(limits.in_flight_max.max(1) as usize);
    let settler = tokio::spawn(settler::run(Arc::clone(&stages), received));
    let slots = Slots::of(limits.in_flight_max, stages.flow.clone());
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
    let recordings: Arc<dyn Claimer> = Arc::new(Recordings(Arc::downgrade(&road)));
    road.stages.services.queue.claim_with_recordings(Arc::downgrade(&recordings));
    let beats = tokio::spawn(leases::beat(Arc::clone(&road.stages), road.leases.clone()));
    let mut looking = Looking { outage: Outage::of("claim"), settles_since: None, next_due: None };
    while !shutdown.is_cancelled() {
        let wait = claim_round(&road, &mut looking).await;
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
        // The loop cannot claim, but polling is the backstop here too.
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

/// What the loop knows from one claim to the next.
struct Looking {
    outage: Outage,
    /// Since when it waits for what is written first.
    settles_since: Option<Timestamp>,
    /// When something falls due next, if that was asked.
    next_due: Option<Timestamp>,
}

/// After an outage: the wait for what came of requests meanwhile to be written, before anything is claimed. Else whoever claims
/// first would send again what has arrived.
async fn settles_first(road: &Road, looking: &mut Looking) -> Option<Wait> {
    let (stages, trouble) = (&road.stages, &road.stages.trouble);
    if trouble.first(stages.now()) == First::Ask {
        let call = trouble.asks(stages.now());
        if let Err(error) = guarded(stages.services.queue.next_due_at(stages.now())).await {
            call.ended(stages.now(), Told::Away);
            looking.settles_since = None;
            return Some(Wait::ForStore(looking.outage.failed(&error)));
        }
        call.ended(stages.now(), Told::Answered { writes: false });
    }
    let now = stages.now();
    let wait = match trouble.first(now) {
        First::Claim => return None,
        First::Settle(left) => left,
        // Something failed just now.
        First::Ask => Duration::from_millis(STORE_BACKOFF_MS_MIN),
    };
    let since = *looking.settles_since.get_or_insert(now);
    (now < plus_ms(since, SETTLE_FIRST_MS_MAX)).then_some(Wait::ForStore(wait))
}

/// Claims as many as there are free slots, and starts them. A claim under way is never broken off: what it leased would
/// wait for its lease's end.
async fn claim_round(road: &Arc<Road>, looking: &mut Looking) -> Wait {
    if let Some(wait) = settles_first(road, looking).await {
        return wait;
    }
    looking.settles_since = None;
    let asked_at = road.stages.now();
    let Some(room) = road.slots.room(&road.stages.limits, asked_at) else {
        return Wait::ForSlot;
    };
    let call = road.stages.trouble.asks(asked_at);
    match guarded(road.stages.claim(room.wanted, &room.allowance)).await {
        Err(error) => {
            call.ended(road.stages.now(), Told::by(&error));
            Wait::ForStore(looking.outage.failed(&error))
        }
        Ok(claims) => {
            looking.outage.over();
            let count = claims.deliveries.len();
            call.claimed(road.stages.now(), count > 0);
            let asked = Asked { at: asked_at, claimed: count, left_any: !claims.left.without_room.is_empty() };
            if start(road, claims, room).await {
                return Wait::Not;
            }
            // What falls due meanwhile waits for nothing.
            let at_most = until_due(road, asked, &mut looking.next_due).await;
            let gathering = road.stages.gathering(count, road.stages.limits.claim_batch_max as usize).min(at_most);
            Wait::ForDue { gathering, at_most: at_most.saturating_sub(gathering) }
        }
    }
}

/// What a claim came to, for the wait after it.
struct Asked {
    at: Timestamp,
    claimed: usize,
    /// Whether something had no room: what falls due next may be more of that.
    left_any: bool,
}

/// How long nothing more will be due by itself after a claim. What is due now and was not claimed is another's, or waits for a slot
/// of its webhook: no reason to ask again at once. What was found to be due next is believed until it has passed.
async fn until_due(road: &Road, asked: Asked, next_due: &mut Option<Timestamp>) -> Duration {
    let poll_ms = road.stages.limits.poll_ms;
    let token_ms = road.stages.flow.next_token_ms(asked.at, road.stages.now());
    let poll_ms = token_ms.map_or(poll_ms, |token_ms| poll_ms.min(token_ms));
    if asked.claimed == 0 || next_due.is_some_and(|due_at| due_at <= asked.at) {
        // A failure here is told by the next claim.
        *next_due = guarded(road.stages.services.queue.next_due_at(asked.at)).await.ok().flatten();
    }
    let Some(due_at) = next_due.filter(|due_at| *due_at > asked.at) else {
        return Duration::from_millis(poll_ms);
    };
    // One more, because what is left of a millisecond was cut.
    let left_ms = u64::try_from((due_at - road.stages.now()).num_milliseconds()).unwrap_or(0) + 1;
    let least_ms = if asked.left_any || asked.claimed > 0 { LOOK_MS_MIN } else { 0 };
    Duration::from_millis(left_ms.max(least_ms).min(poll_ms))
}

/// Starts what was claimed into that room, and says whether there may be more.
pub(super) async fn start(road: &Arc<Road>, claims: Claims, mut room: Room) -> bool {
    let Claims { deliveries: claims, left } = claims;
    let now = road.stages.now();
    let mut slots: HashMap<DeliveryId, Slot> = claims
        .iter()
        .map(|claim| (claim.delivery.id, room.slot(road.stages.flow.enter(claim, now), road.leases.keep(claim))))
        .collect();
    let may_be_more = room.learn(&claims, left);
    road.is_behind.store(may_be_more, Ordering::Relaxed);
    drop(room);
    let (live, settlements) = road.stages.screen(claims);
    for settlement in settlements {
        if let Some(slot) = slots.remove(&settlement.delivery_id) {
            road.end(Ending::Settled(Box::new(settlement), slot)).await;
        }
    }
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

/// Renders and freezes one tenant's share of a claim, as many at once as their payloads may take, and sends each delivery in a task of
/// its own. What is frozen already waits for nobody's render.
async fn prepare(road: Arc<Road>, share: Vec<(ClaimedDelivery, Slot)>) {
    let (claims, slots): (Vec<_>, Vec<_>) = share.into_iter().unzip();
    let mut slots: HashMap<_, _> = claims.iter().map(|claim| claim.delivery.id).zip(slots).collect();
    let keys: Vec<_> = claims.iter().map(stages::key).collect();
    if let Err(error) = leases::extend_late(&road.stages, &road.leases, &claims).await {
        tracing::info!(count = keys.len(), %error, "claimed late, and not extended: given back");
        return road.release_all(&keys, &mut slots).await;
    }
    let (mut frozen, mut unrendered): (Vec<_>, Vec<_>) = claims.into_iter().partition(|claim| claim.payload.is_some());
    let of_frozen = frozen.iter().filter_map(|claim| Some((claim.delivery.id, slots.get(&claim.delivery.id)?)));
    let beyond = road.slots.beyond_share(of_frozen, road.stages.now());
    let back: Vec<_> =
        frozen.extract_if(.., |claim| beyond.contains(&claim.delivery.id)).map(|claim| stages::key(&claim)).collect();
    // At once, so that another share of the same webhook does not give back as many again.
    for (id, _) in &back {
        if let Some(slot) = slots.get_mut(id) {
            slot.gives_back();
        }
    }
    road.release_all(&back, &mut slots).await;
    let rendered = road.stages.render(frozen).await;
    road.hold(&rendered.frozen, &mut slots);
    road.send_all(rendered.frozen, &mut slots).await;
    let until = Instant::now() + Duration::from_millis(road.stages.limits.render_batch_ms_max);
    while !unrendered.is_empty() && Instant::now() < until {
        let now = road.stages.now();
        let back: Vec<_> = unrendered
            .extract_if(.., |claim| !road.may_render(claim, &slots, now))
            .map(|claim| stages::key(&claim))
            .collect();
        road.release_all(&back, &mut slots).await;
        let (count, expected) = road.stages.flow.render_portion(&unrendered);
        let permit = tokio::select! {
            biased;
            () = road.stopping.cancelled() => break,
            () = tokio::time::sleep_until(until) => break,
            permit = road.slots.to_render(expected) => permit,
        };
        if unrendered.is_empty() {
            break;
        }
        let mut count = count.min(unrendered.len());
        if expected > 0 {
            // What was rendered while these waited may have told more of them, or have taken the slots.
            let now = road.stages.now();
            let (count_now, expected_now) = road.stages.flow.render_portion(&unrendered);
            let are_small_enough = unrendered[..count].iter().all(|claim| road.may_render(claim, &slots, now));
            if expected_now > expected || !are_small_enough {
                continue;
            }
            count = count.min(count_now);
        }
        let rest = unrendered.split_off(count);
        let some = std::mem::replace(&mut unrendered, rest);
        let some_keys: Vec<_> = some.iter().map(stages::key).collect();
        let rendered = tokio::select! {
            biased;
            () = road.stopping.cancelled() => break,
            rendered = road.stages.render(some) => rendered,
        };
        let was_refused =
            |one: &&Settlement| one.attempt.as_ref().is_some_and(|it| it.code == OutcomeCode::RenderFailed);
        let refused = rendered.settlements.iter().filter(was_refused).map(|settlement| settlement.webhook_id);
        road.stages.flow.refused(refused, road.stages.now());
        for settlement in rendered.settlements {
            if let Some(slot) = slots.remove(&settlement.delivery_id) {
                road.end(Ending::Settled(Box::new(settlement), slot)).await;
            }
        }
        road.hold(&rendered.fresh, &mut slots);
        drop(permit);
        road.freeze_and_send(rendered.fresh, until, &mut slots).await;
        // What was not frozen: by another worker, by a call of ours whose answer was lost, or not at all. A release under a lost
        // lease changes nothing.
        road.release_all(&some_keys, &mut slots).await;
    }
    // What there was no time for.
    road.release_all(&keys, &mut slots).await;
}

impl Road {
    fn may_render(&self, claim: &ClaimedDelivery, slots: &HashMap<DeliveryId, Slot>, now: Timestamp) -> bool {
        slots.get(&claim.delivery.id).is_some_and(|slot| self.slots.may_render(slot, now))
    }

    /// Each slot holds as many as its payload takes, now that this is there.
    fn hold(&self, ready: &[Ready], slots: &mut HashMap<DeliveryId, Slot>) {
        if ready.is_empty() {
            return;
        }
        let payloads = ready.iter().map(|one| (one.claim.delivery.webhook_id, one.payload.json.len()));
        self.stages.flow.rendered(payloads, self.stages.now());
        for one in ready {
            if let Some(slot) = slots.get_mut(&one.claim.delivery.id) {
                slot.holds(one.payload.json.len());
            }
        }
    }

    /// Whether the lease holds until after the next beat: a request that starts is kept leased from there on.
    fn has_time(&self, ready: &Ready) -> bool {
        self.leases.hold_at(ready.key(), plus_ms(self.stages.now(), SEND_MARGIN_MS))
    }

    async fn end(&self, ending: Ending) {
        // The receiver is dropped only after a shutdown that could not be written down: the leases end by themselves.
        if self.endings.send(ending).await.is_err() {
            tracing::warn!("a claim's end could not be written: it waits for its lease's end");
        }
    }

    async fn release_all(&self, keys: &[(DeliveryId, i64)], slots: &mut HashMap<DeliveryId, Slot>) {
        for key in keys {
            if let Some(slot) = slots.remove(&key.0) {
                self.end(Ending::Released(*key, slot)).await;
            }
        }
    }

    /// Freezes, a portion at a time, and sends what is frozen; through failures of the store, for as long as one of the leases holds,
    /// until that time, and while no shutdown began. A payload that the store will never take is a fault of ours, and holds up no other.
    async fn freeze_and_send(
        self: &Arc<Self>,
        mut fresh: Vec<Ready>,
        until: Instant,
        slots: &mut HashMap<DeliveryId, Slot>,
    ) {
        let mut outage = Outage::of("freeze");
        let mut portion = Portion::of(fresh.len());
        while !fresh.is_empty() {
            let count = portion.first(fresh.iter().map(|ready| ready.payload.json.len()));
            let error = match self.stages.write(self.stages.freeze(&fresh[..count])).await {
                Ok(fenced) => {
                    outage.over();
                    portion.written();
                    let frozen = stages::kept(fresh.drain(..count).collect(), &fenced).collect();
                    self.send_all(frozen, slots).await;
                    continue;
                }
                Err(error) => error,
            };
            portion.failed(count);
            if !error.is_retryable() {
                if count == 1 {
                    self.cannot_freeze(&fresh.remove(0), &error, slots).await;
                }
                continue;
            }
            if count == 1 {
                // Should it be the cause, the others go first.
                fresh.rotate_left(1);
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(outage.failed(&error)) => {}
            }
            if Instant::now() >= until || !fresh.iter().any(|ready| self.has_time(ready)) {
                return;
            }
        }
    }

    async fn cannot_freeze(&self, ready: &Ready, error: &StoreError, slots: &mut HashMap<DeliveryId, Slot>) {
        let delivery_id = ready.claim.delivery.id;
        tracing::error!(%delivery_id, %error, "a payload cannot be kept: to be rendered again");
        if let Some(slot) = slots.remove(&delivery_id) {
            let settlement = self.stages.faulted(&ready.claim, format!("the payload cannot be kept: {error}"));
            self.end(Ending::Settled(Box::new(settlement), slot)).await;
        }
    }

    async fn send_all(self: &Arc<Self>, ready: Vec<Ready>, slots: &mut HashMap<DeliveryId, Slot>) {
        for ready in ready {
            let Some(slot) = slots.remove(&ready.claim.delivery.id) else { continue };
            if self.stopping.is_cancelled() || !self.has_time(&ready) {
                self.end(Ending::Released(ready.key(), slot)).await;
            } else {
                self.tasks.spawn(Arc::clone(self).deliver(ready, slot));
            }
        }
    }

    /// One delivery. Were a panic not settled, its request would be sent again as often as a lease ends.
    async fn deliver(self: Arc<Self>, ready: Ready, slot: Slot) {
        let ending = tokio::select! {
            biased;
            sent = AssertUnwindSafe(self.stages.send(&ready)).catch_unwind() => {
                let settlement = sent.unwrap_or_else(|_| {
                    tracing::error!(delivery_id = %ready.claim.delivery.id, "a fault of ours: a request panicked");
                    self.stages.faulted(&ready.claim, "the code that sends requests panicked".to_owned())
                });
                Ending::Settled(Box::new(settlement), slot)
            }
            () = self.cut.cancelled() => Ending::Released(ready.key(), slot),
        };
        self.end(ending).await;
    }
}

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
