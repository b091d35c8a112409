//! The settler: group commit of endings. One transaction settles all claims that ended while the transaction before
//! it ran.
//!
//! Two rules say what happens when the store fails: after an outage, settlements are written before anything is
//! claimed; and one bad row must not hold up the rest. They are kept by several modules. `trouble` sees how all calls
//! of the process end, `backoff` counts the failures of one kind of call, `portion` halves and doubles the size of a
//! write, `suspects` holds settlements that failed alone, and the loop in `claims` asks `trouble` before it claims.
//!
//! ```text
//! the store                │ a batch fails              │ a settlement fails alone         │ claims
//! ─────────────────────────┼────────────────────────────┼──────────────────────────────────┼──────────────────────────
//! away: reads fail, too    │ the next write takes half, │ it goes behind the others and    │ none: the loop asks by
//!                          │ after up to 2 s or at the  │ is tried again in its turn       │ a read within 2 s
//!                          │ store's first answer       │                                  │
//! read-only or full: only  │ the next write takes half, │ the same                         │ one after each read that
//!   writes fail            │ after up to 2 s            │                                  │ succeeds
//! back after a long outage │ as below                   │ as below; every suspect is tried │ none for 3 s, or 30 s if
//!                          │                            │ at once after the first write    │ settlements still fail
//! up: other calls write    │ the next write takes half, │ it becomes a suspect, tried by   │ as ever
//!                          │ until the bad row is alone │ itself after 2 s, 4 s, … 30 s;   │
//!                          │                            │ after six failures it goes bare  │
//! up, and the refusal is   │ each is tried alone        │ it goes bare; refused again, it  │ as ever
//!   final                  │                            │ is left to its lease's end       │
//! any, during a shutdown   │ as above                   │ suspects are tried at once,      │ none
//!                          │                            │ first whole, then bare           │
//! ```
//! A settlement goes bare when it is written without the texts of its attempt: they may be what the database refuses.
//!
//! A settlement whose lease was lost frees its slot, unless a claim of this process renewed the lease: then it is
//! offered again, under the newer token. The answers of claims under way tell which it is (the module `under_way`).

use super::backoff::Backoff;
use super::leases::ClaimKey;
use super::portion::Portion;
use super::slots::{Slot, Slots};
use super::stages::Stages;
use super::suspects::{Suspect, Suspects};
use futures::future::OptionFuture;
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::ports::{Fenced, StoreError};
use hookgraph_domain::settle::Settlement;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// How a claim ends. The ending is written under the last claim that renewed the lease, and the slot is free once the
/// store has taken it.
pub(super) enum Ending {
    /// The delivery is settled.
    Settled(Box<Settlement>, Slot),
    /// The claim is given back unspent.
    Released(Slot),
}

/// Commits endings until all senders are gone and everything is written. A store that fails is asked again until it
/// answers, even past the end of the leases: the requests did happen, and a fencing token that is no longer the row's
/// changes nothing.
pub(super) async fn run(stages: Arc<Stages>, slots: Arc<Slots>, mut endings: mpsc::Receiver<Ending>) {
    let mut unsettled = Unsettled::of(stages.limits.settle_batch_max, slots);
    let mut settling = Backoff::of("settle");
    let mut releasing = Backoff::of("release");
    let mut batch = Vec::new();
    loop {
        let room = stages.limits.settle_batch_max.saturating_sub(unsettled.settlements.len()).max(1);
        if unsettled.is_empty() && !unsettled.receives(&mut endings, &mut batch, room).await {
            return;
        }
        while batch.len() < room
            && let Ok(ending) = endings.try_recv()
        {
            batch.push(ending);
        }
        batch.drain(..).for_each(|ending| unsettled.take(ending));
        unsettled.decide_overtaken();
        let pause = stages.gathering(unsettled.settlements.len(), stages.limits.settle_batch_max);
        let mut wait = None;
        match unsettled.settle(&stages, &mut settling).await {
            Err(error) => wait = Some(settling.failed(&error)),
            // A store that had nothing to write may still be away.
            Ok(Written::Nothing) => {}
            Ok(Written::Anything) => {
                if settling.over() {
                    unsettled.suspects.are_due();
                }
            }
        }
        if wait.is_none() {
            match unsettled.settle_suspect(&stages).await {
                Err(error) => wait = Some(settling.failed(&error)),
                Ok(Written::Nothing) => {}
                Ok(Written::Anything) => {
                    settling.over();
                }
            }
        }
        if let Err(error) = unsettled.release(&stages).await {
            wait = wait.max(Some(releasing.failed(&error)));
        } else {
            releasing.over();
        }
        match wait {
            Some(wait) => stages.trouble.wait(wait).await,
            None if pause.is_zero() => {}
            None => tokio::time::sleep(pause).await,
        }
    }
}

/// Whether the store took anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Nothing,
    Anything,
}

/// A settlement that was offered to the store.
struct Offered {
    settlement: Settlement,
    slot: Slot,
    /// Whether it was offered as a suspect, and will be if it is offered again.
    is_suspect: bool,
}

/// A settlement whose lease another claim has, which may be one of the claims that were under way then.
struct Overtaken {
    offered: Offered,
    /// The last of those claims.
    claim: u64,
}

/// The endings that the store has not taken yet. Their slots stay busy.
struct Unsettled {
    slots: Arc<Slots>,
    settlements: Vec<Settlement>,
    /// The slot of each settlement, in the same order.
    settled_slots: Vec<Slot>,
    portion: Portion,
    suspects: Suspects,
    overtaken: Vec<Overtaken>,
    /// Whether all senders are gone.
    is_closing: bool,
    /// How many calls of the road had written when a settlement failed last.
    writes_at_failure: Option<u64>,
    /// The slots of claims that are given back.
    released: Vec<Slot>,
}

impl Unsettled {
    fn of(settle_batch_max: usize, slots: Arc<Slots>) -> Self {
        Self {
            slots,
            settlements: Vec::new(),
            settled_slots: Vec::new(),
            portion: Portion::of(settle_batch_max),
            suspects: Suspects::default(),
            overtaken: Vec::new(),
            is_closing: false,
            writes_at_failure: None,
            released: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.settlements.is_empty() && self.released.is_empty()
    }

    /// Receives endings, or waits until a suspect may be tried again or an overtaken settlement may be decided on; once
    /// the senders are gone nothing waits. Answers whether there is anything to write, or will be.
    async fn receives(&mut self, endings: &mut mpsc::Receiver<Ending>, batch: &mut Vec<Ending>, room: usize) -> bool {
        if !self.is_closing {
            let claims = &self.slots.under_way;
            let awaited = self.overtaken.iter().map(|one| one.claim).min();
            let received = tokio::select! {
                biased;
                count = endings.recv_many(batch, room) => Some(count),
                Some(()) = OptionFuture::from(awaited.map(|claim| claims.over_to(claim))) => None,
                Some(()) = OptionFuture::from(self.suspects.next_at().map(sleep_until)) => None,
            };
            self.is_closing = received == Some(0);
        }
        !self.is_closing || self.suspects.next_at().is_some() || !self.overtaken.is_empty()
    }

    fn take(&mut self, ending: Ending) {
        match ending {
            Ending::Settled(settlement, slot) => self.push((*settlement, slot)),
            Ending::Released(slot) => self.released.push(slot),
        }
    }

    fn push(&mut self, (settlement, slot): (Settlement, Slot)) {
        self.settlements.push(settlement);
        self.settled_slots.push(slot);
    }

    /// Takes in the answer to a settlement that was offered; none where the store finally refused it. Answers whether
    /// its lease is known to be lost.
    fn answered(&mut self, offered: Offered, answer: Option<Fenced>) -> bool {
        let is_refused = answer == Some(Fenced::LeaseLost);
        let is_overtaken = is_refused && offered.slot.lease.key().1 == offered.settlement.fencing_token;
        // The look comes before the lease may end: a claim that ends in between has renewed the lease by then.
        match self.slots.under_way.last().filter(|_| is_overtaken) {
            Some(claim) => {
                self.overtaken.push(Overtaken { offered, claim });
                false
            }
            None => self.freed(offered) && is_refused,
        }
    }

    /// Decides on the overtaken settlements whose claims are over. Once the senders are gone every claim is.
    fn decide_overtaken(&mut self) {
        let (claims, is_closing) = (&self.slots.under_way, self.is_closing);
        let is_decided = |one: &mut Overtaken| is_closing || claims.are_over_to(one.claim);
        let decided: Vec<_> = self.overtaken.extract_if(.., is_decided).collect();
        warn_of_lost(decided.into_iter().map(|one| usize::from(self.freed(one.offered))).sum());
    }

    /// Frees the slot of a settlement that was offered, and answers whether it is free. Where the lease was renewed
    /// meanwhile, the store refused the settlement under its old token: it is offered again.
    fn freed(&mut self, Offered { settlement, slot, is_suspect }: Offered) -> bool {
        if slot.lease.ends_under(settlement.fencing_token) {
            if settlement.next.state.is_final() {
                slot.over();
            }
            return true;
        }
        if is_suspect {
            self.suspects.add(Suspect::new(settlement, slot));
        } else {
            self.push((settlement, slot));
        }
        false
    }

    /// Writes all settlements, a portion at a time. Those whose lease was renewed meanwhile are offered again.
    async fn settle(&mut self, stages: &Stages, backoff: &mut Backoff) -> Result<Written, StoreError> {
        let mut written = Written::Nothing;
        while !self.settlements.is_empty() {
            let count = self.portion.first(self.settlements.iter().map(bytes));
            self.settlements[..count].iter_mut().zip(&self.settled_slots).for_each(|(one, slot)| renew(one, slot));
            let answers = match settle_some(stages, &self.settlements[..count]).await {
                Ok(answers) => answers,
                Err(error) => {
                    self.failed(count, stages);
                    return Err(error);
                }
            };
            backoff.lessens();
            written = Written::Anything;
            self.portion.written();
            let offered: Vec<_> = self.settlements.drain(..count).zip(self.settled_slots.drain(..count)).collect();
            let mut lost = 0;
            for ((settlement, slot), answer) in offered.into_iter().zip(answers) {
                lost += usize::from(self.answered(Offered { settlement, slot, is_suspect: false }, answer));
            }
            warn_of_lost(lost);
        }
        Ok(written)
    }

    /// Notes that a write of the first `count` settlements failed. One that fails alone becomes a suspect, unless
    /// nothing can be written at all: then it goes behind the others.
    fn failed(&mut self, count: usize, stages: &Stages) {
        self.portion.failed(count);
        let is_suspect = self.others_were_written(stages);
        if count > 1 {
            return;
        }
        if is_suspect {
            self.suspects.add(Suspect::new(self.settlements.remove(0), self.settled_slots.remove(0)));
        } else {
            self.settlements.rotate_left(1);
            self.settled_slots.rotate_left(1);
        }
    }

    /// Notes that a settlement failed, and answers whether any call has written since the failure before: a beat that
    /// extended leases, for example.
    fn others_were_written(&mut self, stages: &Stages) -> bool {
        let writes = stages.trouble.write_count();
        self.writes_at_failure.replace(writes).is_some_and(|before| writes > before)
    }

    /// Tries one suspect, if its turn has come. Where it fails again the store may be away: the suspect is the cause,
    /// and has to wait, only if other calls have written since the last failure.
    async fn settle_suspect(&mut self, stages: &Stages) -> Result<Written, StoreError> {
        let next = if self.is_closing { self.suspects.take_next() } else { self.suspects.take_due() };
        let Some(mut suspect) = next else { return Ok(Written::Nothing) };
        renew(&mut suspect.settlement, &suspect.slot);
        let settled = match suspect.bare_after() {
            Some(refused) => settle_bare(stages, &suspect.settlement, refused).await,
            None => settle_some(stages, std::slice::from_ref(&suspect.settlement)).await.map(only),
        };
        let settled = match settled {
            // The process may end before another try.
            Err(error) if self.is_closing => settle_bare(stages, &suspect.settlement, &error).await,
            settled => settled,
        };
        let error = match settled {
            Ok(answer) => {
                let Suspect { settlement, slot, .. } = suspect;
                let is_lost = self.answered(Offered { settlement, slot, is_suspect: true }, answer);
                warn_of_lost(usize::from(is_lost));
                return Ok(Written::Anything);
            }
            Err(error) => error,
        };
        if self.is_closing || !self.others_were_written(stages) {
            self.suspects.add(suspect);
            return Err(error);
        }
        let delivery_id = suspect.settlement.delivery_id;
        tracing::warn!(%delivery_id, %error, "cannot be settled, though others were: it is tried again");
        self.suspects.add(suspect.failed(&error));
        Ok(Written::Nothing)
    }

    /// Gives claims back. One whose lease was renewed meanwhile is given back again, under its newer claim.
    async fn release(&mut self, stages: &Stages) -> Result<(), StoreError> {
        if self.released.is_empty() {
            return Ok(());
        }
        let claims: Vec<ClaimKey> = self.released.iter().map(|slot| slot.lease.key()).collect();
        let releasing = async {
            stages.release(&claims).await?;
            Ok(vec![Fenced::Done])
        };
        match stages.write(releasing).await {
            Ok(_) => {}
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => tracing::error!(%error, "claims cannot be released: they wait for their leases' end"),
        }
        let mut tokens = claims.into_iter().map(|(_, token)| token);
        self.released.retain(|slot| tokens.next().is_some_and(|token| !slot.lease.ends_under(token)));
        Ok(())
    }
}

/// Puts a settlement under the last claim that renewed the slot's lease.
fn renew(settlement: &mut Settlement, slot: &Slot) {
    (_, settlement.fencing_token) = slot.lease.key();
}

fn warn_of_lost(count: usize) {
    if count > 0 {
        tracing::warn!(count, "not settled: the leases went to other workers, which send again");
    }
}

/// The answer to a single settlement.
fn only(answers: Vec<Option<Fenced>>) -> Option<Fenced> {
    answers.into_iter().next().flatten()
}

/// Writes settlements in one transaction, or one by one where the store finally refuses the transaction. The answers
/// are in the order of the settlements; there is none for one that the store finally refused.
async fn settle_some(stages: &Stages, some: &[Settlement]) -> Result<Vec<Option<Fenced>>, StoreError> {
    match stages.write(stages.settle(some)).await {
        Ok(answers) => Ok(answers.into_iter().map(Some).collect()),
        Err(error) if error.is_retryable() => Err(error),
        Err(_) => settle_one_by_one(stages, some).await,
    }
}

/// The approximate size of a settlement in a statement.
fn bytes(settlement: &Settlement) -> usize {
    let Some(attempt) = &settlement.attempt else { return 0 };
    let head =
        |headers: &[(String, String)]| headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let request = attempt.request.as_ref();
    let request =
        request.map_or(0, |it| it.url.len() + head(&it.headers) + it.body.as_ref().map_or(0, |body| body.len()));
    let response = attempt.response.as_ref().map_or(0, |it| head(&it.headers));
    request + response + attempt.response_body.as_ref().map_or(0, String::len)
}

/// Writes each settlement alone, so that one row that cannot be read or written does not hold up the others of its
/// batch. After a retryable failure the whole batch is offered again: settlements that were written before are
/// answered as lost leases then.
async fn settle_one_by_one(stages: &Stages, settlements: &[Settlement]) -> Result<Vec<Option<Fenced>>, StoreError> {
    let mut answers = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        answers.push(match stages.write(stages.settle(std::slice::from_ref(settlement))).await {
            Ok(answers) => answers.first().copied(),
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => settle_bare(stages, settlement, &error).await?,
        });
    }
    Ok(answers)
}

/// Writes a settlement without the texts of its attempt, because the store may have refused them. If nothing were
/// written, the request would be sent again each time that a lease ends, and no attempt would be spent.
async fn settle_bare(
    stages: &Stages,
    settlement: &Settlement,
    refused: &StoreError,
) -> Result<Option<Fenced>, StoreError> {
    let delivery_id = settlement.delivery_id;
    let bare = Settlement { attempt: settlement.attempt.as_ref().map(bare), ..settlement.clone() };
    match stages.write(stages.settle(&[bare])).await {
        Ok(answers) => {
            tracing::error!(%delivery_id, error = %refused, "settled without what was sent and answered");
            Ok(answers.first().copied())
        }
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            tracing::error!(%delivery_id, %error, "cannot be settled: it waits for its lease's end");
            Ok(None)
        }
    }
}

/// The attempt without its texts.
fn bare(attempt: &Attempt) -> Attempt {
    Attempt {
        detail: Some("the database refused what was sent and answered".to_owned()),
        request: None,
        response: None,
        response_body: None,
        response_truncated: false,
        remote_address: None,
        ..attempt.clone()
    }
}
