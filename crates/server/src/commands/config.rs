//! `hookgraph config`.

use crate::config::{Layers, printed, printed_json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct ConfigCommandArgs {
    /// As JSON, one object a key
    #[arg(long)]
    json: bool,
}

pub fn run(args: &ConfigCommandArgs, layers: &Layers) -> anyhow::Result<ExitCode> {
    let text = if args.json { format!("{:#}\n", printed_json(layers)) } else { printed(layers) };
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
