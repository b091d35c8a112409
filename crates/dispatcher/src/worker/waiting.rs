//! What due work waits for where a claim found no room for it: a slot of its own webhook, or enough free slots. Every slot that
//! is freed while something waits for it costs a look at the queue, which keeps recordings from claiming along: the end of a
//! delivery is no news to a webhook whose own concurrency is used up.

use hookgraph_domain::ids::WebhookId;
use parking_lot::Mutex;
use std::collections::HashMap;

/// What a claim left without room waits for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Awaited {
    /// A slot of these webhooks.
    pub(super) own: Vec<WebhookId>,
    /// More free slots than so many, whoever held them.
    pub(super) free_above: Option<u32>,
}

/// Who waits for a slot, as the claims of a process said.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Said>);

/// When it was said is the number of claims that had begun.
#[derive(Debug, Default)]
struct Said {
    begun: u64,
    own: HashMap<WebhookId, u64>,
    free_above: HashMap<u32, u64>,
}

impl Waiting {
    /// The number of a claim that begins.
    pub(super) fn begin(&self) -> u64 {
        let mut said = self.0.lock();
        said.begun += 1;
        said.begun
    }

    /// Learns what the claim of that number left. It knows nothing of what was said after it had begun: that stands.
    pub(super) fn learn(&self, number: u64, awaited: &Awaited) {
        let mut said = self.0.lock();
        let now = said.begun;
        said.own.retain(|_, at| *at >= number);
        said.free_above.retain(|_, at| *at >= number);
        said.own.extend(awaited.own.iter().map(|id| (*id, now)));
        said.free_above.extend(awaited.free_above.map(|free| (free, now)));
    }

    /// Whether something waits for a slot that this webhook frees, with which so many are free.
    pub(super) fn wants(&self, webhook_id: WebhookId, free: u32) -> bool {
        let said = self.0.lock();
        said.own.contains_key(&webhook_id) || said.free_above.keys().any(|least| free > *least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WebhookId = WebhookId(uuid::Uuid::from_u128(1));
    const OTHER: WebhookId = WebhookId(uuid::Uuid::from_u128(2));

    fn own(ids: &[WebhookId]) -> Awaited {
        Awaited { own: ids.to_vec(), free_above: None }
    }

    #[test]
    fn a_webhook_waits_for_its_own_slots_or_for_enough() {
        let waiting = Waiting::default();
        waiting.learn(waiting.begin(), &own(&[ONE]));
        assert!(waiting.wants(ONE, 1) && !waiting.wants(OTHER, 100));
        waiting.learn(waiting.begin(), &Awaited { own: Vec::new(), free_above: Some(5) });
        assert!(!waiting.wants(ONE, 5) && waiting.wants(OTHER, 6));
        waiting.learn(waiting.begin(), &Awaited::default());
        assert!(!waiting.wants(ONE, 100));
    }

    #[test]
    fn a_claim_that_began_before_takes_nothing_back() {
        let waiting = Waiting::default();
        let (first, second) = (waiting.begin(), waiting.begin());
        waiting.learn(second, &Awaited { own: vec![ONE], free_above: Some(5) });
        waiting.learn(first, &own(&[OTHER]));
        assert!(waiting.wants(ONE, 1) && waiting.wants(OTHER, 1) && waiting.wants(WebhookId(uuid::Uuid::nil()), 6));
        waiting.learn(waiting.begin(), &own(&[OTHER]));
        assert!(!waiting.wants(ONE, 6) && waiting.wants(OTHER, 1));
    }
}
