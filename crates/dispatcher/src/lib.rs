//! The road from a due delivery to its settlement: claim, render, freeze, sign, send, settle; and the HTTP transport.
//!
//! [`worker`] drives the stages, [`transport`] sends, [`flow`] probes, drains and replays beside them, [`retention`]
//! removes what is too old. What a stage *decides* is `domain`'s.

pub mod flow;
mod guard;
pub mod limits;
pub mod retention;
pub mod transport;
pub mod worker;
