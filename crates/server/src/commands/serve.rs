//! `hookgraph serve`.

use crate::bootstrap::Bootstrapped;
use crate::config::{Config, ConfigError, Layers};
use crate::server::{self, RunningServer};
use crate::{memory, telemetry};
use anyhow::Context;
use secrecy::ExposeSecret;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes a free port and prints it
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

impl ServeArgs {
    pub fn lay_flags(&self, layers: &mut Layers) -> Result<(), ConfigError> {
        self.listen.as_deref().map_or(Ok(()), |listen| layers.lay_flag("--listen", "listen", listen))
    }
}

pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let traces = telemetry::start_traced(&config)?;
    if let Err(error) = memory::keep_pages_small() {
        tracing::warn!(%error, "huge pages cannot be turned off: this process will hold more memory");
    }
    let terminated = signal(SignalKind::terminate()).context("signals cannot be taken")?;
    let public_url = config.public_url.clone();
    let (allowed, refused) = (config.allowed_addresses.clone(), config.refused_addresses.clone());
    let has_graphiql = config.graphiql;
    let server = server::start_traced(config, traces.clone()).await?;
    let address = public_url.unwrap_or_else(|| format!("http://{}", server.address));
    let text = welcome(&server, &address, (&allowed, &refused), has_graphiql);
    if server.bootstrapped.as_ref().is_some_and(has_secrets) {
        // The secrets are in the database by now: a server that ended here would not show them at its next start.
        if let Err(error) = super::write(&text) {
            tracing::warn!(
                %error,
                "standard output cannot be written, so the secrets that were just made are lost: make a token with \
                 `hookgraph token create`, and a signature secret with `tenant {{ regenerateSecrets }}`"
            );
        }
    } else {
        super::print(&text)?;
    }
    let served = serve(server, told_to_stop(terminated)).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    served.map(|()| ExitCode::SUCCESS)
}

/// Serves until it is told to stop, or until a part of the server ends before that, which is an error: the supervisor
/// of the process then starts it again.
async fn serve(server: RunningServer, told: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let failed = server.failed();
    tokio::select! {
        told = told => told?,
        () = failed.cancelled() => tracing::error!("failed: stopping"),
    }
    server.shutdown().await;
    anyhow::ensure!(!failed.is_cancelled(), "a part of the server ended before it was told to: the log says which");
    Ok(())
}

async fn told_to_stop(mut terminated: Signal) -> anyhow::Result<()> {
    tokio::select! {
        _ = terminated.recv() => tracing::info!("terminated: stopping"),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("signals cannot be taken")?;
            tracing::info!("interrupted: stopping");
        }
    }
    Ok(())
}

/// What a person reads at the start. The networks are those of `allowed_addresses` and of `refused_addresses`.
fn welcome(
    server: &RunningServer,
    address: &str,
    (allowed, refused): (&[ipnet::IpNet], &[ipnet::IpNet]),
    has_graphiql: bool,
) -> String {
    let what = if has_graphiql { "GraphiQL and the API" } else { "The API" };
    let mut text = format!("hookgraph listens on {address}\n  {what}: {address}/graphql\n");
    if !allowed.is_empty() {
        let _ = writeln!(text, "  Webhooks may call addresses of this machine's networks: {}", listed(allowed));
    }
    if !refused.is_empty() {
        let _ = writeln!(text, "  Webhooks may never call (refused_addresses): {}", listed(refused));
    }
    if let Some(made) = &server.bootstrapped {
        text.push_str(&first_steps(made, address, allowed, has_graphiql));
    }
    text
}

fn listed(networks: &[ipnet::IpNet]) -> String {
    let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
    networks.join(", ")
}

/// Whether secrets were made, which are shown this once.
fn has_secrets(made: &Bootstrapped) -> bool {
    made.token.is_some() || made.signature_secret.is_some()
}

/// The next steps for a person who is new to the server, with the secrets, which are shown this once.
fn first_steps(made: &Bootstrapped, address: &str, allowed: &[ipnet::IpNet], has_graphiql: bool) -> String {
    let mut text = format!("\nTenant {} (id {}) is new.\n", made.tenant_identifier, made.tenant_id);
    if let Some(secret) = &made.signature_secret {
        let _ = writeln!(text, "  Signature secret, shown this once: {}", secret.expose_secret());
    }
    let Some(token) = &made.token else { return text };
    let _ = writeln!(text, "  Access token, shown this once:     {}", token.expose_secret());
    let how = if has_graphiql {
        format!("Open {address}/graphql, paste the token at the top, and define a first webhook")
    } else {
        format!(
            "Define a first webhook: send this to {address}/graphql (POST, as \"query\" of a JSON object, with the \
             header `authorization: Bearer` and the token)"
        )
    };
    let _ = write!(text, "\n{how}:\n\n{}\n", first_mutation(&made.tenant_id.to_string(), allowed));
    text
}

/// A mutation that this server takes: a receiver on this machine is named only where it may be called.
fn first_mutation(tenant_id: &str, allowed: &[ipnet::IpNet]) -> String {
    let is_local_allowed = allowed.iter().any(|network| network.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let url = if is_local_allowed { "http://127.0.0.1:9000/" } else { "https://example.com/" };
    format!(
        r#"mutation {{
  webhook {{
    create(input: {{
      tenantId: "{tenant_id}"
      name: "Orders"
      concern: "orders"
      event: "create"
      method: POST
      url: "{url}"
      graphqlQuery: "query ($id: ID!) {{ order {{ get(id: $id) {{ id createdAt customer {{ firstName }} total {{ gross currency }} }} }} }}"
    }}) {{
      id
      name
    }}
  }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::{serve, welcome};
    use crate::config::{Config, Layers};
    use crate::server::{self, RunningServer};
    use std::path::Path;

    /// A server with those settings, on a database of its own in memory.
    async fn started(folder: &Path, settings: &[(&str, &str)]) -> (RunningServer, Config) {
        let key_file = folder.join("key").display().to_string();
        let mut layers = Layers::defaults().unwrap();
        for (name, text) in [("listen", "127.0.0.1:0"), ("database", "sqlite::memory:"), ("key_file", &key_file)] {
            layers.lay_flag("test", name, text).unwrap();
        }
        for (name, text) in settings {
            layers.lay_flag("test", name, text).unwrap();
        }
        let config = Config::from_layers(&layers);
        (server::start(config.clone()).await.unwrap(), config)
    }

    #[tokio::test]
    async fn a_server_of_which_a_part_has_failed_stops_with_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for fails in [true, false] {
            let (server, _) = started(folder.path(), &[]).await;
            let address = server.address;
            let ended = if fails {
                server.failed().cancel();
                serve(server, std::future::pending()).await
            } else {
                serve(server, std::future::ready(Ok(()))).await
            };
            assert_eq!(ended.is_err(), fails);
            assert!(std::net::TcpListener::bind(address).is_ok(), "it listens no more");
        }
    }

    #[tokio::test]
    async fn graphiql_is_named_where_it_is_served_alone() {
        let folder = tempfile::tempdir().unwrap();
        for (settings, is_served) in [
            ([("production", "false"), ("graphiql", "true")], true),
            ([("production", "true"), ("graphiql", "true")], false),
            ([("production", "false"), ("graphiql", "false")], false),
        ] {
            let (server, config) = started(folder.path(), &settings).await;
            let refused: [ipnet::IpNet; 1] = ["1.2.3.0/24".parse().unwrap()];
            let text = welcome(&server, "http://here", (&[], &refused), config.graphiql);
            for (words, are_told) in [
                ("GraphiQL and the API: http://here/graphql\n", is_served),
                ("Open http://here/graphql, paste the token", is_served),
                ("\n  The API: http://here/graphql\n", !is_served),
                ("send this to http://here/graphql (POST", !is_served),
                ("\n  Webhooks may never call (refused_addresses): 1.2.3.0/24\n", true),
                ("Webhooks may call addresses", false),
            ] {
                assert_eq!(text.contains(words), are_told, "{settings:?}: {text}");
            }
            server.shutdown().await;
        }
    }
}
