//! The way to the collector: the one HTTP client that has the one TLS provider, and one line in the log per outage.

use crate::limits::TRACES_EXPORT_MS_MAX;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// Posts batches of spans.
#[derive(Debug)]
pub struct Collector {
    client: reqwest::Client,
    /// The exporter's thread is outside the runtime that the client needs.
    runtime: Handle,
    is_failing: AtomicBool,
}

impl Collector {
    /// A client of the runtime that it is called in.
    ///
    /// # Errors
    /// The client's, which refuses its settings.
    pub fn new() -> Result<Self, reqwest::Error> {
        // Whoever else installed it: that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_millis(TRACES_EXPORT_MS_MAX))
            .build()?;
        Ok(Self { client, runtime: Handle::current(), is_failing: AtomicBool::new(false) })
    }

    /// Takes down how a batch fared.
    fn ended(&self, failure: Option<String>) {
        match failure {
            Some(error) if !self.is_failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(error, "traces cannot be sent: they are dropped until the collector takes them again");
            }
            Some(_) => {}
            None if self.is_failing.swap(false, Ordering::Relaxed) => tracing::info!("traces are sent again"),
            None => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { client.execute(request).await }).await?;
        match sent {
            Ok(answer) => {
                let status = answer.status();
                self.ended((!status.is_success()).then(|| format!("the collector answered {status}")));
                // What it says beyond that is not read.
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = status;
                Ok(response)
            }
            Err(error) => {
                let error = error.without_url();
                self.ended(Some(error.to_string()));
                Err(error.into())
            }
        }
    }
}
