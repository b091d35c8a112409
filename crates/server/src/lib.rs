//! The server as a library: configuration, routes, authentication, wiring and commands. `main` is one line over
//! [`commands::run`]; tests [`start`] a server in their own process.

mod answer_room;
pub mod auth;
mod bootstrap;
pub mod commands;
pub mod config;
pub mod documents;
pub mod endpoint;
mod feed_watch;
pub mod http;
mod lasting;
pub mod limits;
mod memory;
pub mod metrics;
mod observer;
pub mod oidc;
mod only_one;
mod opening;
mod operation;
mod panics;
mod partitions;
mod server;
pub mod shares;
pub mod surroundings;
mod sweeping;
mod telemetry;
mod token_cache;
mod traces;
pub mod wake_ups;
pub mod websocket;
mod wiring;
mod workers;

pub use server::{RunningServer, start};
