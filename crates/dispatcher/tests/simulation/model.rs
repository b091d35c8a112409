//! The model: what each delivery must be after each call, worked out from people's changes, the receivers' answers
//! and the clock, without a line of the road's own decisions. `changing` applies changes that commit, `judging`
//! judges claims and requests, and `settling` settlements.

use hookgraph_domain::delivery::{Delivery, DeliveryState};
use hookgraph_domain::feed::FeedEntry;
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{DeliveryId, EventId, ReplayId, WebhookId};
use hookgraph_domain::replay::Replay;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What was found wrong, in words.
pub type Verdict<T = ()> = Result<T, String>;

macro_rules! holds {
    ($what:expr, $($why:tt)*) => { if !$what { return Err(format!($($why)*)); } };
}
pub(crate) use holds;

/// A process: its slot, and how many processes the slot had before it.
pub type ProcessId = (u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Due,
    Leased,
    Held,
    Ended,
}

/// The lease of a delivery.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub process: ProcessId,
    pub until: Timestamp,
    /// Whether the delivery probes its suspended webhook.
    pub is_probe: bool,
    /// Whether it did so when its process leased it before: the process may go on with that request.
    pub was_probe: bool,
}

/// A delivery that is owed.
#[derive(Clone, Debug)]
pub struct Owed {
    pub webhook: WebhookId,
    pub event: EventId,
    pub is_test: bool,
    pub replay: Option<ReplayId>,
    pub phase: Phase,
    /// The state that its row must show.
    pub state: DeliveryState,
    pub spent: u32,
    pub count: u32,
    pub token: i64,
    /// The times between which it falls due.
    pub due: (Timestamp, Timestamp),
    pub since: Timestamp,
    pub cancel: bool,
    pub payload: Option<Arc<str>>,
    pub lease: Option<Lease>,
    pub has_arrived: bool,
    /// The answers of 410: each of them is held, and tried once more than the schedule says.
    pub gone: u32,
}

/// A request as a receiver saw it.
#[derive(Clone, Debug)]
pub struct Request {
    pub process: ProcessId,
    pub began_at: Timestamp,
    pub answer: Option<super::receiver::Script>,
}

/// A webhook as the model knows it.
#[derive(Clone, Debug)]
pub struct KnownWebhook {
    pub status: WebhookStatus,
    pub is_deleted: bool,
    pub probe: Option<DeliveryId>,
    /// The time before which nothing may probe it: its receiver asked for that.
    pub left_alone_until: Option<Timestamp>,
    pub failing_since: Option<Timestamp>,
    pub ordering: Ordering,
    pub concurrency: u32,
    /// The highest concurrency that it ever had.
    pub concurrency_max: u32,
    pub rate: Option<u32>,
    pub has_query: bool,
    pub delays_s: Vec<u32>,
}

#[derive(Debug, Default)]
pub struct Model {
    pub webhooks: BTreeMap<WebhookId, KnownWebhook>,
    pub events: BTreeMap<EventId, String>,
    pub owed: BTreeMap<DeliveryId, Owed>,
    pub replays: BTreeMap<ReplayId, Replay>,
    /// The requests, by claim.
    pub requests: BTreeMap<(DeliveryId, i64), Request>,
    /// The last token of each process for each delivery, as far as it was told.
    pub claims: BTreeMap<(ProcessId, DeliveryId), i64>,
    /// The claims by which a process took a delivery over from itself, after its lease had ended.
    pub renewed: BTreeSet<(DeliveryId, i64)>,
    pub dead: BTreeSet<ProcessId>,
    /// The claims whose lease was lost.
    pub lost: BTreeSet<(DeliveryId, i64)>,
    /// The renders that were refused, and those that failed.
    pub refused_renders: BTreeSet<(WebhookId, EventId)>,
    pub failed_renders: BTreeSet<(WebhookId, EventId)>,
    /// The ends of attempts, per process and webhook: the process's breaker may know them.
    pub outcomes: BTreeMap<(ProcessId, WebhookId), Vec<(Timestamp, bool)>>,
    /// The times at which tokens were taken for requests.
    pub sent_at: BTreeMap<(ProcessId, WebhookId), Vec<Timestamp>>,
    /// Whether a lease can end under a process that lives.
    pub leases_are_safe: bool,
    /// The deliveries that the call at hand must have changed.
    pub changed: BTreeSet<DeliveryId>,
    pub last_seq: i64,
    pub told: BTreeMap<DeliveryId, (DeliveryState, u32)>,
    pub counts: Counts,
}

/// The events of a run, counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub orphans: u64,
    pub gone_on: u64,
    pub refused: u64,
    pub trips: u64,
    pub held: u64,
    pub replayed: u64,
}

/// The feed entries of a call, and the rows after it.
pub struct News {
    pub entries: Vec<FeedEntry>,
    pub rows: Vec<Delivery>,
}

impl KnownWebhook {
    pub fn of(webhook: &Webhook, before: Option<&KnownWebhook>) -> Self {
        let concurrency = webhook.flow.concurrency;
        Self {
            status: webhook.status,
            is_deleted: webhook.deleted_at.is_some(),
            probe: webhook.breaker.probe_id,
            left_alone_until: before
                .and_then(|before| before.left_alone_until)
                .filter(|_| webhook.status == WebhookStatus::Suspended),
            failing_since: webhook.failing_since,
            ordering: webhook.flow.ordering,
            concurrency,
            concurrency_max: before.map_or(concurrency, |before| before.concurrency_max.max(concurrency)),
            rate: webhook.flow.rate_per_second,
            has_query: webhook.graphql_query.is_some(),
            delays_s: webhook.retry_delays_s.clone(),
        }
    }

    pub fn sends(&self, id: DeliveryId, is_test: bool) -> bool {
        let is_probe = self.status == WebhookStatus::Suspended && self.probe == Some(id);
        !self.is_deleted && (is_test || is_probe || self.status == WebhookStatus::Active)
    }

    pub fn holds(&self) -> bool {
        !matches!(self.status, WebhookStatus::Active | WebhookStatus::Disabled)
    }
}

impl Owed {
    pub fn new(webhook: WebhookId, event: EventId, at: Timestamp) -> Self {
        Self {
            webhook,
            event,
            is_test: false,
            replay: None,
            phase: Phase::Due,
            state: DeliveryState::Pending,
            spent: 0,
            count: 0,
            token: 0,
            due: (at, at),
            since: at,
            cancel: false,
            payload: None,
            lease: None,
            has_arrived: false,
            gone: 0,
        }
    }

    /// The delivery falls due between two times.
    pub fn be_due(&mut self, state: DeliveryState, due: (Timestamp, Timestamp)) {
        (self.phase, self.state, self.due, self.lease) = (Phase::Due, state, due, None);
    }

    /// The delivery is due at once, with as many attempts spent as before.
    pub fn be_due_again(&mut self, at: Timestamp) {
        let state = if self.spent == 0 { DeliveryState::Pending } else { DeliveryState::Retrying };
        self.be_due(state, (at, at));
    }

    pub fn be_held(&mut self) {
        (self.phase, self.state, self.lease) = (Phase::Held, DeliveryState::Held, None);
    }

    pub fn end(&mut self, state: DeliveryState) {
        (self.phase, self.state, self.lease, self.cancel) = (Phase::Ended, state, None, false);
    }
}

impl Model {
    /// Changes the deliveries that are owed to a webhook and in one of the phases.
    pub fn each(&mut self, webhook: WebhookId, phases: &[Phase], change: impl Fn(DeliveryId, &mut Owed) -> bool) {
        for (id, owed) in &mut self.owed {
            if owed.webhook == webhook && phases.contains(&owed.phase) && change(*id, owed) {
                self.changed.insert(*id);
            }
        }
    }

    /// Holds the due deliveries of a webhook, except tests.
    pub fn hold_due(&mut self, webhook: WebhookId) {
        self.each(webhook, &[Phase::Due], |_, owed| {
            if owed.is_test {
                return false;
            }
            owed.be_held();
            true
        });
    }

    pub fn webhook(&self, id: WebhookId) -> Verdict<&KnownWebhook> {
        self.webhooks.get(&id).ok_or_else(|| format!("there is no webhook {id}"))
    }

    /// The delivery with this id, to be changed.
    pub fn change(&mut self, id: DeliveryId) -> Verdict<&mut Owed> {
        self.changed.insert(id);
        self.owed.get_mut(&id).ok_or_else(|| format!("{id} is not owed"))
    }

    /// Puts a delivery that would be due under its webhook's status, and under a cancel that was asked for.
    pub fn stand_under(&mut self, id: DeliveryId, now: Timestamp) -> Verdict {
        let owed = self.owed.get(&id).ok_or("not owed")?;
        let webhook = self.webhook(owed.webhook)?.clone();
        let (cancel, sends) = (owed.cancel, webhook.sends(id, owed.is_test));
        let owed = self.change(id)?;
        match owed.phase {
            Phase::Ended if owed.state == DeliveryState::Delivered || !cancel => owed.cancel = false,
            _ if cancel => owed.end(DeliveryState::Cancelled),
            // Nobody would make it due any more.
            Phase::Held if sends => owed.be_due_again(now),
            _ if sends => {}
            _ if webhook.is_deleted || webhook.status == WebhookStatus::Disabled => owed.end(DeliveryState::Cancelled),
            _ if webhook.holds() => owed.be_held(),
            _ => {}
        }
        Ok(())
    }

    /// Compares the rows that the call changed with those that it should have changed, and the feed with its own
    /// past.
    pub fn compare(&mut self, news: &News) -> Verdict {
        for entry in &news.entries {
            holds!(entry.seq == self.last_seq + 1, "the feed goes from {} to {}", self.last_seq, entry.seq);
            self.last_seq = entry.seq;
            if let hookgraph_domain::feed::FeedChange::DeliveryUpdated { delivery_id, state, attempt_count, .. } =
                entry.what
            {
                self.told.insert(delivery_id, (state, attempt_count));
            }
        }
        for row in &news.rows {
            let is_expected = self.changed.remove(&row.id);
            holds!(is_expected, "{} changed to {} for no reason", row.id, row.state.as_str());
            self.compare_row(row)?;
        }
        let unchanged = self.changed.pop_first();
        holds!(
            unchanged.is_none(),
            "{unchanged:?} should have changed to {:?}",
            self.owed.get(&unchanged.unwrap_or(DeliveryId(uuid::Uuid::nil())))
        );
        Ok(())
    }

    /// Compares a row with the model.
    pub fn compare_row(&mut self, row: &Delivery) -> Verdict {
        let owed = self.owed.get_mut(&row.id).ok_or_else(|| format!("{} is owed by nobody", row.id))?;
        let is = (row.state, row.attempts_spent, row.attempt_count, row.fencing_token, row.cancel_requested);
        let should = (owed.state, owed.spent, owed.count, owed.token, owed.cancel);
        holds!(is == should, "{} is {is:?} and should be {should:?}", row.id);
        if owed.phase == Phase::Due {
            let due_at = row.due_at.ok_or_else(|| format!("{} is never due", row.id))?;
            let fits = owed.due.0 <= due_at && due_at <= owed.due.1;
            holds!(fits, "{} is due at {due_at} and should be in {:?}", row.id, owed.due);
            owed.due = (due_at, due_at);
        }
        if owed.phase == Phase::Held {
            self.counts.held += 1;
        }
        let told = self.told.get(&row.id);
        let is_told = told == Some(&(row.state, row.attempt_count));
        holds!(is_told, "the feed told {told:?} of {}, which is {:?}", row.id, (row.state, row.attempt_count));
        Ok(())
    }
}
