//! One HTTP exchange: a checked address, one deadline, the exact bytes, a capped answer.

mod answer;
mod clients;
mod failure;
mod fetch;
mod identity;
mod look_ups;
mod names;
#[cfg(test)]
mod tests;
mod tls;

pub use fetch::FetchError;
pub use identity::X509Judge;
pub use names::{NameResolver, SystemNames};
pub use rustls::pki_types::CertificateDer;

use answer::Answer;
use async_trait::async_trait;
use bytes::Bytes;
use clients::Clients;
use failure::Failure;
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::attempt::{Exchange, OutcomeCode, OutgoingRequest};
use hookgraph_domain::ports::{Clock, Transport};
use hookgraph_domain::tls::TlsSettings;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// Sends over HTTP/1.1, or HTTP/2 where TLS offers it, with one connection pool for all webhooks but those that have TLS
/// settings of their own.
///
/// No redirect is followed, no proxy of the environment is asked, nothing is sent a second time, and nothing is
/// decompressed. Only addresses that the rules let pass are dialled. With an egress proxy, only the proxy is dialled: names
/// are then looked up by the proxy and its rules judge them, while the rules here still judge addresses and `localhost`.
pub struct HttpTransport {
    clients: Clients,
    rules: Arc<AddressRules>,
    clock: Arc<dyn Clock>,
    is_proxied: bool,
}

/// How names are found, whom TLS trusts, and through whom requests go.
#[derive(Clone)]
pub struct TransportOptions {
    /// Looks names up; what it answers is checked all the same.
    pub names: Arc<dyn NameResolver>,
    /// An HTTP proxy that every request goes through, whose own address is not checked. Its user name and password are
    /// sent to it as basic authorization.
    pub egress_proxy: Option<Url>,
    /// Certificates that are trusted beside the system's roots.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self { names: Arc::new(SystemNames), egress_proxy: None, extra_roots: Vec::new() }
    }
}

/// An HTTP client that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The TLS settings do not fit together.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The client refuses its settings.
    #[error("the HTTP client cannot be set up")]
    Client(#[from] reqwest::Error),
}

impl HttpTransport {
    /// A transport that resolves names as the system does. The clock is needed for a `Retry-After` that is a date.
    ///
    /// # Errors
    /// [`TransportError`] when TLS or the client cannot be set up.
    pub fn new(rules: AddressRules, clock: Arc<dyn Clock>) -> Result<Self, TransportError> {
        Self::with(rules, clock, TransportOptions::default())
    }

    /// The same with other options.
    ///
    /// # Errors
    /// As [`HttpTransport::new`].
    pub fn with(rules: AddressRules, clock: Arc<dyn Clock>, options: TransportOptions) -> Result<Self, TransportError> {
        let rules = Arc::new(rules);
        let is_proxied = options.egress_proxy.is_some();
        // Behind a proxy the only name that is looked up here is the proxy's own, which the operator vouches for.
        let dialled_rules = (!is_proxied).then(|| Arc::clone(&rules));
        Ok(Self { clients: Clients::new(options, dialled_rules)?, rules, clock, is_proxied })
    }

    async fn exchange(
        &self,
        request: &OutgoingRequest,
        timeout_ms: u32,
        tls: Option<&TlsSettings>,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let url = exact_url(&request.url)?;
        let client = self.clients.under(tls, self.clock.now()).map_err(Failure::of_client)?;
        if let Some(host) = url.host() {
            self.rules.check_host(&host).map_err(|refused| Failure::refused(&refused))?;
        }
        if !self.is_proxied {
            answer.remote_address = names::literal_address(&url);
        }
        let deadline = Instant::now() + Duration::from_millis(timeout_ms.into());
        let sent = timeout_at(deadline, client.execute(outgoing(request, url)?)).await;
        let response = match sent {
            Ok(sent) => sent.map_err(|error| self.failure_of(&error))?,
            Err(_) => return Err(Failure::timeout("no answer", timeout_ms)),
        };
        answer.head(&response, self.clock.now());
        match timeout_at(deadline, answer.body(response)).await {
            Ok(read) => read.map_err(|error| self.failure_of(&error)),
            Err(_) => Err(Failure::timeout("the answer did not end", timeout_ms)),
        }
    }

    fn failure_of(&self, error: &reqwest::Error) -> Failure {
        if self.is_proxied { Failure::of_proxied(error) } else { Failure::of(error) }
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: &OutgoingRequest, timeout_ms: u32) -> Exchange {
        self.send_under(request, timeout_ms, None).await
    }

    async fn send_under(&self, request: &OutgoingRequest, timeout_ms: u32, tls: Option<&TlsSettings>) -> Exchange {
        // A monotonic reading: a wall clock that is set meanwhile must not bend a duration.
        let started = Instant::now();
        let mut answer = Answer::default();
        let failure = self.exchange(request, timeout_ms, tls, &mut answer).await.err();
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        answer.into_exchange(failure, duration_ms)
    }
}

/// Reads the URL and refuses one that would be sent otherwise than it was signed.
fn exact_url(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|error| Failure::invalid(format!("the URL cannot be read: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::invalid("the URL is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::invalid("the URL holds a user name or password"));
    }
    if url.as_str() != text {
        return Err(Failure::invalid("the URL is not in its normal form, so it would be sent otherwise than signed"));
    }
    Ok(url)
}

fn outgoing(request: &OutgoingRequest, url: Url) -> Result<reqwest::Request, Failure> {
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| Failure::new(OutcomeCode::InvalidRequest, "the method cannot be sent"))?;
    let mut outgoing = reqwest::Request::new(method, url);
    *outgoing.headers_mut() = header_map(&request.headers)?;
    if let Some(body) = &request.body {
        *outgoing.body_mut() = Some(Bytes::from_owner(Body(Arc::clone(body))).into());
    }
    Ok(outgoing)
}

/// The bytes of a body that others hold too.
struct Body(Arc<str>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (index, (name, value)) in headers.iter().enumerate() {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Failure::invalid(format!("the name of header {} cannot be sent", index + 1)))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| Failure::invalid(format!("the value of header {name} cannot be sent")))?;
        map.append(name, value);
    }
    Ok(map)
}
