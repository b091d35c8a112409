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
        /// Adds no key: goes on with a rotation that was interrupted, or begun with --add-only
        #[arg(long)]
        resume: bool,
        /// Adds the key and seals nothing anew: processes with key files of their own get it first, then --resume
        #[arg(long, conflicts_with = "resume")]
        add_only: bool,
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
        KeysCommand::Rotate { add_only: true, .. } => super::print(&after_adding(vault.add_key()?))?,
        KeysCommand::Rotate { resume, .. } => {
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

/// The steps that follow once the key of that id is added and has sealed nothing. The last key of a file seals, also in
/// a process that runs: no process must seal with it before all others have it, too.
fn after_adding(id: u8) -> String {
    format!(
        "key {id:02x} is added to the key file, and no secret is sealed anew\n\
         a process that has this file seals with that key from its next secret on, without a restart, and one whose \
         file lacks the key cannot open what it seals; so, in this order:\n\
         1. until the last step restart no process, and let nobody make or change secrets (of tenants, of webhooks)\n\
         2. back the key file up, and copy it to every process that has one of its own, with mode 0600; one that runs \
         reads it again by itself, before it seals and when it meets a key that it does not know\n\
         3. when `hookgraph keys list` shows {id:02x} in each of these files, run `hookgraph keys rotate --resume`\n"
    )
}
