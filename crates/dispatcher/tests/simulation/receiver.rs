//! The receivers: the dice choose what a request comes to.

use super::world::World;
use hookgraph_domain::attempt::{Exchange, OutcomeCode, ResponseHead};

/// The longest `Retry-After` of an answer: a day.
const ASKED_MS_MAX: u64 = 24 * 3_600 * 1_000;

/// How a request goes: how long it takes, and how it ends.
#[derive(Clone, Debug)]
pub struct Script {
    pub takes_ms: u64,
    pub code: OutcomeCode,
    pub status: Option<u16>,
    pub retry_after_ms: Option<u64>,
}

impl Script {
    fn answer(takes_ms: u64, code: OutcomeCode, status: u16) -> Self {
        Self { takes_ms, code, status: Some(status), retry_after_ms: None }
    }

    fn silence(takes_ms: u64, code: OutcomeCode) -> Self {
        Self { takes_ms, code, status: None, retry_after_ms: None }
    }

    /// How the next request goes.
    pub fn next(world: &World, timeout_ms: u32) -> Self {
        let (dice, plan) = (&world.dice, &world.plan);
        let quick_ms = dice.between(1, 200).min(u64::from(timeout_ms));
        let delivered = Self::answer(quick_ms, OutcomeCode::Delivered, 200);
        if world.is_calm() {
            return delivered;
        }
        if dice.happens(plan.receiver_hangs) {
            return Self::silence(timeout_ms.into(), OutcomeCode::Timeout);
        }
        if dice.happens(plan.receiver_is_gone) {
            return Self::answer(quick_ms, OutcomeCode::Gone, 410);
        }
        if !dice.happens(plan.receiver_fails) {
            return Self { takes_ms: dice.between(1, u64::from(timeout_ms) / 4), ..delivered };
        }
        match dice.below(6) {
            0 => Self::silence(quick_ms, OutcomeCode::ConnectFailed),
            1 => Self::answer(quick_ms, OutcomeCode::Redirect, 302),
            2 => {
                Self { retry_after_ms: Some(dice.between(0, 40_000)), ..Self::answer(1, OutcomeCode::HttpStatus, 429) }
            }
            3 => Self { retry_after_ms: Some(30_000), ..Self::answer(1, OutcomeCode::HttpStatus, 500) },
            4 => Self::silence(quick_ms, OutcomeCode::ServerFault),
            _ => Self::answer(quick_ms, OutcomeCode::HttpStatus, 500),
        }
    }

    /// How long the receiver asks to be left alone.
    pub fn asked_ms(&self) -> u64 {
        let is_honoured = matches!(self.status, Some(429 | 503));
        self.retry_after_ms.filter(|_| is_honoured).unwrap_or(0).min(ASKED_MS_MAX)
    }

    pub fn exchange(&self) -> Exchange {
        Exchange {
            code: self.code,
            detail: None,
            response: self.status.map(|status| ResponseHead { status, headers: Vec::new() }),
            response_body: None,
            response_truncated: false,
            retry_after_ms: self.retry_after_ms,
            remote_address: None,
            duration_ms: self.takes_ms,
        }
    }
}
