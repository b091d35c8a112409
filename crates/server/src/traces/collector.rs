//! The way to the collector: the one HTTP client that has the one TLS provider, and one line in the log per outage.

use crate::limits::TRACES_EXPORT_MS_MAX;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use url::Url;

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
    fn ended(&self, endpoint: &str, failure: Option<String>) {
        match failure {
            Some(error) if !self.is_failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    endpoint,
                    error,
                    "traces cannot be sent: they are dropped until the collector takes them again"
                );
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
        let endpoint = without_credentials(request.url());
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { client.execute(request).await }).await?;
        match sent {
            Ok(answer) => {
                let status = answer.status();
                self.ended(&endpoint, (!status.is_success()).then(|| format!("the collector answered {status}")));
                // What it says beyond that is not read.
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = status;
                Ok(response)
            }
            Err(error) => {
                let error = error.without_url();
                self.ended(&endpoint, Some(innermost(&error)));
                Err(error.into())
            }
        }
    }
}

/// The address as it may be logged.
fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.into()
}

/// What is at the bottom of an error: those around it say no more than that a request could not be sent.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Collector, HttpClient, Request};
    use parking_lot::Mutex;
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::Arc;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_outage_is_told_once_with_the_endpoint_and_the_cause_and_without_credentials() {
        let log = Log::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(lines);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let collector = Collector::new().unwrap();
        for _ in 0..2 {
            let request = Request::post(format!("http://me:hidden@{address}/v1/traces?key=hidden"));
            collector.send_bytes(request.body(Default::default()).unwrap()).await.unwrap_err();
        }
        let told = String::from_utf8(log.0.lock().clone()).unwrap();
        assert_eq!(told.matches("traces cannot be sent").count(), 1, "{told}");
        assert!(told.contains(&format!("endpoint=\"http://{address}/v1/traces\"")), "{told}");
        assert!(told.contains("Connection refused") && !told.contains("hidden") && !told.contains("me@"), "{told}");
    }
}
