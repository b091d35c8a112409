//! `hookgraph keys list|rotate|prune`.

use crate::config::Config;
use crate::{opening, telemetry};
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Lists the keys of the key file and how many secrets each has sealed
    List,
    /// Adds a key to the key file and seals every secret with it. Servers that run follow
    Rotate {
        /// Adds no key: goes on with a rotation that was interrupted
        #[arg(long)]
        resume: bool,
    },
    /// Takes the keys that seal nothing out of the key file
    Prune,
}

pub async fn run(args: KeysArgs, config: Config) -> anyhow::Result<ExitCode> {
    telemetry::start(&config)?;
    let (store, vault) = opening::open_with_vault(&config).await?;
    match args.command {
        KeysCommand::List => {
            let counts = store.sealed_by().await?;
            let ids = vault.key_ids();
            let header = ["KEY", "SECRETS", "SEALS"].map(str::to_owned);
            let rows = ids.iter().map(|id| {
                let count = counts.get(id).copied().unwrap_or_default();
                let seals = if Some(id) == ids.last() { "yes" } else { "" };
                [format!("{id:02x}"), count.to_string(), seals.to_owned()]
            });
            super::print(&super::aligned(std::iter::once(header).chain(rows)))?;
        }
        KeysCommand::Rotate { resume } => {
            if !resume {
                super::print(&format!("key {:02x} seals from now on\n", vault.add_key()?))?;
            }
            let count = store.reseal().await?;
            super::print(&format!(
                "{count} secrets are sealed anew; back the key file up, then run `hookgraph keys prune`\n"
            ))?;
        }
        KeysCommand::Prune => {
            let used: Vec<u8> = store.sealed_by().await?.into_keys().collect();
            for id in vault.keep_keys(&used)? {
                super::print(&format!("key {id:02x} is gone from the key file\n"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
