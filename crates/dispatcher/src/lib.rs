//! The road from a due delivery to its settlement: claim, render, freeze, sign, send, settle; and the HTTP transport.
//!
//! [`worker`] drives the stages, [`transport`] sends, [`flow`] probes, drains and replays beside them, and
//! [`retention`] removes history that is too old. The decisions of a stage are `domain`'s.

pub mod flow;
mod guard;
pub mod limits;
pub mod retention;
pub mod transport;
pub mod worker;
