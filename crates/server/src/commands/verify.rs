//! `hookgraph verify`.

use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The saved request: HTTP/1.1 text, or JSON with method, url, headers and body
    file: PathBuf,
}

pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("{}: not checked yet", args.file.display())
}
