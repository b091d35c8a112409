//! The harness of the black-box tests: the real binary as a process, its GraphQL API over HTTP and WebSocket, and
//! scripted receivers.

mod api;
pub mod chaos;
mod database;
mod live;
mod process;
mod signatures;

pub use api::{Answered, Api};
pub use database::{Database, on, on_both};
pub use hookgraph_testkit::receiver::ReceivedRequest;
pub use live::{Live, is_final};
pub use process::{Installation, Process, SIGNATURE_SECRET};
pub use signatures::verify_signatures;

use std::time::Duration;

/// How long a test waits for something that must happen before it fails.
const PATIENCE: Duration = Duration::from_secs(60);
