//! What the server reads for itself, such as an issuer's keys: through the filter that webhooks go through.

use super::HttpTransport;
use super::failure::Failure;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::Url;

/// Why something could not be read; in plain words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(String);

impl From<Failure> for FetchError {
    fn from(failure: Failure) -> Self {
        Self(format!("{}: {}", failure.code.as_str(), failure.detail))
    }
}

impl HttpTransport {
    /// The body that a GET is answered with, with a status of 2xx, within that time and that many bytes.
    ///
    /// # Errors
    /// [`FetchError`], also for what the address rules refuse. Redirects are not followed.
    pub async fn fetch(&self, url: &str, wait_max: Duration, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        let url = Url::parse(url).map_err(|error| FetchError(format!("{url} cannot be read: {error}")))?;
        if let Some(host) = url.host() {
            self.rules.check_host(&host).map_err(|refused| Failure::refused(&refused))?;
        }
        let until = Instant::now() + wait_max;
        let late = |_| FetchError(format!("no whole answer within {} ms", wait_max.as_millis()));
        let sent = timeout_at(until, self.clients.shared().get(url).send()).await.map_err(late)?;
        let mut answer = sent.map_err(|error| self.failure_of(&error))?;
        if !answer.status().is_success() {
            return Err(FetchError(format!("it answers {}", answer.status().as_u16())));
        }
        let mut body = Vec::new();
        while let Some(part) =
            timeout_at(until, answer.chunk()).await.map_err(late)?.map_err(|error| self.failure_of(&error))?
        {
            if part.len() > bytes_max - body.len() {
                return Err(FetchError(format!("it answers more than {bytes_max} bytes")));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }
}
