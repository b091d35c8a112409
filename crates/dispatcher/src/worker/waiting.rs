//! Waiting work: due deliveries for which a claim found no room wait for a slot of their own webhook, or for enough
//! free slots.
//!
//! Each freed slot that something waits for costs a look at the queue, and a look keeps recordings from claiming. So
//! the worker notes what waits: the end of a delivery is no news to a webhook whose own concurrency is used up.

use hookgraph_domain::ids::WebhookId;
use parking_lot::Mutex;
use std::collections::HashMap;

/// The slots awaited by deliveries that a claim left without room.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Awaited {
    /// The webhooks of which a slot is awaited.
    pub(super) own: Vec<WebhookId>,
    /// The deliveries have room once more than this many slots are free, whichever webhook frees them; none where
    /// only their own webhooks can make room.
    pub(super) free_above: Option<u32>,
}

/// The webhooks whose deliveries wait for slots, as the claims of this process found.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<WaitTable>);

/// Every entry bears the number of claims that had begun when it was noted.
#[derive(Debug, Default)]
struct WaitTable {
    claims_begun: u64,
    own: HashMap<WebhookId, u64>,
    free_above: HashMap<u32, u64>,
}

impl Waiting {
    /// Counts a claim that begins, and answers its number.
    pub(super) fn begin(&self) -> u64 {
        let mut table = self.0.lock();
        table.claims_begun += 1;
        table.claims_begun
    }

    /// Notes what waits after the claim of that number. Entries noted since the claim began stand: it knows nothing
    /// of them.
    pub(super) fn learn(&self, number: u64, awaited: &Awaited) {
        let mut table = self.0.lock();
        let noted_at = table.claims_begun;
        table.own.retain(|_, at| *at >= number);
        table.free_above.retain(|_, at| *at >= number);
        table.own.extend(awaited.own.iter().map(|id| (*id, noted_at)));
        table.free_above.extend(awaited.free_above.map(|free| (free, noted_at)));
    }

    /// Whether something waits for a slot that `webhook_id` frees, where `free` slots are free then.
    pub(super) fn wants(&self, webhook_id: WebhookId, free: u32) -> bool {
        let table = self.0.lock();
        table.own.contains_key(&webhook_id) || table.free_above.keys().any(|least| free > *least)
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
