//! The world of a run: the store with everyone's calls to it, the clock, and the model that judges each call at once.

use super::dice::Dice;
use super::ending::FinalRows;
use super::model::{Model, News, Phase, ProcessId, Verdict};
use super::plan::{Plan, TENANT};
use super::receiver::Script;
use futures::FutureExt;
use hookgraph_dispatcher::worker::DueSignal;
use hookgraph_domain::change::{Change, CommitError, Committed};
use hookgraph_domain::event::Event;
use hookgraph_domain::feed::{FeedChange, FeedFilter};
use hookgraph_domain::ids::{DeliveryId, EventId, WebhookId};
use hookgraph_domain::ports::{
    ClaimRequest, Claimer, Claims, Clock, DeliveryQueue, Feed, Fenced, Freeze, History, StoreError, UnitOfWork,
    WebhookReader,
};
use hookgraph_domain::settle::Settlement;
use hookgraph_domain::time::{Timestamp, plus_ms};
use hookgraph_domain::webhook::Webhook;
use hookgraph_testkit::{MemoryStore, SeededEntropy, sample};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// More than a run ever writes between two looks.
const FEED_PAGE: u32 = 10_000;

/// Simulated time, and what the clock jumped.
#[derive(Debug)]
pub struct SimulatedClock {
    began: tokio::time::Instant,
    jumped_ms: AtomicU64,
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        plus_ms(sample::now(), elapsed_ms + self.jumped_ms.load(Ordering::Relaxed))
    }
}

/// The lines of a run, and the first violation.
#[derive(Default)]
struct RunLog {
    lines: Option<Vec<String>>,
    violation: Option<String>,
}

pub struct World {
    pub plan: Plan,
    pub dice: Dice,
    pub entropy: SeededEntropy,
    pub clock: Arc<SimulatedClock>,
    pub store: MemoryStore,
    pub model: Mutex<Model>,
    pub signals: Mutex<BTreeMap<u64, DueSignal>>,
    /// The claimers of recordings, of the processes that live.
    pub claimers: Mutex<BTreeMap<ProcessId, Weak<dyn Claimer>>>,
    log: Mutex<RunLog>,
    calm: AtomicBool,
    outage_until: Mutex<Option<Timestamp>>,
}

/// What becomes of a call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answers,
    Fails,
    AnswerLost,
    DiesBefore,
    DiesAfter,
}

fn at_once<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("the fake answers at once")
}

impl World {
    pub fn of(seed: u64, tells: bool) -> Self {
        let dice = Dice::new(seed);
        let plan = Plan::of(&dice);
        let entropy = SeededEntropy::new(seed);
        let model = Model { leases_are_safe: plan.leases_are_safe(), ..Model::default() };
        let clock = SimulatedClock { began: tokio::time::Instant::now(), jumped_ms: AtomicU64::new(0) };
        let world = Self {
            store: MemoryStore::default(),
            clock: Arc::new(clock),
            model: Mutex::new(model),
            signals: Mutex::default(),
            claimers: Mutex::default(),
            log: Mutex::new(RunLog { lines: tells.then(Vec::new), violation: None }),
            calm: AtomicBool::new(false),
            outage_until: Mutex::default(),
            plan,
            dice,
            entropy,
        };
        world.tell(|| format!("{:#?}", world.plan));
        world
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn tell(&self, line: impl FnOnce() -> String) {
        let mut log = self.log.lock();
        // Everything after a violation is its consequence.
        let is_wrong = log.violation.is_some();
        if let Some(lines) = log.lines.as_mut().filter(|_| !is_wrong) {
            lines.push(format!("{} {}", self.now().format("%d %H:%M:%S%.3f"), line()));
        }
    }

    pub fn judge<T>(&self, verdict: Verdict<T>) -> Option<T> {
        match verdict {
            Ok(fine) => Some(fine),
            Err(why) => {
                self.tell(|| format!("WRONG: {why}"));
                self.log.lock().violation.get_or_insert(why);
                None
            }
        }
    }

    pub fn violation(&self) -> Option<String> {
        self.log.lock().violation.clone()
    }

    pub fn take_lines(&self) -> Vec<String> {
        self.log.lock().lines.take().unwrap_or_default()
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Lets nothing fail from now on.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
        *self.outage_until.lock() = None;
        self.tell(|| "it is calm".to_owned());
    }

    pub fn jump_ms(&self, ms: u64) {
        self.clock.jumped_ms.fetch_add(ms, Ordering::Relaxed);
        self.tell(|| format!("the clock jumped by {ms} ms"));
    }

    pub fn lose_the_store_for(&self, ms: u64) {
        *self.outage_until.lock() = Some(plus_ms(self.now(), ms));
        self.tell(|| format!("the store is gone for {ms} ms"));
    }

    /// The fate of the next call, and how long it takes before and after its effect.
    pub fn fate(&self) -> (Fate, u64, u64) {
        let (dice, plan) = (&self.dice, &self.plan);
        if self.is_calm() {
            return (Fate::Answers, 0, 0);
        }
        let takes_ms = || if dice.happens(plan.store_hangs) { dice.between(1_000, 40_000) } else { dice.below(4) };
        let (before_ms, after_ms) = (takes_ms(), takes_ms());
        let is_gone = self.outage_until.lock().is_some_and(|until| self.now() < until);
        let fate = if is_gone || dice.happens(plan.store_fails) {
            Fate::Fails
        } else if dice.happens(plan.answers_lost) {
            Fate::AnswerLost
        } else if dice.happens(plan.dies_in_call) {
            if dice.coin() { Fate::DiesBefore } else { Fate::DiesAfter }
        } else {
            Fate::Answers
        };
        (fate, before_ms, after_ms)
    }

    /// The feed entries since the last look.
    fn news(&self) -> News {
        let after = self.model.lock().last_seq;
        if at_once(self.store.latest_seq()).is_ok_and(|last| last == after) {
            return News { entries: Vec::new(), rows: Vec::new() };
        }
        let page = at_once(self.store.feed_page(TENANT, after, &FeedFilter::default(), FEED_PAGE));
        let entries = page.expect("the fake reads").entries;
        let ids = entries.iter().filter_map(|entry| match entry.what {
            FeedChange::DeliveryUpdated { delivery_id, .. } => Some(delivery_id),
            FeedChange::EventRecorded { .. } => None,
        });
        let ids: Vec<DeliveryId> = ids.collect::<BTreeSet<_>>().into_iter().collect();
        let rows = at_once(self.store.deliveries(TENANT, &ids)).expect("the fake reads");
        News { entries, rows }
    }

    /// Lets the model judge a call that had its effect, and compares the rows with the model.
    fn learn(&self, lesson: impl FnOnce(&mut Model, &News) -> Verdict) {
        let news = self.news();
        let verdict = {
            let mut model = self.model.lock();
            lesson(&mut model, &news).and_then(|()| model.compare(&news))
        };
        self.judge(verdict);
    }

    pub fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        let committed = at_once(self.store.commit(change.clone()))?;
        self.learn(|model, news| model.committed(&change, news));
        Ok(committed)
    }

    pub fn claim(&self, who: ProcessId, request: &ClaimRequest) -> Result<Claims, StoreError> {
        let claims = at_once(self.store.claim(request))?;
        for claim in &claims.deliveries {
            self.tell(|| format!("{who:?} claims {} as {}", claim.delivery.id, claim.delivery.fencing_token));
        }
        self.learn(|model, news| {
            model.claimed(who, request, &claims.deliveries, news)?;
            model.keeps_its_bounds(who, &self.plan)
        });
        Ok(claims)
    }

    pub fn freeze(&self, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
        let answers = at_once(self.store.freeze(freezes))?;
        self.learn(|model, _| model.froze(freezes, &answers));
        Ok(answers)
    }

    pub fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
        let answers = at_once(self.store.settle(settlements))?;
        for (settlement, answer) in settlements.iter().zip(&answers) {
            let (id, state) = (settlement.delivery_id, settlement.next.state.as_str());
            self.tell(|| format!("{id} is settled as {state} under {}: {answer:?}", settlement.fencing_token));
        }
        self.learn(|model, _| model.settled(settlements, &answers));
        let webhooks: BTreeSet<WebhookId> = settlements.iter().map(|one| one.webhook_id).collect();
        for webhook in self.webhooks(&webhooks.into_iter().collect::<Vec<_>>()) {
            let verdict = self.model.lock().compare_webhook(webhook.id, &webhook);
            self.judge(verdict);
        }
        Ok(answers)
    }

    pub fn extend(&self, claims: &[(DeliveryId, i64)], until: Timestamp) -> Result<Vec<Fenced>, StoreError> {
        let answers = at_once(self.store.extend(claims, until))?;
        self.tell(|| format!("{} leases are extended", claims.len()));
        self.learn(|model, _| model.extended(claims, until, &answers));
        Ok(answers)
    }

    pub fn release(&self, claims: &[(DeliveryId, i64)], now: Timestamp) -> Result<(), StoreError> {
        at_once(self.store.release(claims, now))?;
        self.tell(|| format!("{} claims are given back", claims.len()));
        self.learn(|model, _| model.released(claims, now));
        Ok(())
    }

    pub fn began(&self, who: ProcessId, id: DeliveryId, body: &str) -> Option<i64> {
        let verdict = self.model.lock().began(who, id, body.into(), self.now());
        self.tell(|| format!("{who:?} sends {id}: {verdict:?}"));
        self.judge(verdict)
    }

    pub fn answered(&self, id: DeliveryId, token: i64, script: &Script) {
        self.tell(|| format!("{id} is answered under {token}: {script:?}"));
        let verdict = self.model.lock().answered(id, token, script, self.now());
        self.judge(verdict);
    }

    /// Notes that a process is no more.
    pub fn ended(&self, who: ProcessId) {
        self.tell(|| format!("{who:?} is no more"));
        self.model.lock().dead.insert(who);
        self.claimers.lock().remove(&who);
    }

    /// Makes the claim of a recording that one of the processes just made, where that process wants one. The answer
    /// of the commit may be lost, and with it the claimed deliveries.
    pub fn claim_along(&self) {
        let claimers: Vec<_> = self.claimers.lock().iter().map(|(who, claimer)| (*who, claimer.clone())).collect();
        let Some((who, claimer)) = self.dice.pick(&claimers) else { return };
        let Some(wanted) = claimer.upgrade().and_then(|claimer| claimer.wanted()) else { return };
        let claims = self.claim(*who, wanted.request()).expect("the fake claims");
        if self.is_calm() || !self.dice.happens(self.plan.answers_lost) {
            self.told_of(*who, &claims);
            wanted.take(claims);
        }
    }

    /// Tells a process of the deliveries that it claimed.
    pub fn told_of(&self, who: ProcessId, claims: &Claims) {
        self.model.lock().told_of(who, &claims.deliveries);
    }

    /// Whether a delivery of these events is due and nobody's.
    pub fn is_left_due(&self, event_ids: &[EventId]) -> bool {
        self.model.lock().owed.values().any(|owed| owed.phase == Phase::Due && event_ids.contains(&owed.event))
    }

    pub fn webhooks(&self, ids: &[WebhookId]) -> Vec<Webhook> {
        at_once(self.store.webhooks(TENANT, ids)).expect("the fake reads")
    }

    pub fn wake(&self) {
        for signal in self.signals.lock().values() {
            if !self.dice.happens(self.plan.wake_ups_lost) {
                signal.raise();
            }
        }
    }

    /// All rows of deliveries and attempts in the store.
    pub fn kept(&self) -> FinalRows {
        let ids: Vec<DeliveryId> = self.model.lock().owed.keys().copied().collect();
        FinalRows {
            rows: at_once(self.store.deliveries(TENANT, &ids)).expect("the fake reads"),
            attempts: at_once(self.store.attempts(&ids)).expect("the fake reads"),
            payloads: at_once(self.store.payloads(&ids)).expect("the fake reads"),
        }
    }

    /// Notes how a render ended.
    pub fn rendered(&self, event: &Event, webhook: WebhookId, refused: bool) {
        let mut model = self.model.lock();
        let about = (webhook, event.id);
        if refused {
            model.refused_renders.insert(about)
        } else {
            model.failed_renders.insert(about)
        };
    }
}
