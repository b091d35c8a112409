//! `hookgraph verify`.

use super::saved_request::SavedRequest;
use crate::surroundings;
use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use hookgraph_domain::ports::Clock;
use hookgraph_domain::signing::{PublicKey, SigningSecret};
use hookgraph_domain::verification::{self, Check, Credentials};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The saved request: HTTP/1.1 as text, or JSON with method, url, headers and body; - reads standard input
    file: PathBuf,
    /// The file with the signature secret, whsec_…, of the webhook or its tenant
    #[arg(long, value_name = "FILE", required_unless_present_any = ["secret", "public_key"])]
    secret_file: Option<PathBuf>,
    /// The secret itself; other users of this machine may see it in the list of processes
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file")]
    secret: Option<String>,
    /// The public key, whpk_…, where the webhook signs asymmetrically; with a secret too where it signs both ways
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
    /// The URL that was called, where the saved request names only its path
    #[arg(long)]
    url: Option<String>,
    /// For GET: the webhook's URL as it is configured, without the parameters that were appended
    #[arg(long)]
    webhook_url: Option<String>,
    /// As of when to judge, e.g. 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
}

pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let saved = SavedRequest::read(&content(&args.file)?).with_context(|| args.file.display().to_string())?;
    let Some(url) = args.url.clone().or(saved.url) else {
        bail!("{}: the request names no whole URL: give the one that was called with --url", args.file.display());
    };
    let request = verification::SavedRequest {
        method: saved.method,
        url,
        webhook_url: args.webhook_url.clone(),
        headers: saved.headers,
        body: String::from_utf8(saved.body).context("the body is not UTF-8, so it is not what was signed")?,
    };
    let checks =
        verification::verify(&request, &credentials(args)?, args.at.unwrap_or_else(|| surroundings::clock().now()));
    super::print(&report(&checks))?;
    Ok(if checks.iter().all(|check| check.result.is_ok()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn content(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut content).context("standard input cannot be read")?;
        return Ok(content);
    }
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

fn credentials(args: &VerifyArgs) -> anyhow::Result<Credentials> {
    let secret = match (&args.secret, &args.secret_file) {
        (Some(secret), _) => Some(secret.clone()),
        (None, Some(file)) => {
            Some(std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?)
        }
        (None, None) => None,
    };
    let secret = secret.map(|text| SigningSecret::parse(text.trim())).transpose().context("the secret")?;
    let key = args.public_key.as_ref().map(|text| PublicKey::parse(text.trim())).transpose();
    let key = key.context("the public key")?;
    if secret.is_none() && key.is_none() {
        bail!("a secret or a public key is needed: --secret-file or --public-key");
    }
    Ok(Credentials { secret, key })
}

fn report(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check { what, result } in checks {
        let (verdict, why) = match result {
            Ok(found) => ("ok      ", found),
            Err(why) => ("MISMATCH", why),
        };
        text.push_str(&format!("{verdict}  {what}: {why}\n"));
    }
    let failed_count = checks.iter().filter(|check| check.result.is_err()).count();
    text.push_str(&match failed_count {
        0 => "the request is genuine\n".to_owned(),
        1 => "1 check failed: the request is not to be trusted\n".to_owned(),
        many => format!("{many} checks failed: the request is not to be trusted\n"),
    });
    text
}
