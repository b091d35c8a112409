//! What due work waits for where a claim found no room for it: a slot of its own webhook, or any slot. Every slot that is
//! freed while something waits for it costs a look at the queue, which keeps recordings from claiming along: the end of a
//! delivery is no news to a webhook that has filled its share.

use hookgraph_domain::ids::WebhookId;
use parking_lot::Mutex;
use std::collections::HashMap;

/// What a claim left without room waits for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Awaited {
    /// A slot of these webhooks.
    pub(super) own: Vec<WebhookId>,
    /// Any slot.
    pub(super) any: bool,
}

/// Who waits for a slot, as the claims of a process said.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Said>);

/// When it was said is the number of claims that had begun.
#[derive(Debug, Default)]
struct Said {
    begun: u64,
    own: HashMap<WebhookId, u64>,
    any: Option<u64>,
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
        said.any = said.any.filter(|at| *at >= number);
        said.own.extend(awaited.own.iter().map(|id| (*id, now)));
        if awaited.any {
            said.any = Some(now);
        }
    }

    /// Whether something waits for a slot that this webhook frees.
    pub(super) fn wants(&self, webhook_id: WebhookId) -> bool {
        let said = self.0.lock();
        said.any.is_some() || said.own.contains_key(&webhook_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WebhookId = WebhookId(uuid::Uuid::from_u128(1));
    const OTHER: WebhookId = WebhookId(uuid::Uuid::from_u128(2));

    fn own(ids: &[WebhookId]) -> Awaited {
        Awaited { own: ids.to_vec(), any: false }
    }

    #[test]
    fn a_webhook_waits_for_its_own_slots() {
        let waiting = Waiting::default();
        waiting.learn(waiting.begin(), &own(&[ONE]));
        assert!(waiting.wants(ONE) && !waiting.wants(OTHER));
        waiting.learn(waiting.begin(), &Awaited { own: Vec::new(), any: true });
        assert!(waiting.wants(OTHER));
        waiting.learn(waiting.begin(), &Awaited::default());
        assert!(!waiting.wants(ONE) && !waiting.wants(OTHER));
    }

    #[test]
    fn a_claim_that_began_before_takes_nothing_back() {
        let waiting = Waiting::default();
        let (first, second) = (waiting.begin(), waiting.begin());
        waiting.learn(second, &Awaited { own: vec![ONE], any: true });
        waiting.learn(first, &own(&[OTHER]));
        assert!(waiting.wants(ONE) && waiting.wants(OTHER));
        waiting.learn(waiting.begin(), &own(&[OTHER]));
        assert!(!waiting.wants(ONE) && waiting.wants(OTHER));
    }
}
