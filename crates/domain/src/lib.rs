//! The nouns, rules, pure decisions and ports of hookgraph: no I/O, no clock, no randomness.
//!
//! A delivery's road is record (with its fan out), claim, render, sign, send, settle, watch. What each step *decides* is
//! a function in this crate; what each step *needs* from outside is a trait in [`ports`].

pub mod address;
pub mod attempt;
pub mod audit;
pub mod breaker;
pub mod canonical_json;
pub mod catalogue;
pub mod change;
pub mod constant_time;
pub mod delivery;
pub mod drain;
pub mod event;
pub mod fan_out;
pub mod feed;
pub mod flow;
pub mod gathering;
pub mod idempotency;
pub mod ids;
pub mod limits;
pub mod page;
pub mod payload;
pub mod permission;
pub mod ports;
pub mod problem;
pub mod rate;
pub mod record;
pub mod refusal;
pub mod replay;
pub mod request;
pub mod retention;
pub mod retry;
#[cfg(test)]
mod sample;
pub mod settle;
pub mod share;
pub mod signing;
pub mod tenant;
pub mod time;
pub mod tls;
pub mod token;
pub mod trace;
pub mod verification;
pub mod webhook;
pub mod webhook_rules;
