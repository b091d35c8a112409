//! The plan of a seed: how many processes there are, which webhooks, and which kinds of trouble. Most runs leave most
//! kinds out, so that each kind is also seen alone.

use super::dice::Dice;
use hookgraph_dispatcher::worker::DispatchLimits;
use hookgraph_domain::flow::{FlowSettings, Ordering};
use hookgraph_domain::gathering::Gathering;
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::webhook::Webhook;
use hookgraph_testkit::sample;
use uuid::Uuid;

/// Likelihoods are in thousandths: of a call, a request or a step.
#[derive(Clone, Debug)]
pub struct Plan {
    pub processes: u64,
    pub limits: DispatchLimits,
    pub webhooks: Vec<Webhook>,
    /// How long the trouble lasts.
    pub trouble_ms: u64,
    pub steps: u64,
    /// Calls of the store that fail without effect.
    pub store_fails: u64,
    /// Calls of the store whose answer is lost.
    pub answers_lost: u64,
    /// Calls of the store that take long.
    pub store_hangs: u64,
    /// Steps at which the store is gone for a while.
    pub outages: u64,
    /// Failpoints at which the process dies.
    pub dies_at_failpoint: u64,
    /// Calls of the store in which the process dies, before or after their effect.
    pub dies_in_call: u64,
    /// Whether processes are killed and stopped in between.
    pub restarts: bool,
    /// Requests that fail, hang, or end as 410.
    pub receiver_fails: u64,
    pub receiver_hangs: u64,
    pub receiver_is_gone: u64,
    /// Renders that fail.
    pub renders_fail: u64,
    /// Steps at which the clock jumps ahead.
    pub clock_jumps: u64,
    /// Wake-ups that are lost.
    pub wake_ups_lost: u64,
    /// Whether people do more than record events.
    pub people_meddle: bool,
}

pub const TENANT: TenantId = TenantId(Uuid::from_u128(1));

impl Plan {
    pub fn of(dice: &Dice) -> Self {
        let trouble = |likely: u64, most: u64| if dice.happens(likely) { dice.between(1, most) } else { 0 };
        let limits = DispatchLimits {
            in_flight_max: dice.between(1, 8) as u32,
            in_flight_per_webhook_max: dice.between(1, 6) as u32,
            claim_batch_max: dice.between(1, 6) as u32,
            settle_batch_max: dice.between(1, 6) as usize,
            gathering: Gathering { count_min: dice.between(1, 6) as usize, wait_ms: dice.between(1, 8) },
            ..DispatchLimits::default()
        };
        Self {
            processes: dice.between(1, 3),
            limits,
            webhooks: (0..dice.between(1, 3)).map(|place| webhook(dice, place)).collect(),
            trouble_ms: dice.between(10_000, 90_000),
            steps: dice.between(5, 25),
            store_fails: trouble(400, 150),
            answers_lost: trouble(300, 100),
            store_hangs: trouble(200, 60),
            outages: trouble(200, 150),
            dies_at_failpoint: trouble(400, 60),
            dies_in_call: trouble(300, 30),
            restarts: dice.happens(400),
            receiver_fails: if dice.happens(150) { 1_000 } else { trouble(600, 700) },
            receiver_hangs: trouble(300, 200),
            receiver_is_gone: trouble(150, 30),
            renders_fail: trouble(300, 200),
            clock_jumps: trouble(150, 100),
            wake_ups_lost: trouble(500, 1_000),
            people_meddle: dice.happens(700),
        }
    }

    /// Whether a process that lives keeps its leases: nothing keeps it from the store, and time only passes.
    pub fn leases_are_safe(&self) -> bool {
        self.store_fails + self.answers_lost + self.store_hangs + self.outages + self.clock_jumps == 0
    }
}

fn webhook(dice: &Dice, place: u64) -> Webhook {
    let webhook = sample::webhook(WebhookId(Uuid::from_u128(u128::from(100 + place))), TENANT);
    let retries = dice.below(4);
    Webhook {
        graphql_query: dice.coin().then(|| "{ ping }".to_owned()),
        timeout_ms: dice.between(500, 30_000) as u32,
        retry_delays_s: (0..retries).map(|_| dice.between(1, 20) as u32).collect(),
        flow: FlowSettings {
            concurrency: dice.between(1, 6) as u32,
            rate_per_second: dice.happens(300).then(|| dice.between(1, 10) as u32),
            ordering: if dice.coin() { Ordering::ByRecord } else { Ordering::None },
        },
        ..webhook
    }
}
