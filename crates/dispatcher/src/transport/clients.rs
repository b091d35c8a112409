//! Clients: one for all webhooks, and one for each TLS settings that some webhook has for itself. No connection is shared
//! between settings.

use super::identity::{Identity, Validity, authorities};
use super::look_ups::LookUps;
use super::names::CheckedNames;
use super::{TransportError, TransportOptions, tls};
use crate::limits::{CONNECT_MS_MAX, HTTP2_HEADERS_BYTES_MAX, POOL_IDLE_MS, POOL_IDLE_PER_HOST_MAX, TLS_CLIENTS_MAX};
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::ports::TlsFault;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::tls::TlsSettings;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Duration;

/// The clients of a transport.
pub(super) struct Clients {
    shared: reqwest::Client,
    own: Cache<[u8; 32], OwnClient>,
    options: TransportOptions,
    names: CheckedNames,
}

/// A client under TLS settings.
#[derive(Clone)]
struct OwnClient {
    client: reqwest::Client,
    validity: Option<Validity>,
}

/// Why there is no client under TLS settings.
pub(super) enum NoClient {
    /// They cannot be used, or not now.
    Unusable(TlsFault),
    /// Ours.
    Broken(TransportError),
}

impl Clients {
    pub(super) fn new(
        options: TransportOptions,
        dialled_rules: Option<Arc<AddressRules>>,
    ) -> Result<Self, TransportError> {
        let names = CheckedNames::new(LookUps::new(Arc::clone(&options.names)), dialled_rules);
        let shared = client(&options, names.clone(), tls::client_config(&options.extra_roots, None, None)?)?;
        Ok(Self { shared, own: Cache::new(TLS_CLIENTS_MAX), options, names })
    }

    /// The client of whoever has no TLS settings of its own.
    pub(super) fn shared(&self) -> &reqwest::Client {
        &self.shared
    }

    /// The client to send with.
    pub(super) fn under(&self, tls: Option<&TlsSettings>, now: Timestamp) -> Result<reqwest::Client, NoClient> {
        let Some(tls) = tls else { return Ok(self.shared.clone()) };
        let key = tls.digest();
        let own = match self.own.get(&key) {
            Some(own) => own,
            None => {
                let own = self.open(tls)?;
                self.own.insert(key, own.clone());
                own
            }
        };
        own.validity.map_or(Ok(()), |validity| validity.check(now)).map_err(NoClient::Unusable)?;
        Ok(own.client)
    }

    fn open(&self, settings: &TlsSettings) -> Result<OwnClient, NoClient> {
        let identity = settings.identity.as_ref().map(Identity::read).transpose().map_err(NoClient::Unusable)?;
        let roots = settings.ca_certificates.as_deref().map(authorities).transpose().map_err(NoClient::Unusable)?;
        let validity = identity.as_ref().map(|identity| identity.validity);
        let config = tls::client_config(&self.options.extra_roots, roots, identity);
        let config = config.map_err(|error| NoClient::Broken(error.into()))?;
        let client = client(&self.options, self.names.clone(), config).map_err(NoClient::Broken)?;
        Ok(OwnClient { client, validity })
    }

    #[cfg(test)]
    pub(super) fn own_count(&self) -> u64 {
        self.own.run_pending_tasks();
        self.own.entry_count()
    }
}

fn client(
    options: &TransportOptions,
    names: CheckedNames,
    config: rustls::ClientConfig,
) -> Result<reqwest::Client, TransportError> {
    let mut client = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .dns_resolver(names)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
        .pool_idle_timeout(Duration::from_millis(POOL_IDLE_MS))
        .pool_max_idle_per_host(POOL_IDLE_PER_HOST_MAX)
        .http2_max_header_list_size(HTTP2_HEADERS_BYTES_MAX);
    if let Some(proxy) = &options.egress_proxy {
        client = client.proxy(reqwest::Proxy::all(proxy.clone())?);
    }
    Ok(client.build()?)
}
