//! `hookgraph token create|list|revoke`.

use crate::config::Config;
use crate::surroundings::{OsEntropy, SystemClock};
use crate::{auth, opening, telemetry};
use anyhow::{Context, bail};
use clap::Subcommand;
use hookgraph_domain::audit::AuditEntry;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::{AuditEntryId, TenantId, TokenId};
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::ports::{Clock, Entropy, Store};
use hookgraph_domain::tenant::Tenant;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;
use secrecy::ExposeSecret;
use serde_json::json;
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
        /// What it may read or change, e.g. ORDERS_READ; may be given more than once. All where none is given
        #[arg(long = "permission", value_parser = permission)]
        permissions: Vec<Permission>,
        /// After how many hours it expires. Never where none is given
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        expires_in_h: Option<u32>,
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
    let store = opening::open_store(&config).await?;
    let store = store.as_ref();
    match args.command {
        TokenCommand::Create { tenant, name, permissions, expires_in_h } => {
            create(store, &tenant, name, permissions, expires_in_h).await?
        }
        TokenCommand::List { tenant } => list(store, tenant.as_deref()).await?,
        TokenCommand::Revoke { id } => revoke(store, id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(
    store: &dyn Store,
    tenant: &str,
    name: String,
    permissions: Vec<Permission>,
    expires_in_h: Option<u32>,
) -> anyhow::Result<()> {
    let (clock, entropy) = (SystemClock::default(), OsEntropy::default());
    let tenant = find_tenant(store, tenant).await?;
    let secret = auth::new_token(&entropy);
    let now = clock.now();
    let mut change = Change::at(now);
    let id = TokenId(entropy.uuid(now));
    let permissions =
        if permissions.is_empty() { PermissionSet::all() } else { permissions.into_iter().collect::<PermissionSet>() };
    let subject = format!("accessToken:{id}");
    let after = Some(json!({ "name": &name, "permissions": permissions.names() }));
    change.writes.push(audit_entry(&entropy, tenant.id, now, ("accessToken.create", subject), after));
    change.writes.push(Write::InsertToken(AccessToken {
        id,
        tenant_id: tenant.id,
        name,
        secret_sha256: auth::sha256(secret.expose_secret()),
        permissions,
        created_at: now,
        expires_at: expires_in_h.map(|hours| now + chrono::Duration::hours(i64::from(hours))),
        last_used_at: None,
        revoked_at: None,
    }));
    store.commit(change).await?;
    eprintln!("token {id} of tenant {}; its text is shown this once:", tenant.identifier);
    let shown = super::write(&format!("{}\n", secret.expose_secret()));
    shown.with_context(|| format!("the token's text could not be shown: run `hookgraph token revoke {id}`"))
}

async fn list(store: &dyn Store, tenant: Option<&str>) -> anyhow::Result<()> {
    let tenant_id = match tenant {
        Some(tenant) => Some(find_tenant(store, tenant).await?.id),
        None => None,
    };
    super::print(&listed(store.tokens(tenant_id).await?))
}

/// A row for each token, however its tenant has named it.
fn listed(tokens: Vec<AccessToken>) -> String {
    let header =
        ["ID", "TENANT", "NAME", "PERMISSIONS", "CREATED", "EXPIRES", "LAST USED", "REVOKED"].map(str::to_owned);
    let rows = tokens.into_iter().map(|token| {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
        let all = token.permissions == PermissionSet::all();
        let permissions = if all { "all".to_owned() } else { token.permissions.names().join(",") };
        [
            token.id.to_string(),
            token.tenant_id.to_string(),
            super::on_one_line(&token.name),
            permissions,
            token.created_at.to_rfc3339(),
            time(token.expires_at),
            time(token.last_used_at),
            time(token.revoked_at),
        ]
    });
    super::aligned(std::iter::once(header).chain(rows))
}

async fn revoke(store: &dyn Store, id: TokenId) -> anyhow::Result<()> {
    let token = store.token(id).await?.with_context(|| format!("no token {id}"))?;
    if token.revoked_at.is_some() {
        bail!("token {id} was revoked before");
    }
    let now = SystemClock::default().now();
    let mut change = Change::at(now);
    change.writes.push(Write::RevokeToken(id));
    let what = ("accessToken.revoke", format!("accessToken:{id}"));
    change.writes.push(audit_entry(&OsEntropy::default(), token.tenant_id, now, what, None));
    store.commit(change).await?;
    super::print(&format!("token {id} ({}) is revoked\n", super::on_one_line(&token.name)))
}

/// An entry of the audit log, which names no user: a person who may run commands here has none.
fn audit_entry(
    entropy: &dyn Entropy,
    tenant_id: TenantId,
    at: Timestamp,
    (action, subject): (&str, String),
    after: Option<serde_json::Value>,
) -> Write {
    Write::Audit(AuditEntry {
        id: AuditEntryId(entropy.uuid(at)),
        tenant_id,
        at,
        user_id: None,
        action: action.to_owned(),
        subject,
        before: None,
        after: after.map(|after| after.to_string()),
    })
}

fn permission(name: &str) -> Result<Permission, String> {
    let known = || Permission::ALL.map(Permission::as_str).join(", ");
    Permission::from_name(&name.to_ascii_uppercase()).ok_or_else(|| format!("there are {}", known()))
}

async fn find_tenant(store: &dyn Store, text: &str) -> anyhow::Result<Tenant> {
    auth::tenant_named(store, text).await?.with_context(|| format!("no tenant {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::ports::UnitOfWork;
    use hookgraph_testkit::{MemoryStore, sample};
    use uuid::Uuid;

    #[tokio::test]
    async fn a_tenant_is_found_by_its_id_whatever_another_one_is_called() {
        let store = MemoryStore::default();
        let [acme, other, third] = [0xa1, 0xb2, 0xc3].map(|id| TenantId(Uuid::from_u128(id)));
        let nobodys_id = Uuid::from_u128(0xd4).to_string();
        let mut change = Change::at(sample::now());
        for (id, identifier) in [(acme, "acme"), (other, acme.to_string().as_str()), (third, nobodys_id.as_str())] {
            change.writes.push(Write::InsertTenant(sample::tenant(id, identifier)));
        }
        store.commit(change).await.unwrap();
        for (text, id) in [
            ("acme", acme),
            (acme.to_string().as_str(), acme),
            (acme.to_string().to_uppercase().as_str(), acme),
            (other.to_string().as_str(), other),
            (nobodys_id.as_str(), third),
        ] {
            assert_eq!(find_tenant(&store, text).await.unwrap().id, id, "{text}");
        }
        for text in ["other", &Uuid::from_u128(0xe5).to_string(), ""] {
            assert_eq!(find_tenant(&store, text).await.unwrap_err().to_string(), format!("no tenant {text:?}"));
        }
    }

    #[test]
    fn a_tenant_forges_no_row_by_the_name_of_its_token() {
        let token = |name: &str| AccessToken {
            id: TokenId(Uuid::nil()),
            tenant_id: TenantId(Uuid::nil()),
            name: name.to_owned(),
            secret_sha256: [7; 32],
            permissions: PermissionSet::all(),
            created_at: sample::now(),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        for (name, shown) in [
            ("nightly", "nightly"),
            ("Zoë's \"ci\" 鍵", "Zoë's \"ci\" 鍵"),
            ("ci\r\n0198  acme  admin", r"ci\r\n0198  acme  admin"),
            ("\u{1b}[2K\u{9b}1A", r"\u{1b}[2K\u{9b}1A"),
            ("a\u{2028}\u{202e}b", r"a\u{2028}\u{202e}b"),
        ] {
            let text = listed(vec![token(name)]);
            assert_eq!(text.lines().count(), 2, "{text:?}");
            assert!(text.ends_with('\n') && text.lines().all(|line| !line.contains(char::is_control)), "{text:?}");
            assert!(text.contains(&format!("  {shown}  all  ")), "{text:?}");
        }
    }
}
