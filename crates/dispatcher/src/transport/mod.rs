//! One HTTP exchange: a checked address, one deadline, the exact bytes, a capped answer.

mod answer;
mod failure;
mod names;
#[cfg(test)]
mod tests;
mod tls;

pub use names::{NameResolver, SystemNames};

use crate::limits::{HTTP2_HEADERS_BYTES_MAX, POOL_IDLE_MS, POOL_IDLE_PER_HOST_MAX};
use answer::Answer;
use async_trait::async_trait;
use failure::Failure;
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::attempt::{Exchange, OutcomeCode, OutgoingRequest};
use hookgraph_domain::ports::{Clock, Transport};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use names::CheckedNames;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// Sends over HTTP/1.1, or HTTP/2 where TLS offers it, with one connection pool for all webhooks.
///
/// No redirect is followed, no proxy of the environment is asked, nothing is sent a second time, and nothing is
/// decompressed. Only addresses that the rules let pass are dialled.
pub struct HttpTransport {
    client: reqwest::Client,
    rules: Arc<AddressRules>,
    clock: Arc<dyn Clock>,
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
        Self::with_names(rules, clock, Arc::new(SystemNames))
    }

    /// A transport that resolves names by the given means; what they answer is checked all the same.
    ///
    /// # Errors
    /// As [`HttpTransport::new`].
    pub fn with_names(
        rules: AddressRules,
        clock: Arc<dyn Clock>,
        names: Arc<dyn NameResolver>,
    ) -> Result<Self, TransportError> {
        Self::with_tls(rules, clock, names, tls::client_config()?)
    }

    fn with_tls(
        rules: AddressRules,
        clock: Arc<dyn Clock>,
        names: Arc<dyn NameResolver>,
        tls: rustls::ClientConfig,
    ) -> Result<Self, TransportError> {
        let rules = Arc::new(rules);
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(CheckedNames::new(names, Arc::clone(&rules)))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .pool_idle_timeout(Duration::from_millis(POOL_IDLE_MS))
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST_MAX)
            .http2_max_header_list_size(HTTP2_HEADERS_BYTES_MAX)
            .build()?;
        Ok(Self { client, rules, clock })
    }

    async fn exchange(&self, request: &OutgoingRequest, timeout_ms: u32, answer: &mut Answer) -> Result<(), Failure> {
        let url = exact_url(&request.url)?;
        if let Some(address) = names::literal_address(&url) {
            answer.remote_address = url.port_or_known_default().map(|port| (address, port).into());
            self.rules.check(address).map_err(|refused| Failure::refused(&refused))?;
        }
        let deadline = Instant::now() + Duration::from_millis(timeout_ms.into());
        let sent = timeout_at(deadline, self.client.execute(outgoing(request, url)?)).await;
        let response = match sent {
            Ok(sent) => sent.map_err(|error| Failure::of(&error))?,
            Err(_) => return Err(Failure::timeout("no answer", timeout_ms)),
        };
        answer.head(&response, self.clock.now());
        match timeout_at(deadline, answer.body(response)).await {
            Ok(read) => read.map_err(|error| Failure::of(&error)),
            Err(_) => Err(Failure::timeout("the answer did not end", timeout_ms)),
        }
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: &OutgoingRequest, timeout_ms: u32) -> Exchange {
        // A monotonic reading: a wall clock that is set meanwhile must not bend a duration.
        let started = Instant::now();
        let mut answer = Answer::default();
        let failure = self.exchange(request, timeout_ms, &mut answer).await.err();
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
        *outgoing.body_mut() = Some(body.clone().into());
    }
    Ok(outgoing)
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
