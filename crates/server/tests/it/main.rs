//! The server from outside, and its configuration.
//!
//! One binary: each more would link all of the workspace again.

#![allow(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

mod answers;
mod commands;
mod config;
mod http;
mod issuer_keys;
mod keys;
mod limits;
mod oidc;
mod oidc_fetch;
mod operations;
mod persisted;
mod rig;
mod wake_ups;
mod websocket;
