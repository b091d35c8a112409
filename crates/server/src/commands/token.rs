//! `hookgraph token create|list|revoke`.

use crate::config::Config;
use crate::surroundings::{OsEntropy, SystemClock};
use crate::{auth, telemetry, wiring};
use anyhow::{Context, bail};
use clap::Subcommand;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::TokenId;
use hookgraph_domain::ports::{Clock, Entropy, Store};
use hookgraph_domain::tenant::Tenant;
use hookgraph_domain::token::AccessToken;
use secrecy::ExposeSecret;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Makes a token and prints it, this once
    Create {
        /// The tenant that it opens: its identifier or id
        #[arg(long)]
        tenant: String,
        /// What it is for
        #[arg(long, default_value = "admin")]
        name: String,
    },
    /// Lists tokens without their texts
    List {
        /// Of this tenant only: its identifier or id
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Ends a token at once
    Revoke {
        /// Its id, as `token list` shows it
        id: TokenId,
    },
}

pub async fn run(args: TokenArgs, config: Config) -> anyhow::Result<ExitCode> {
    telemetry::start(&config)?;
    let store = wiring::open_store(&config).await?;
    let store = store.as_ref();
    match args.command {
        TokenCommand::Create { tenant, name } => create(store, &tenant, name).await?,
        TokenCommand::List { tenant } => list(store, tenant.as_deref()).await?,
        TokenCommand::Revoke { id } => revoke(store, id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(store: &dyn Store, tenant: &str, name: String) -> anyhow::Result<()> {
    let (clock, entropy) = (SystemClock::default(), OsEntropy::default());
    let tenant = find_tenant(store, tenant).await?;
    let secret = auth::new_token(&entropy);
    let now = clock.now();
    let mut change = Change::at(now);
    let id = TokenId(entropy.uuid(now));
    change.writes.push(Write::InsertToken(AccessToken {
        id,
        tenant_id: tenant.id,
        name,
        secret_sha256: auth::sha256(secret.expose_secret()),
        created_at: now,
        revoked_at: None,
    }));
    store.commit(change).await?;
    eprintln!("token {id} of tenant {}; its text is shown this once:", tenant.identifier);
    println!("{}", secret.expose_secret());
    Ok(())
}

async fn list(store: &dyn Store, tenant: Option<&str>) -> anyhow::Result<()> {
    let tenant_id = match tenant {
        Some(tenant) => Some(find_tenant(store, tenant).await?.id),
        None => None,
    };
    let header = ["ID", "TENANT", "NAME", "CREATED", "REVOKED"].map(str::to_owned);
    let tokens = store.tokens(tenant_id).await?;
    let rows = tokens.into_iter().map(|token| {
        let revoked_at = token.revoked_at.map(|at| at.to_rfc3339()).unwrap_or_default();
        [token.id.to_string(), token.tenant_id.to_string(), token.name, token.created_at.to_rfc3339(), revoked_at]
    });
    print!("{}", super::aligned(std::iter::once(header).chain(rows)));
    Ok(())
}

async fn revoke(store: &dyn Store, id: TokenId) -> anyhow::Result<()> {
    let token = store.token(id).await?.with_context(|| format!("no token {id}"))?;
    if token.revoked_at.is_some() {
        bail!("token {id} was revoked before");
    }
    let mut change = Change::at(SystemClock::default().now());
    change.writes.push(Write::RevokeToken(id));
    store.commit(change).await?;
    println!("token {id} ({}) is revoked", token.name);
    Ok(())
}

async fn find_tenant(store: &dyn Store, text: &str) -> anyhow::Result<Tenant> {
    let by_identifier = store.tenant_by_identifier(text).await?;
    let found = match (by_identifier, text.parse()) {
        (None, Ok(id)) => store.tenant(id).await?,
        (found, _) => found,
    };
    found.with_context(|| format!("no tenant {text:?}"))
}
