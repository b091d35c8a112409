//! `hookgraph migrate`.

use crate::config::Config;
use crate::{opening, telemetry};
use std::process::ExitCode;

pub async fn migrate(config: Config) -> anyhow::Result<ExitCode> {
    telemetry::start(&config)?;
    let applied = opening::migrate(&config).await?;
    for name in &applied {
        println!("applied {name}");
    }
    if applied.is_empty() {
        println!("the database is up to date");
    }
    Ok(ExitCode::SUCCESS)
}
