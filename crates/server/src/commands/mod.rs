//! The commands of the binary. Their answers for people and scripts go to standard output; logs and errors go to
//! standard error.

mod config;
mod database;
mod events;
mod keys;
mod saved_request;
mod schema;
mod serve;
mod token;
mod verify;

use crate::config::{Config, Layers};
use crate::limits::BLOCKED_THREADS_MS_MAX;
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The file that is read when none is named.
const CONFIG_FILE: &str = "hookgraph.toml";

/// Webhooks on PIM events, whose payload is a GraphQL query.
#[derive(Debug, Parser)]
#[command(name = "hookgraph", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    configuration: ConfigArgs,
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration comes from: defaults, then the file, then `HOOKGRAPH_*`, then these flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
struct ConfigArgs {
    /// The configuration file [default: hookgraph.toml, where there is one]
    #[arg(long, global = true, env = "HOOKGRAPH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// sqlite://PATH, sqlite::memory: or postgres://USER:PASSWORD@HOST/NAME
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Sets any key that `hookgraph config` shows; may be given again
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API and delivers webhooks
    Serve(serve::ServeArgs),
    /// Brings the database's schema up to date
    Migrate,
    /// Prints the GraphQL schema
    Schema(schema::SchemaArgs),
    /// Prints the catalogue of events with their variables
    Events(events::EventsArgs),
    /// Makes, lists and revokes access tokens
    Token(token::TokenArgs),
    /// Lists, rotates and prunes the keys that seal secrets
    Keys(keys::KeysArgs),
    /// Prints the effective configuration: each key's meaning, unit, default and source
    Config(config::ConfigCommandArgs),
    /// Checks the signatures of a saved request and says what does not match
    Verify(verify::VerifyArgs),
}

/// Runs the command of that command line.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hookgraph: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { configuration, command } = cli;
    match command {
        Command::Schema(args) => schema::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Config(args) => config::run(&args, &configuration.layers()?),
        Command::Serve(args) => {
            let mut layers = configuration.layers()?;
            args.lay_flags(&mut layers)?;
            in_runtime(serve::run(Config::from_layers(&layers)))
        }
        Command::Migrate => in_runtime(database::migrate(configuration.config()?)),
        Command::Keys(args) => in_runtime(keys::run(args, configuration.config()?)),
        Command::Token(args) => in_runtime(token::run(args, configuration.config()?)),
    }
}

fn in_runtime(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot start")?;
    let ended = runtime.block_on(command);
    // Dropping the runtime would wait for threads that block, however long they do.
    runtime.shutdown_timeout(Duration::from_millis(BLOCKED_THREADS_MS_MAX));
    ended
}

impl ConfigArgs {
    fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::from_layers(&self.layers()?))
    }

    fn layers(&self) -> anyhow::Result<Layers> {
        let mut layers = Layers::defaults()?;
        let file = self.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG_FILE));
        if let Some(text) = read_file(&file, self.config.is_some())? {
            layers.lay_file(&file.display().to_string(), &text)?;
        }
        // Names and values that are not UTF-8 are no keys; they are made UTF-8 so that an error can name them.
        let variables = std::env::vars_os();
        layers.lay_environment(
            variables.map(|(name, value)| (name.to_string_lossy().into(), value.to_string_lossy().into())),
        )?;
        if let Some(database) = &self.database {
            layers.lay_flag("--database", "database", database)?;
        }
        for set in &self.set {
            let (name, text) = set.split_once('=').with_context(|| format!("--set {set}: wants KEY=VALUE"))?;
            layers.lay_flag("--set", name.trim(), text)?;
        }
        Ok(layers)
    }
}

fn read_file(path: &Path, must_exist: bool) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Writes to standard output. A reader may have enough before the end, as `head` does: the rest is dropped, which is no
/// failure.
fn print(text: &str) -> anyhow::Result<()> {
    match write(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// Writes a text to standard output that must be seen: it is a failure too that nobody reads. (The macros of the
/// standard library would panic then.)
fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// A text of others as it may be shown in a row: characters that move the cursor, end the line or turn the direction of
/// writing are escaped.
fn on_one_line(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Rows as text, each column as wide as its widest cell.
fn aligned<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = rows.collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::in_runtime;
    use std::process::ExitCode;
    use std::sync::mpsc;
    use tokio::sync::oneshot;

    #[test]
    fn a_command_ends_though_a_thread_of_it_does_not() {
        let (release, blocks) = mpsc::channel::<()>();
        let ended = in_runtime(async {
            let (begins, begun) = oneshot::channel();
            tokio::task::spawn_blocking(move || {
                let _ = begins.send(());
                let _ = blocks.recv();
            });
            begun.await?;
            Ok(ExitCode::SUCCESS)
        });
        assert!(ended.is_ok());
        drop(release);
    }
}
