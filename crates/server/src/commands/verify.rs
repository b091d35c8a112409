//! `hookgraph verify`.

use super::saved_request::SavedRequest;
use crate::surroundings;
use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use hookgraph_domain::ports::Clock;
use hookgraph_domain::signing::{PublicKey, SigningSecret};
use hookgraph_domain::verification::{self, Check, Credentials};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use url::Url;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("credentials").required(true).multiple(true))]
pub struct VerifyArgs {
    /// The saved request: HTTP/1.1 as text, or JSON; - reads standard input
    ///
    /// As text, `nc -l 4711 > request.http` saves what a webhook sends to port 4711 of this machine. As JSON it is
    /// `{"method": "POST", "url": "https://receiver.example/hook", "headers": {"webhook-id": "..."}, "body": "..."}`
    /// with every header, and with the body's exact text.
    file: PathBuf,
    /// The file with the signature secret, whsec_…, of the webhook or its tenant
    #[arg(long, value_name = "FILE", group = "credentials")]
    secret_file: Option<PathBuf>,
    /// The secret itself; other users of this machine may see it in the list of processes
    #[arg(long, value_name = "SECRET", group = "credentials", conflicts_with = "secret_file")]
    secret: Option<String>,
    /// The public key, whpk_…, where the webhook signs asymmetrically; with a secret too where it signs both ways
    #[arg(long, value_name = "KEY", group = "credentials")]
    public_key: Option<String>,
    /// The URL that was called, where the saved request names only its path; both must name the same path and query
    #[arg(long)]
    url: Option<String>,
    /// The webhook's URL as it is configured, for GET without the parameters that were appended; a request that names
    /// only its path was called there
    #[arg(long)]
    webhook_url: Option<String>,
    /// As of when to judge, e.g. 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<DateTime<Utc>>,
}

pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let saved = SavedRequest::read(&content(&args.file)?).with_context(|| args.file.display().to_string())?;
    let url = called_url(saved.target.as_deref(), args.url.as_deref(), args.webhook_url.as_deref())
        .with_context(|| args.file.display().to_string())?;
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

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "a time is written as in RFC 3339, e.g. 2026-01-31T12:00:00Z".to_owned())
}

/// The whole URL that was called.
fn called_url(target: Option<&str>, url: Option<&str>, webhook_url: Option<&str>) -> anyhow::Result<String> {
    for (flag, given) in [("--url", url), ("--webhook-url", webhook_url)] {
        ensure!(
            given.is_none_or(|given| origin_and_rest(given).is_some()),
            "{flag} is no whole URL such as https://receiver.example/hook"
        );
    }
    if let Some(url) = url {
        let fits = target.is_none_or(|target| fits(url, target));
        ensure!(
            fits,
            "--url does not fit the request line {}: give the URL of that path and query, or correct the saved request \
             where a proxy changed them",
            target.unwrap_or_default()
        );
        return Ok(url.to_owned());
    }
    match (target, webhook_url) {
        (Some(target), _) if origin_and_rest(target).is_some() => Ok(target.to_owned()),
        // What is signed is the URL's very text: the webhook's may differ from the request line in how it is written.
        (Some(target), Some(webhook_url)) if fits(webhook_url, target) => Ok(webhook_url.to_owned()),
        (Some(target), Some(webhook_url)) if target.starts_with('/') => {
            let (origin, _) = origin_and_rest(webhook_url).unwrap_or_default();
            Ok(format!("{origin}{target}"))
        }
        _ => bail!(
            "the request names no whole URL: give the one that was called with --url, or the webhook's with \
             --webhook-url"
        ),
    }
}

/// A whole URL's scheme with host and port, and what follows; none for another text.
fn origin_and_rest(url: &str) -> Option<(&str, &str)> {
    let (scheme, after) = url.split_once("://")?;
    if !scheme.chars().all(|char| char.is_ascii_alphanumeric()) || scheme.is_empty() {
        return None;
    }
    let host_at = url.len() - after.len();
    let end = after.find(['/', '?', '#']).map_or(url.len(), |at| host_at + at);
    Some(url.split_at(end))
}

/// Whether path and query of a URL are those of a request's target, however they are written.
fn fits(url: &str, target: &str) -> bool {
    let rest = origin_and_rest(target).map_or(target, |(_, rest)| rest);
    let Some((origin, _)) = origin_and_rest(url).filter(|_| rest.is_empty() || rest.starts_with(['/', '?'])) else {
        return false;
    };
    match (Url::parse(url), Url::parse(&format!("{origin}{rest}"))) {
        (Ok(url), Ok(called)) => (url.path(), url.query()) == (called.path(), called.query()),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOOK: &str = "https://a.example/hook";

    #[test]
    fn the_called_url_is_what_the_request_and_the_flags_say_together() {
        for (target, url, webhook_url, expected) in [
            (Some("/hook?id=1"), None, Some(HOOK), "https://a.example/hook?id=1"),
            (Some("/hook"), None, Some(HOOK), HOOK),
            (Some("/"), None, Some("https://a.example"), "https://a.example"),
            (Some("/r?to=http://b/"), None, Some(HOOK), "https://a.example/r?to=http://b/"),
            (Some("http://b.example/hook"), None, Some(HOOK), "http://b.example/hook"),
            (Some("http://b.example/hook"), Some(HOOK), None, HOOK),
            (Some("/hook"), Some(HOOK), None, HOOK),
            (None, Some(HOOK), None, HOOK),
        ] {
            assert_eq!(called_url(target, url, webhook_url).unwrap(), expected, "{target:?}");
        }
    }

    #[test]
    fn what_does_not_name_the_called_url_is_refused_with_what_would() {
        for (target, url, webhook_url, told) in [
            (Some("/hook"), None, None, "with --url, or the webhook's with --webhook-url"),
            (None, None, Some(HOOK), "with --url, or the webhook's with --webhook-url"),
            (Some("/hook?id=1"), Some("http://a.example/"), None, "--url does not fit the request line /hook?id=1"),
            (Some("/hook?id=1"), Some(HOOK), None, "--url does not fit the request line /hook?id=1"),
            (Some("/hook"), Some("/hook"), None, "--url is no whole URL"),
            (Some("/hook"), None, Some("a.example"), "--webhook-url is no whole URL"),
        ] {
            let error = called_url(target, url, webhook_url).unwrap_err().to_string();
            assert!(error.contains(told), "{target:?}: {error}");
        }
    }

    #[test]
    fn a_time_that_is_none_is_refused_with_one_that_is() {
        assert!(time("2026-01-31T12:00:00Z").is_ok());
        assert!(time("gestern").unwrap_err().ends_with("e.g. 2026-01-31T12:00:00Z"));
    }
}
