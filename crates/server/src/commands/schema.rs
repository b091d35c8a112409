//! `hookgraph schema`.

use crate::wiring;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// The schema that payload queries are written against
    #[arg(long)]
    payload: bool,
}

pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let sdl = if args.payload { wiring::payload_sdl() } else { wiring::management_sdl() };
    super::print(&format!("{}\n", sdl.trim_end()))?;
    Ok(ExitCode::SUCCESS)
}
