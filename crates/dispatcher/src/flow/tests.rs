//! The worker and the flow loop on the fake store, round by round, under a clock that the tests move.

use super::*;
use crate::worker::{DispatchLimits, Dispatcher, Ran, Services};
use async_trait::async_trait;
use hookgraph_domain::attempt::{Exchange, OutcomeCode, OutgoingRequest, ResponseHead};
use hookgraph_domain::delivery::{Delivery, DeliveryState};
use hookgraph_domain::flow::Ordering;
use hookgraph_domain::ids::{EventId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::page::DeliveryQuery;
use hookgraph_domain::payload::FrozenPayload;
use hookgraph_domain::ports::{
    FlowReader, History, NoFailpoints, PayloadRenderer, RenderError, RenderRequest, Transport, UnitOfWork,
    WebhookReader,
};
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState};
use hookgraph_domain::time::plus_ms;
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
use hookgraph_testkit::{ManualClock, MemoryStore, NoNeighbours, NoWakeUps, SeededEntropy, sample};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering as Atomic};
use uuid::Uuid;

mod breaking;
mod pacing;
mod replaying;
mod stopping;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const WEBHOOK: WebhookId = WebhookId(Uuid::from_u128(2));

/// One tenant with one webhook. Its receiver answers as the test says.
struct World {
    store: MemoryStore,
    clock: ManualClock,
    entropy: SeededEntropy,
    receiver: Arc<Receiver>,
    dispatcher: Dispatcher,
    flow: FlowLoop,
}

struct Receiver {
    status: AtomicU16,
    sent: Mutex<Vec<OutgoingRequest>>,
}

#[async_trait]
impl Transport for Receiver {
    async fn send(&self, request: &OutgoingRequest, _timeout_ms: u32) -> Exchange {
        self.sent.lock().push(request.clone());
        let status = self.status.load(Atomic::SeqCst);
        let code = if status == 200 { OutcomeCode::Delivered } else { OutcomeCode::HttpStatus };
        Exchange {
            code,
            detail: None,
            response: Some(ResponseHead { status, headers: vec![] }),
            response_body: None,
            response_truncated: false,
            retry_after_ms: None,
            remote_address: None,
            duration_ms: 1,
        }
    }
}

/// Renders `{"n":1}`, `{"n":2}`, …, but never for the order `broken`.
#[derive(Default)]
struct Counting(AtomicU64);

#[async_trait]
impl PayloadRenderer for Counting {
    async fn render(&self, requests: &[RenderRequest]) -> Vec<Result<FrozenPayload, RenderError>> {
        let next = || self.0.fetch_add(1, Atomic::SeqCst) + 1;
        let render = |request: &RenderRequest| match request.event.record_label.as_str() {
            "order:broken" => Err(RenderError::Unavailable("planned".to_owned())),
            _ => Ok(FrozenPayload { json: format!("{{\"n\":{}}}", next()).into(), rendered_at: sample::now() }),
        };
        requests.iter().map(render).collect()
    }
}

impl World {
    async fn with(change: impl FnOnce(&mut Webhook)) -> Self {
        let (store, clock) = (MemoryStore::default(), ManualClock::default());
        let entropy = SeededEntropy::new(7);
        let receiver = Arc::new(Receiver { status: AtomicU16::new(200), sent: Mutex::default() });
        let services = Services {
            queue: Arc::new(store.clone()),
            renderer: Arc::new(Counting::default()),
            transport: receiver.clone(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(entropy.clone()),
            wake_ups: Arc::new(NoWakeUps),
            neighbours: Arc::new(NoNeighbours),
            failpoints: Arc::new(NoFailpoints),
        };
        let flow = flow_loop(&store, &clock, &entropy);
        let dispatcher = Dispatcher::new(services, DispatchLimits::default());
        let world = Self { store, clock, entropy, receiver, dispatcher, flow };
        let mut webhook = sample::webhook(WEBHOOK, TENANT);
        change(&mut webhook);
        let tenant = Write::InsertTenant(sample::tenant(TENANT, "acme"));
        world.write(vec![tenant, Write::PutWebhook { webhook, expected: Expected::Absent }]).await;
        world
    }

    async fn write(&self, writes: Vec<Write>) {
        let mut change = Change::at(self.clock.now());
        change.writes = writes;
        self.store.commit(change).await.expect("a change");
    }

    /// Records `count` events on an order.
    async fn events(&self, count: usize, order_id: &str) {
        for _ in 0..count {
            let mut change = Change::at(self.clock.now());
            let id = EventId(self.entropy.uuid(change.at));
            change.events.push(sample::event(id, TENANT, order_id));
            self.store.commit(change).await.expect("an event");
        }
    }

    fn answers(&self, status: u16) {
        self.receiver.status.store(status, Atomic::SeqCst);
    }

    async fn work(&self) -> Ran {
        self.dispatcher.run_once().await.expect("a store that answers")
    }

    /// Works until nothing is due any more, and answers how many requests went out.
    async fn work_all(&self) -> usize {
        let mut sent = 0;
        loop {
            let ran = self.work().await;
            sent += ran.sent;
            if ran.claimed == 0 {
                return sent;
            }
        }
    }

    async fn round(&self) -> FlowRound {
        self.flow.run_once().await.expect("a store that answers")
    }

    async fn webhook(&self) -> Webhook {
        self.store.webhooks(TENANT, &[WEBHOOK]).await.expect("a read").remove(0)
    }

    async fn set_status(&self, status: WebhookStatus) {
        let webhook = self.webhook().await.with_status(status, None, self.clock.now());
        self.write(vec![moved_on(webhook)]).await;
    }

    /// The deliveries, oldest first.
    async fn deliveries(&self) -> Vec<Delivery> {
        let query = DeliveryQuery::of(TENANT, 10_000);
        let mut page = self.store.delivery_page(&query).await.expect("a page");
        page.reverse();
        page
    }

    async fn states(&self) -> BTreeMap<DeliveryState, usize> {
        let mut counts = BTreeMap::new();
        self.deliveries().await.iter().for_each(|delivery| *counts.entry(delivery.state).or_default() += 1);
        counts
    }
}

fn flow_loop(store: &MemoryStore, clock: &ManualClock, entropy: &SeededEntropy) -> FlowLoop {
    FlowLoop::new(FlowServices {
        store: Arc::new(store.clone()),
        clock: Arc::new(clock.clone()),
        entropy: Arc::new(entropy.clone()),
        wake_ups: Arc::new(NoWakeUps),
    })
}
