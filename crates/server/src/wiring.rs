//! Wiring: the adapters behind the ports.

use crate::config::Config;
use crate::http::Endpoints;
use hookgraph_domain::ports::{Clock, Entropy, Store};
use std::sync::Arc;
use std::time::Duration;

/// Everything that a server is made of.
pub struct Wired {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The schemas.
    pub endpoints: Endpoints,
    /// The loops.
    pub workers: Workers,
}

/// The loops that run beside the routes.
pub struct Workers;

impl Workers {
    /// Stops them.
    pub async fn stop(self, _within: Duration) {}
}

/// Makes it all.
pub async fn wire(_config: &Config) -> anyhow::Result<Wired> {
    anyhow::bail!("nothing is wired yet")
}

/// Opens the database and brings it up to date.
pub async fn open_store(_config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    anyhow::bail!("nothing is wired yet")
}

/// Brings the database up to date and names what that took.
pub async fn migrate(_config: &Config) -> anyhow::Result<Vec<String>> {
    anyhow::bail!("nothing is wired yet")
}

/// The SDL of `/graphql`.
pub fn management_sdl() -> String {
    String::new()
}

/// The SDL of `/payload/graphql`.
pub fn payload_sdl() -> String {
    String::new()
}
