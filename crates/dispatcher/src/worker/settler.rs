//! Group commit: one transaction settles all that ended while the one before it ran.

use super::outage::Outage;
use super::portion::Portion;
use super::slots::Slot;
use super::stages::Stages;
use super::suspects::{Suspect, Suspects};
use hookgraph_domain::attempt::Attempt;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{Fenced, StoreError};
use hookgraph_domain::settle::Settlement;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::timeout_at;

/// How a claim ends. Its slot is free once the store has taken it.
pub(super) enum Ending {
    /// With a settlement.
    Settled(Box<Settlement>, Slot),
    /// Unspent.
    Released((DeliveryId, i64), Slot),
}

/// Commits endings until all senders are gone and everything is written. A store that fails is asked again until it
/// answers, even past the leases' end: the requests did happen, and a fencing token that is no longer the row's changes
/// nothing.
pub(super) async fn run(stages: Arc<Stages>, mut endings: mpsc::Receiver<Ending>) {
    let mut settled = Unsettled::of(stages.limits.settle_batch_max);
    let mut settling = Outage::of("settle");
    let mut releasing = Outage::of("release");
    let mut batch = Vec::new();
    loop {
        let room = stages.limits.settle_batch_max.saturating_sub(settled.settlements.len()).max(1);
        if settled.is_empty() && !settled.receives(&mut endings, &mut batch, room).await {
            return;
        }
        while batch.len() < room
            && let Ok(ending) = endings.try_recv()
        {
            batch.push(ending);
        }
        batch.drain(..).for_each(|ending| settled.take(ending));
        let pause = stages.gathering(settled.settlements.len(), stages.limits.settle_batch_max);
        let mut wait = None;
        match settled.settle(&stages, &mut settling).await {
            Err(error) => wait = Some(settling.failed(&error)),
            // That there was nothing to write tells nothing.
            Ok(Wrote::Nothing) => {}
            Ok(Wrote::Some) => {
                if settling.over() {
                    settled.suspects.are_due();
                }
            }
        }
        if wait.is_none() {
            match settled.settle_suspect(&stages).await {
                Err(error) => wait = Some(settling.failed(&error)),
                Ok(Wrote::Nothing) => {}
                Ok(Wrote::Some) => {
                    settling.over();
                }
            }
        }
        if let Err(error) = settled.release(&stages).await {
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
enum Wrote {
    Nothing,
    Some,
}

/// What the store has not taken yet; slots stay busy for as long.
struct Unsettled {
    settlements: Vec<Settlement>,
    settled_slots: Vec<Slot>,
    portion: Portion,
    suspects: Suspects,
    /// All senders are gone.
    is_closing: bool,
    /// How many writes of the road had succeeded when a settlement failed last.
    writes_at_failure: Option<u64>,
    claims: Vec<(DeliveryId, i64)>,
    claim_slots: Vec<Slot>,
}

impl Unsettled {
    fn of(settle_batch_max: usize) -> Self {
        Self {
            settlements: Vec::new(),
            settled_slots: Vec::new(),
            portion: Portion::of(settle_batch_max),
            suspects: Suspects::default(),
            is_closing: false,
            writes_at_failure: None,
            claims: Vec::new(),
            claim_slots: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.settlements.is_empty() && self.claims.is_empty()
    }

    /// Receives what ended, or waits until a suspect may be tried again: at the end none of them waits. Whether there is anything to
    /// do, or will be.
    async fn receives(&mut self, endings: &mut mpsc::Receiver<Ending>, batch: &mut Vec<Ending>, room: usize) -> bool {
        if !self.is_closing {
            let received = match self.suspects.next_at() {
                None => Ok(endings.recv_many(batch, room).await),
                Some(next_at) => timeout_at(next_at, endings.recv_many(batch, room)).await,
            };
            self.is_closing = received == Ok(0);
        }
        !self.is_closing || self.suspects.next_at().is_some()
    }

    fn take(&mut self, ending: Ending) {
        match ending {
            Ending::Settled(settlement, slot) => {
                self.settlements.push(*settlement);
                self.settled_slots.push(slot);
            }
            Ending::Released(claim, slot) => {
                self.claims.push(claim);
                self.claim_slots.push(slot);
            }
        }
    }

    /// All of it, a portion at a time.
    async fn settle(&mut self, stages: &Stages, outage: &mut Outage) -> Result<Wrote, StoreError> {
        let mut wrote = Wrote::Nothing;
        while !self.settlements.is_empty() {
            let count = self.portion.first(self.settlements.iter().map(bytes));
            if let Err(error) = settle_some(stages, &self.settlements[..count]).await {
                self.failed(count, stages);
                return Err(error);
            }
            outage.lessens();
            wrote = Wrote::Some;
            self.portion.written();
            self.settlements.drain(..count).zip(self.settled_slots.drain(..count)).for_each(free);
        }
        Ok(wrote)
    }

    /// One that fails alone may be the cause, unless nothing can be written.
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

    /// Whether anything was written since a settlement failed before this time: a lease extended, say.
    fn others_were_written(&mut self, stages: &Stages) -> bool {
        let writes = stages.trouble.writes();
        self.writes_at_failure.replace(writes).is_some_and(|before| writes > before)
    }

    /// Tries one of those that failed alone, if it is time. Where it fails again the store may be away: only if others were written
    /// since something failed last is it the cause, and waits.
    async fn settle_suspect(&mut self, stages: &Stages) -> Result<Wrote, StoreError> {
        let Some(suspect) = self.suspects.take(self.is_closing) else { return Ok(Wrote::Nothing) };
        let settled = match suspect.bare_after() {
            Some(refused) => settle_bare(stages, &suspect.settlement, refused).await,
            None => settle_some(stages, std::slice::from_ref(&suspect.settlement)).await,
        };
        let settled = match settled {
            // There may be no other time for it.
            Err(error) if self.is_closing => settle_bare(stages, &suspect.settlement, &error).await,
            settled => settled,
        };
        let Err(error) = settled else {
            free((suspect.settlement, suspect.slot));
            return Ok(Wrote::Some);
        };
        if self.is_closing || !self.others_were_written(stages) {
            self.suspects.add(suspect);
            return Err(error);
        }
        let delivery_id = suspect.settlement.delivery_id;
        tracing::warn!(%delivery_id, %error, "cannot be settled, though others were: it is tried again");
        self.suspects.add(suspect.failed(&error));
        Ok(Wrote::Nothing)
    }

    async fn release(&mut self, stages: &Stages) -> Result<(), StoreError> {
        if self.claims.is_empty() {
            return Ok(());
        }
        let releasing = async {
            stages.release(&self.claims).await?;
            Ok(vec![Fenced::Done])
        };
        match stages.write(releasing).await {
            Ok(_) => {}
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => tracing::error!(%error, "claims cannot be released: they wait for their leases' end"),
        }
        self.claims.clear();
        self.claim_slots.clear();
        Ok(())
    }
}

/// Frees the slot of what is settled.
fn free((settlement, slot): (Settlement, Slot)) {
    if settlement.next.state.is_final() {
        slot.over();
    }
}

async fn settle_some(stages: &Stages, some: &[Settlement]) -> Result<(), StoreError> {
    match stages.write(stages.settle(some)).await {
        Err(error) if !error.is_retryable() => settle_one_by_one(stages, some).await,
        answer => answer.map(|_| ()),
    }
}

/// About what a settlement takes in a statement.
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

/// Keeps one row that cannot be read or written from holding up the others of its batch. What was settled before a retryable
/// failure is offered again with the rest, and answered as a lost lease then.
async fn settle_one_by_one(stages: &Stages, settlements: &[Settlement]) -> Result<(), StoreError> {
    for settlement in settlements {
        match stages.write(stages.settle(std::slice::from_ref(settlement))).await {
            Ok(_) => {}
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => settle_bare(stages, settlement, &error).await?,
        }
    }
    Ok(())
}

/// Settles without the texts of the attempt, which may be what is refused: else the request would be sent again and again, as
/// often as a lease ends, and no attempt would be spent.
async fn settle_bare(stages: &Stages, settlement: &Settlement, refused: &StoreError) -> Result<(), StoreError> {
    let delivery_id = settlement.delivery_id;
    let bare = Settlement { attempt: settlement.attempt.as_ref().map(bare), ..settlement.clone() };
    match stages.write(stages.settle(&[bare])).await {
        Ok(_) => tracing::error!(%delivery_id, error = %refused, "settled without what was sent and answered"),
        Err(error) if error.is_retryable() => return Err(error),
        Err(error) => tracing::error!(%delivery_id, %error, "cannot be settled: it waits for its lease's end"),
    }
    Ok(())
}

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
