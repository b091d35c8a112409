//! `hookgraph migrate`.

use crate::config::Config;
use crate::{opening, telemetry};
use std::process::ExitCode;

pub async fn migrate(config: Config) -> anyhow::Result<ExitCode> {
    telemetry::start(&config)?;
    let applied = opening::migrate(&config).await?;
    for name in &applied {
        super::print(&format!("applied {name}\n"))?;
    }
    if applied.is_empty() {
        super::print("the database is up to date\n")?;
    }
    Ok(ExitCode::SUCCESS)
}
